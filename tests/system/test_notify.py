"""sd_notify: what systemd is told, and that nobody else can speak for the master."""

import json
import os
import signal
import socket
import time

import pytest

from kit import build
from kit.idle import settle, switches
from kit.kinds import complaining, waiting_for
from kit.notify import Listener
from kit.wait import wait_until


def wait_a_while(seconds):
    """For what must not happen."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, seconds + 10)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_ready_once_and_not_before_a_worker_accepts(kind, directory, make_pool):
    listener = Listener(directory / "notify" if kind == "path" else f"@fcgipool-test-notify-{os.getpid()}")
    pool = make_pool(command=waiting_for(directory / "go"), workers=3, environment=listener.environment).start()
    pool.wait_status(lambda status: len(status["workers"]) == 3, what="three starting workers")
    listener.wait("STATUS", "starting: 0 of 3 workers serve")
    assert not listener.values("READY")
    (directory / "go").touch()
    listener.wait("READY", "1")
    assert pool.status()["state"] == "running" and pool.request().status == 200
    assert listener.values("MAINPID") == [str(pool.pid)]
    listener.wait("STATUS", "running: 3 workers serve")
    pool.command("scale", "4")
    listener.wait("STATUS", "running: 4 workers serve")
    assert listener.values("READY") == ["1"] and not listener.values("WATCHDOG")
    listener.socket.close()


def test_in_the_background(make_pool, listener):
    """The process that was started is not the one that stays."""
    pool = make_pool(environment=listener.environment)
    assert pool.detach().returncode == 0
    listener.wait("READY", "1")
    assert listener.values("MAINPID") == [str(pool.pid)]


@pytest.mark.parametrize("way", ["signal", "quick", "command"])
def test_stopping(way, make_pool, listener):
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    assert not listener.values("STOPPING")
    if way == "command":
        assert pool.command("stop").returncode == 0 and pool.wait_exit() == 0
    else:
        pool.stop(signal.SIGTERM if way == "signal" else signal.SIGINT)
    assert listener.values("STOPPING") == ["1"]
    said = listener.values("STATUS")
    assert said[said.index("running: 2 workers serve") + 1:][:1] == ["stopping: 2 workers are left"], said
    assert listener.values("READY") == ["1"]


def test_stopping_is_said_at_the_beginning(make_pool, listener):
    pool = make_pool(environment=listener.environment, workers=1).up()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(pool.socket_path)
        pool.wait_status(lambda status: status["queue"]["now"] == 0, what="a worker with a connection")
        pool.send_signal(signal.SIGTERM)
        listener.wait("STOPPING", "1")
        listener.wait("STATUS", "stopping: 1 worker is left")
        assert pool.alive()
        pool.send_signal(signal.SIGTERM)
        pool.wait_exit()


def test_status_that_was_lost_is_said_again(make_pool, listener):
    """systemd's socket may be gone for a while, as when it is executed anew."""
    pool = make_pool(environment=listener.environment).up()
    listener.wait("STATUS", "running: 2 workers serve")
    os.rename(listener.name, listener.name + ".away")
    assert pool.command("scale", "3").returncode == 0
    pool.wait_ready(workers=3)
    os.rename(listener.name + ".away", listener.name)
    assert "running: 3 workers serve" not in listener.values("STATUS")
    assert pool.command("scale", "3").returncode == 0  # anything that happens
    listener.wait("STATUS", "running: 3 workers serve")


def test_failing(make_pool, listener):
    pool = make_pool(command=complaining(), failures=2, backoff={"initial": "10ms"},
                     environment=listener.environment).start()
    listener.wait("STATUS", "failing: workers fail to start; see the log")
    assert not listener.values("READY") and pool.alive()


