"""`start -d`: the command returns when the pool is ready, or with the reason why it is not and nothing left."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
from fcntl import ioctl

import pytest

from kit import build
from kit.kinds import COMPLAINT, complaining, waiting_for
from kit.processes import alive, children, descriptors, parent
from kit.wait import wait_until

def nothing_left(pool, *besides):
    pool.wait_gone()
    assert sorted(os.listdir(pool.directory)) == sorted(["pool.json", "runtime", *besides])


def begin(pool, **more):
    """`start -d` without waiting for its end."""
    process = subprocess.Popen([pool.binary, "start", "-d", str(pool.file)], env=pool.environment, cwd=pool.directory,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               **more)
    pool.tree.note(process.pid)
    return process


def begin_and_wait(pool, **more):
    """The same, with the master's pid, as soon as workers are being started."""
    process = begin(pool, **more)
    return process, pool.wait_status(lambda status: status["workers"], what="a worker that starts")["pid"]


def end(process, timeout=20):
    """Exit code and standard error of what begin() has returned."""
    error = process.communicate(timeout=timeout)[1]
    return process.returncode, error


def test_returns_when_the_pool_is_ready(make_pool):
    pool = make_pool(command=[build.worker("bad"), "slow-start", "400"])
    answer = pool.detach()
    assert answer.returncode == 0, answer
    status = pool.status()
    assert status["state"] == "running" and pool.serving(status)
    assert pool.request().status == 200
    assert pool.command("status").returncode == 0
    pool.command("stop")
    nothing_left(pool)


def test_by_the_file(make_pool):
    pool = make_pool(daemon=True)
    assert pool.command("start").returncode == 0
    pid = pool.status()["pid"]
    assert alive(pid) and parent(pid) != os.getpid()
    assert pool.request().status == 200


def test_foreground_by_override(make_pool):
    pool = make_pool(daemon=True, arguments=["--set", "daemon=false"]).up()
    assert pool.status()["pid"] == pool.process.pid


def test_master_has_let_go_of_where_it_came_from(directory, make_pool):
    """Its own session, no terminal, /dev/null at 0 to 2, no descriptor of the shell, an adopted child."""
    reading, writing = os.pipe()
    try:
        pool = make_pool(pidfile=str(directory / "pid"))
        assert pool.detach(pass_fds=(writing,)).returncode == 0
        os.close(writing)
        assert select.select([reading], [], [], 10)[0] and os.read(reading, 1) == b"", "somebody has the pipe"
    finally:
        os.close(reading)
    assert (directory / "pid").read_text() == f"{pool.pid}\n"
    held = descriptors(pool.pid)
    assert {fd for fd, link in held.items() if link.startswith("/dev/")} >= {0, 1, 2}
    assert {link for link in held.values() if link.startswith("/dev/")} == {"/dev/null"}
    text = open(f"/proc/{pool.pid}/stat").read()
    fields = text[text.rindex(")") + 2:].split()
    session, terminal = int(fields[3]), int(fields[4])
    assert session == pool.pid and terminal == 0
    assert parent(pool.pid) != os.getpid() and alive(parent(pool.pid))
    assert os.readlink(f"/proc/{pool.pid}/cwd") == str(pool.directory)


def test_worker_starts_as_clean_as_ever(make_pool):
    pool = make_pool(command=[build.worker("inspect")], workers=1, observe="kernel")
    assert pool.detach().returncode == 0
    told = json.loads(pool.request("/").body)
    assert told["descriptors"] == [0, 1, 2] and told["parent"] == pool.pid
    assert int(told["SigBlk"], 16) == 0 and int(told["SigIgn"], 16) == 0


