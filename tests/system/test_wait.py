"""`status --wait ready`: returns when the pool is ready, or says why it is not."""

import json
import signal
import socket
import subprocess

import pytest

from kit.kinds import complaining, waiting_for


def started(pool, workers=1):
    """Starts it; returns when its workers have been started too."""
    pool.start()
    pool.wait_status(lambda status: len(status["workers"]) >= workers, what="workers that start")
    return pool


def test_returns_when_a_worker_accepts(directory, make_pool):
    pool = started(make_pool(command=waiting_for(directory / "go")))
    with subprocess.Popen([pool.binary, "status", "--wait", "ready", "--json", str(pool.file)], env=pool.environment,
                          cwd=pool.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        with pool.control() as control:
            control.send(b'{"v":1,"command":"status","args":{"wait":"ready"}}\n')
            assert control.line()["progress"]["state"] == "starting"
            assert waiting.poll() is None
            (directory / "go").touch()
            assert control.line()["result"]["state"] == "running"
        out, error = waiting.communicate(timeout=20)
    assert waiting.returncode == 0, error
    status = json.loads(out)
    assert status["state"] == "running" and any(each["state"] == "serving" for each in status["workers"])
    assert pool.request().status == 200


def test_ready_already(make_pool):
    pool = make_pool().up()
    for arguments in ([], ["--timeout", "5"], ["--control", pool.control_path]):
        answer = pool.command("status", "--wait", "ready", *arguments)
        assert answer.returncode == 0 and "running" in answer.stdout and answer.stderr == "", answer


def test_no_master(make_pool):
    answer = make_pool().command("status", "--wait", "ready")
    assert answer.returncode == 69 and answer.stderr


def test_pool_that_fails(make_pool):
    pool = started(make_pool(command=complaining(), failures=3), workers=0)
    answer = pool.command("status", "--wait", "ready")
    assert answer.returncode == 70 and "workers fail to start" in answer.stderr, answer
    assert pool.alive()


def test_pool_that_is_stopped_meanwhile(directory, make_pool):
    pool = started(make_pool(command=waiting_for(directory / "never"), graceful_timeout=0.5))
    with pool.control() as control:
        control.send(b'{"v":1,"command":"status","args":{"wait":"ready"}}\n')
        assert "progress" in control.line()
        pool.send_signal(signal.SIGTERM)
        message = control.line()
        while "progress" in message:
            message = control.line()
        assert message["error"]["code"] == 70 and "stopping" in message["error"]["text"]


def test_time_that_is_over(directory, make_pool):
    pool = started(make_pool(command=waiting_for(directory / "go")))
    answer = pool.command("status", "--wait", "ready", "--timeout", "0.3")
    assert answer.returncode == 75 and "time was over" in answer.stderr and answer.stdout == "", answer
    (directory / "go").touch()
    assert pool.command("status", "--wait", "ready", "--timeout", "60").returncode == 0


def test_master_that_hangs(make_pool):
    pool = make_pool().up()
    pool.send_signal(signal.SIGSTOP)
    try:
        assert pool.command("status", "--wait", "ready", "--timeout", "0.3").returncode == 75
    finally:
        pool.send_signal(signal.SIGCONT)


def test_master_that_hangs_with_a_full_queue(make_pool):
    """Not even the connection comes about."""
    pool = make_pool().up()
    pool.send_signal(signal.SIGSTOP)
    others = []
    try:
        with pytest.raises(BlockingIOError):
            while True:
                others.append(socket.socket(socket.AF_UNIX))
                others[-1].setblocking(False)
                others[-1].connect(pool.control_path)
        answer = pool.command("status", "--wait", "ready", "--timeout", "0.3", timeout=20)
        assert answer.returncode == 75 and "time was over" in answer.stderr, answer
    finally:
        for each in others:
            each.close()
        pool.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("arguments", [["--wait"], ["--wait", "nonsense"], ["--timeout", "3"],
                                       ["--wait", "ready", "--timeout", "soon"], ["--wait", "ready", "--timeout", "-1"],
                                       ["--wait", "ready", "--timeout", "0"], ["--wait", "ready", "--timeout", "1e9"]])
def test_usage(arguments, make_pool):
    pool = make_pool().up()
    answer = pool.command("status", *arguments)
    assert answer.returncode == 64 and answer.stderr and not answer.stdout, answer


@pytest.mark.parametrize("wait", ["nonsense", "", 17, [], None])
def test_bad_requests(wait, make_pool):
    pool = make_pool().up()
    with pool.control() as control:
        assert control.call("status", wait=wait)["error"]["code"] == 64
        assert control.call("status")["result"]["state"] == "running"