def test_workers_cannot_speak_for_the_master(make_pool, listener):
    mine = {**listener.environment, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "LISTEN_FDS": "1",
            "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "KEPT": "yes"}
    pool = make_pool(command=[build.worker("inspect")], environment=mine).up()
    environment = json.loads(pool.request("/").body)["environment"]
    assert "KEPT=yes" in environment
    assert not [each for each in environment if each.split("=")[0] in mine and each != "KEPT=yes"]
    assert listener.values("READY") == ["1"]


# Reload: RELOADING, until READY says that it has ended, well or not.

def protocol(listener):
    """What is said of the state, in order."""
    return [name for _, name, _ in listener.take().seen if name in ("READY", "RELOADING", "STOPPING")]


def last_status(listener):
    return listener.values("STATUS")[-1]


def test_reload(make_pool, listener):
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    before_us = time.monotonic_ns() // 1000
    assert pool.command("reload").returncode == 0
    wait_until(lambda: protocol(listener) == ["READY", "RELOADING", "READY"], 10, "the end")
    began, = map(int, listener.values("MONOTONIC_USEC"))
    assert before_us <= began <= time.monotonic_ns() // 1000
    assert last_status(listener) == "running: 2 workers serve; reloaded"
    assert any(each.endswith("; reloading") for each in listener.values("STATUS"))
    words = [value if name == "STATUS" else name for _, name, value in listener.seen]
    assert words.index("running: 2 workers serve; reloaded") < len(words) - 1 - words[::-1].index("READY")


def test_reload_lasts_until_the_last_worker_is_replaced(directory, make_pool, listener):
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    pool.write(command=waiting_for(directory / "go"))
    pool.send_signal(signal.SIGHUP)
    listener.wait("RELOADING", "1")
    listener.wait("STATUS", "running: 2 workers serve; reloading")
    assert pool.request().status == 200
    assert protocol(listener) == ["READY", "RELOADING"]
    (directory / "go").touch()
    wait_until(lambda: protocol(listener) == ["READY", "RELOADING", "READY"], 20, "the end")


@pytest.mark.parametrize("change", [{"command": ["/bin/false"]}, {"command": None}])
def test_reload_that_fails(change, make_pool, listener):
    """By workers that do not come up, or by a file that is not valid; the pool serves as before."""
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    pool.write(**change)
    assert pool.command("reload").returncode != 0
    wait_until(lambda: protocol(listener) == ["READY", "RELOADING", "READY"], 10, "the end")
    listener.wait("STATUS", "running: 2 workers serve; the last reload failed, see the log")
    assert pool.request().status == 200


def test_reload_during_a_reload(directory, make_pool, listener):
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    pool.write(command=waiting_for(directory / "never"))
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("workers of generation 2 follow")
    pool.write(command=None)
    assert pool.command("reload").returncode == 78
    assert "READY" not in protocol(listener)[1:], "the first one goes on"
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    wait_until(lambda: protocol(listener)[-1] == "READY", 10, "the end")
    assert protocol(listener).count("READY") == 2 and last_status(listener).endswith("; reloaded")


def test_stop_during_a_reload(directory, make_pool, listener):
    """STOPPING is the last word."""
    pool = make_pool(environment=listener.environment).up()
    listener.wait("READY")
    pool.write(command=waiting_for(directory / "never"))
    pool.send_signal(signal.SIGHUP)
    listener.wait("RELOADING", "1")
    pool.stop()
    assert protocol(listener) == ["READY", "RELOADING", "STOPPING"]


def test_reload_of_a_pool_that_is_not_ready(directory, make_pool, listener):
    """READY would not be true."""
    pool = make_pool(command=waiting_for(directory / "go"), environment=listener.environment).start()
    listener.wait("STATUS", "starting: 0 of 2 workers serve")
    pool.write(failures=9)
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("workers of generation 2 follow")
    pool.write(command=None)
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("the control file is not valid")
    assert protocol(listener) == []
    (directory / "go").touch()
    listener.wait("READY", "1")
    assert protocol(listener) == ["READY"]


# Signs of life.

def with_watchdog_pid(pool):
    """A program that is `fcgipool`, started as systemd starts one: WATCHDOG_PID is its own pid."""
    script = pool.directory / "as-systemd"
    script.write_text(f'#!/bin/sh\nWATCHDOG_PID=$$ exec {pool.binary} "$@"\n')
    script.chmod(0o755)
    pool.binary = str(script)
    return pool


@pytest.mark.parametrize("way", ["foreground", "background", "no pid"])
def test_watchdog(way, make_pool, listener):
    """Every half of the time that is allowed."""
    pool = make_pool(environment={**listener.environment, "WATCHDOG_USEC": "400000"})
    if way != "no pid":
        with_watchdog_pid(pool)
    if way == "background":
        assert pool.detach().returncode == 0
    else:
        pool.up()
    wait_until(lambda: len(listener.values("WATCHDOG")) >= 7, 60, "signs of life")
    times = [when for when, name, _ in listener.seen if name == "WATCHDOG"]
    assert 0.5 < times[6] - times[0], "6 times 0.2 s"
    pool.stop()


def test_watchdog_of_somebody_else(make_pool, listener):
    pool = make_pool(environment={**listener.environment, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}).up()
    listener.wait("READY")
    wait_a_while(1)
    assert not listener.values("WATCHDOG") and pool.alive()


@pytest.mark.parametrize("limit", ["0", "-5", "soon", "99999999999999999999999", ""])
def test_watchdog_that_is_none(limit, make_pool, listener):
    pool = make_pool(environment={**listener.environment, "WATCHDOG_USEC": limit}).up()
    listener.wait("READY")
    wait_a_while(0.3)
    assert not listener.values("WATCHDOG") and pool.request().status == 200


def test_tiny_watchdog_leaves_the_master_time(make_pool, listener):
    pool = make_pool(environment={**listener.environment, "WATCHDOG_USEC": "1"}).up()
    wait_until(lambda: len(listener.values("WATCHDOG")) > 20, 20, "signs of life")
    before = len(listener.values("WATCHDOG"))
    wait_a_while(1)
    assert len(listener.values("WATCHDOG")) - before < 2000
    assert pool.request().status == 200


def test_idle_master_makes_no_wake_up(make_pool, listener):
    pool = make_pool(environment=listener.environment, workers=4).up()
    listener.wait("READY")
    settle(pool)
    before = switches(pool.pid)
    wait_a_while(2.5)
    assert switches(pool.pid) == before


def test_full_socket_does_not_block_and_gets_it_later(make_pool, listener):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                stranger.sendto(b"NOISE=1\n", listener.name)
    pool = make_pool(environment=listener.environment).up()
    assert pool.request().status == 200
    listener.wait("READY", "1")
    listener.wait("STATUS", "running: 2 workers serve")
    assert listener.values("READY") == ["1"]


@pytest.mark.parametrize("name", ["/nonexistent/notify", "relative", "@", "/" + "x" * 200, "vsock:2:1"])
def test_socket_that_is_none(name, make_pool):
    pool = make_pool(environment={"NOTIFY_SOCKET": name}).up()
    assert pool.request().status == 200
    pool.wait_log("warning NOTIFY_SOCKET")
    pool.stop()


def test_none_at_all(make_pool):
    for environment in ({}, {"NOTIFY_SOCKET": ""}):
        pool = make_pool(environment=environment).up()
        assert "NOTIFY" not in pool.log()
        pool.stop()