def test_terminal_that_goes_away(make_pool):
    """The pool outlives its terminal and its session."""
    pool = make_pool()
    ours, theirs = pty.openpty()

    def take_terminal():
        os.setsid()
        ioctl(0, termios.TIOCSCTTY, 0)
    command = f"{pool.binary} start -d {pool.file}; echo code $?; read line"
    shell = subprocess.Popen(["/bin/sh", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs,
                             env=pool.environment, cwd=pool.directory, preexec_fn=take_terminal)
    os.close(theirs)
    said = b""
    while not re.search(rb"code \d+", said):
        assert select.select([ours], [], [], 20)[0], said
        said += os.read(ours, 4096)
    assert b"code 0" in said, said
    pid = pool.status()["pid"]
    os.close(ours)
    assert shell.wait(10) != 0, "the hangup has ended the shell"
    assert pool.request().status == 200 and pool.status()["pid"] == pid


def test_log_file_from_the_beginning(directory, make_pool):
    pool = make_pool(log={"file": str(directory / "log")}, command=[build.worker("bad"), "stderr-lines"])
    pool.log_file = directory / "log"
    answer = pool.detach()
    assert answer.returncode == 0 and answer.stderr == "", answer
    assert f"master pid {pool.pid} listens on" in pool.log()
    pool.wait_log(r"output worker \d+ pid \d+: second line$")
    pool.stop()
    assert "is stopped" in pool.log()
    nothing_left(pool)


def test_without_log_file_startup_is_seen_and_warned_of(make_pool):
    pool = make_pool(command=["/bin/sh", "-c", f"echo first line >&2; echo second line >&2; exec {build.worker('echo_fcgx')}"])
    answer = pool.detach()
    assert answer.returncode == 0
    assert "warning: daemon: without log.file" in answer.stderr and "pool pool is running" in answer.stderr
    assert "second line" in answer.stderr


@pytest.mark.parametrize("settings, warned", [({"daemon": True}, ["log.file"]),
                                              ({"daemon": True, "log": {"file": "/tmp/x"}}, []),
                                              ({"daemon": False, "worker_output": "inherit"}, [])])
def test_check_warns(settings, warned, make_pool):
    answer = make_pool(**settings).command("check")
    assert answer.returncode == 0
    lines = [line for line in answer.stderr.splitlines() if "once the pool is ready" in line]
    assert len(lines) == len(warned) and all(word in line for word, line in zip(warned, lines)), answer


@pytest.mark.parametrize("way", ["check", "start", "start -d"])
def test_output_is_not_inherited(way, make_pool):
    """The workers would keep the caller's descriptors, and a caller that reads to their end would never return."""
    pool = make_pool(worker_output="inherit", daemon=True if way != "start -d" else None)
    answer = pool.command(*way.split())
    assert answer.returncode == 78, answer
    assert re.search(rf'^{pool.file}:\d+:\d+: worker_output: "inherit" does not work in the background', answer.stderr,
                     re.M), answer.stderr
    nothing_left(pool)


@pytest.mark.parametrize("output", ["log", "file"])
def test_caller_that_reads_to_the_end_returns(output, directory, make_pool):
    """As $(fcgipool start -d) and ssh do: nobody keeps what the command was given."""
    pool = make_pool(worker_output=output, worker_output_file=str(directory / "out") if output == "file" else None)
    process = begin(pool)
    assert end(process)[0] == 0
    pool.command("stop")


def test_second_one_is_refused(make_pool):
    pool = make_pool(name="shop")
    assert pool.detach().returncode == 0
    second = pool.command("start", "-d")
    assert second.returncode == 75 and "shop" in second.stderr, second
    assert pool.request().status == 200 and pool.status()["pid"] == pool.pid


@pytest.mark.parametrize("change, code, said", [
    ({"workers": "many"}, 78, "workers"), ({"command": ["/nonexistent/worker"]}, 78, "command"),
    ({"pidfile": "/nonexistent/pid"}, 70, "/nonexistent/pid"),
    ({"log": {"file": "/nonexistent/log"}}, 70, "/nonexistent/log"),
    ({"control_socket": "/nonexistent/control"}, 70, "/nonexistent/control"),
])
def test_what_cannot_be_opened(change, code, said, make_pool):
    pool = make_pool(**change)
    answer = pool.detach()
    assert answer.returncode == code and said in answer.stderr, answer
    nothing_left(pool)


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_address_in_use(family, make_pool):
    pool = make_pool()
    with socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET) as stranger:
        stranger.bind(pool.socket_path if family == "unix" else ("127.0.0.1", 0))
        stranger.listen()
        address = pool.socket_path if family == "unix" else "127.0.0.1:%d" % stranger.getsockname()[1]
        pool.write(listen=f"unix:{address}" if family == "unix" else address)
        answer = pool.detach()
        assert answer.returncode in (70, 75) and address in answer.stderr, answer
        nothing_left(pool, *(["app.sock"] if family == "unix" else []))


@pytest.mark.parametrize("logs", ["file", "stderr"])
def test_command_that_fails_at_once(logs, directory, make_pool):
    log = {"file": str(directory / "log")} if logs == "file" else None
    pool = make_pool(command=complaining(), failures=2, backoff={"initial": "10ms"}, log=log,
                     pidfile=str(directory / "pid"))
    answer = pool.detach()
    assert answer.returncode == 70, answer
    assert re.search(rf"worker \d+ pid \d+: {COMPLAINT} 0$", answer.stderr, re.M), answer.stderr
    assert "exited with code 3" in answer.stderr
    assert "fcgipool: pool pool did not become ready" in answer.stderr
    if log:
        assert log["file"] in answer.stderr and COMPLAINT in (directory / "log").read_text()
    nothing_left(pool)
    assert not (directory / "pid").exists()


@pytest.mark.parametrize("settings", [{"worker_output": "file", "worker_output_file": "out"},
                                      {"log": {"level": "error"}}, {"log": {"file": "log", "level": "error"}}, {}])
def test_reason_is_told_whatever_is_logged_where(settings, make_pool):
    pool = make_pool(command=complaining(), workers=1, failures=1, **settings)
    answer = pool.detach()
    assert answer.returncode == 70, answer
    assert "exited with code 3" in answer.stderr and COMPLAINT in answer.stderr, answer.stderr
    assert ("see above" in answer.stderr) == (settings == {}), answer.stderr
    if settings:
        assert re.search(rf"; the last of it.*:\n(?:  .*\n)*  worker 0 pid \d+: {COMPLAINT} 0\n  worker 0 pid \d+ exited",
                         answer.stderr), answer.stderr


def test_only_the_last_lines_are_shown(directory, make_pool):
    pool = make_pool(command=complaining(50), workers=1, failures=1, log={"file": str(directory / "log")})
    answer = pool.detach()
    assert answer.returncode == 70
    numbers = [int(number) for number in re.findall(rf"{COMPLAINT} (\d+)", answer.stderr)]
    assert numbers and numbers == list(range(50 - len(numbers), 50)) and len(numbers) <= 20, numbers


def test_terminal_is_safe_from_what_workers_write(directory, make_pool):
    pool = make_pool(command=["/bin/sh", "-c", r"printf '\033[31mred\007\302\233\233\n' >&2; exit 1"], failures=1,
                     log={"file": str(directory / "log")})
    answer = pool.detach()
    assert answer.returncode == 70 and "?[31mred????\n" in answer.stderr and not re.search("[\033\x80-\x9f\ufffd]", answer.stderr)


def test_command_that_never_accepts(directory, make_pool):
    pool = make_pool(command=[build.worker("bad"), "never-accept"], start_timeout=0.3, failures=2,
                     backoff={"initial": "10ms"}, log={"file": str(directory / "log")})
    answer = pool.detach()
    assert answer.returncode == 70 and "did not become ready" in answer.stderr, answer
    assert re.search(r"worker \d+ pid \d+ is aborted: ", answer.stderr), answer.stderr
    nothing_left(pool)


def test_command_that_cannot_be_executed(directory, make_pool):
    """The very first start fails, before the master's loop has begun."""
    (directory / "text").write_text("no program\n")
    (directory / "text").chmod(0o755)
    pool = make_pool(command=[str(directory / "text")], failures=1, log={"file": str(directory / "log")})
    answer = pool.detach()
    assert answer.returncode == 70 and "Exec format error" in answer.stderr, answer
    nothing_left(pool)


def test_one_worker_is_enough(directory, make_pool):
    """Ready is ready, whatever comes later."""
    script = f"mkdir {directory}/first && exec {build.worker('echo_fcgx')}; exit 1"
    pool = make_pool(command=["/bin/sh", "-c", script], workers=2, failures=2, backoff={"initial": "500ms"})
    assert pool.detach().returncode == 0
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    assert pool.request().status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_parent_is_told_to_stop(number, directory, make_pool):
    pool = make_pool(command=waiting_for(directory / "never"), graceful_timeout=0.5)
    process, master = begin_and_wait(pool)
    process.send_signal(number)
    code, error = end(process)
    assert code == 70 and "stopped before it was ready" in error, (code, error)
    assert not alive(master)
    nothing_left(pool)


def test_parent_is_told_twice(directory, make_pool):
    """The second time it does not wait for graceful_timeout."""
    pool = make_pool(command=waiting_for(directory / "never"), graceful_timeout=600, abort_timeout=0.1)
    process, _ = begin_and_wait(pool)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(pool.socket_path)  # a graceful stop would have it served first
        process.send_signal(signal.SIGTERM)
        pool.wait_status(lambda status: status["state"] == "stopping", what="the stop")
        process.send_signal(signal.SIGTERM)
        assert end(process)[0] == 70
    nothing_left(pool)


@pytest.mark.parametrize("way", ["fails", "comes up"])
def test_started_with_child_signals_ignored(way, directory, make_pool):
    """As by a program that does not care for its children: they would vanish before anybody can wait for them."""
    pool = make_pool(command=complaining() if way == "fails" else waiting_for(directory / "go"), failures=1)
    (directory / "go").touch()
    process = begin(pool, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    code, error = end(process)
    if way == "fails":
        assert code == 70 and "did not become ready" in error, (code, error)
        nothing_left(pool)
        return
    assert code == 0, error
    before = pool.serving()
    os.kill(before[0], signal.SIGKILL)
    pool.wait_status(lambda status: len(pool.serving(status)) == 2 and before[0] not in pool.serving(status),
                     what="its successor")


def test_nohup(directory, make_pool):
    pool = make_pool(command=waiting_for(directory / "go"))
    process, master = begin_and_wait(pool, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    (directory / "go").touch()
    code, error = end(process)
    assert code == 0, error
    assert pool.status()["pid"] == master and pool.request().status == 200


def test_killed_parent_does_not_hurt(directory, make_pool):
    pool = make_pool(command=waiting_for(directory / "go"))
    process, master = begin_and_wait(pool)
    process.kill()
    process.stdout.close()
    process.stderr.close()
    process.wait(10)
    (directory / "go").touch()
    pool.wait_status(lambda status: status["state"] == "running", what="a running pool")
    assert pool.status()["pid"] == master and pool.request().status == 200
    wait_until(lambda: os.readlink(f"/proc/{master}/fd/2") == "/dev/null", 5, "standard error let go")


def test_failure_after_the_parent_was_killed(directory, make_pool):
    """Nobody waits for the answer, but a pool that never came up is no better for that."""
    script = f"while [ ! -e {directory}/go ]; do sleep 0.01; done; exit 1"
    pool = make_pool(command=["/bin/sh", "-c", script], failures=1)
    process, master = begin_and_wait(pool)
    process.kill()
    process.stdout.close()
    process.stderr.close()
    process.wait(10)
    (directory / "go").touch()
    wait_until(lambda: not alive(master), 20, "end of the master")
    nothing_left(pool)


def test_master_that_is_killed_before_it_is_ready(directory, make_pool):
    pool = make_pool(command=waiting_for(directory / "never"))
    process, master = begin_and_wait(pool)
    assert children(process.pid) == [master]
    os.kill(master, signal.SIGKILL)
    process.wait(20)
    assert process.returncode == 70
    pool.tree.kill()
    assert "killed by signal 9 before the pool was ready" in process.stderr.read()


def test_pool_that_is_stopped_before_it_is_ready(directory, make_pool):
    pool = make_pool(command=waiting_for(directory / "never"), graceful_timeout=0.5)
    process, _ = begin_and_wait(pool)
    assert pool.command("stop").returncode == 0
    code, error = end(process)
    assert code == 70 and "stopped before it was ready" in error, (code, error)
    nothing_left(pool)


def test_failing_pool_in_the_foreground_keeps_trying(directory, make_pool):
    script = f"[ -e {directory}/go ] || exit 1; exec {build.worker('echo_fcgx')}"
    pool = make_pool(command=["/bin/sh", "-c", script], failures=2, backoff={"initial": "10ms", "max": "100ms"}).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    (directory / "go").touch()
    pool.wait_ready()
    assert pool.request().status == 200
