"""Pause and resume: workers go and come back, the socket and what waits in it stay."""

import os
import pty
import signal
import termios
import threading

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right, assert_none_lost
from kit.processes import children


def paused(pool):
    return pool.wait_status(lambda status: status["state"] == "paused" and not status["workers"], 70, "a pause")


def asks(pool, how):
    """A pause or resume by command, or by its signal."""
    if how.startswith("SIG"):
        pool.send_signal(getattr(signal, how))
    else:
        answer = pool.command(how)
        assert answer.returncode == 0, answer


def later(pool, uri="/x?n=5"):
    """A request in the background: (thread, list of its answer)."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(pool.request(uri, timeout=30)))
    thread.start()
    return thread, answers


def queued(pool, count):
    return pool.wait_status(lambda status: status["queue"]["now"] == count, what=f"{count} waiting connections")


@pytest.mark.parametrize("pause,resume", [("pause", "resume"), ("SIGWINCH", "SIGHUP"), ("SIGWINCH", "resume")])
def test_pause_and_resume(pause, resume, make_pool):
    pool = make_pool(workers=3).up()
    before = pool.status()["pid"]
    asks(pool, pause)
    paused(pool)
    assert children(pool.pid) == []
    thread, answers = later(pool)
    queued(pool, 1)
    asks(pool, resume)
    thread.join(30)
    assert answers and answers[0].status == 200
    status = pool.wait_ready(3)
    assert status["pid"] == before and status["floor"] == 3
    pool.stop()


def test_commands_return_when_it_is_so(make_pool):
    pool = make_pool(workers=2).up()
    assert pool.command("pause").returncode == 0
    status = pool.status()
    assert status["state"] == "paused" and status["workers"] == []
    assert pool.command("pause").returncode == 0, "a second one does no harm"
    assert pool.command("resume").returncode == 0
    assert len(pool.serving()) == 2
    assert pool.command("resume").returncode == 0
    assert len(pool.serving()) == 2


def test_pause_lets_requests_finish(make_pool, make_load):
    pool = make_pool(workers=2).up()
    load = make_load(pool.address, clients=2, requests=2, mix="GET:5?delay=700")
    load.wait_in_hand(pool, 2)
    assert pool.command("pause").returncode == 0
    assert_all_right(load.wait(), 2)
    assert paused(pool)["counters"]["cut"] == 0


def test_scale_in_a_pause_counts_afterwards(make_pool):
    pool = make_pool(workers=2).up()
    asks(pool, "pause")
    answer = pool.command("scale", "4")
    assert answer.returncode == 0 and "4 workers as soon as" in answer.stdout
    pool.send_signal(signal.SIGTTIN)
    pool.wait_status(lambda status: status["floor"] == 5)
    assert pool.status()["workers"] == []
    asks(pool, "resume")
    assert len(pool.wait_ready(5)["workers"]) == 5


@pytest.mark.parametrize("kind", kinds.REAL)
def test_nothing_is_lost(kind, make_pool, make_load, record_property):
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=3, graceful_timeout=60).up()
    load = make_load(pool.address, clients=6, mix="GET:100,POST:5000,GET:1?delay=3", script=script)
    load.wait_ok(20)
    rounds = build.count(3, 30)
    for turn in range(rounds):
        asks(pool, "pause" if turn % 2 else "SIGWINCH")
        paused(pool)
        asks(pool, "resume" if turn % 2 else "SIGHUP")
        load.wait_ok(10)
    result = load.stop()
    assert_all_right(result, 10 * rounds)
    record_property("pauses", rounds)
    record_property("requests answered right", result.ok)
    record_property("lost", result.lost + result.refused)


def test_stop_serves_what_waits(make_pool, make_load):
    pool = make_pool(workers=2).up()
    asks(pool, "pause")
    load = make_load(pool.address, clients=5, requests=5)
    queued(pool, 5)
    assert pool.command("stop").returncode == 0
    assert_none_lost(load.wait(), 5)
    assert pool.wait_exit() == 0
    pool.wait_gone()


def test_stop_of_an_idle_pause_starts_nobody(make_pool):
    pool = make_pool(workers=2).up()
    asks(pool, "pause")
    pool.stop()
    assert pool.log().count(" started: ") == 2


def test_stop_of_a_pause_with_a_silent_client_starts_nobody(make_pool):
    pool = make_pool(workers=2, listen="127.0.0.1:0").up()
    address = pool.status()["listen"]
    assert pool.command("pause").returncode == 0
    with fastcgi.connect(address):
        pool.stop()
    assert pool.log().count(" started: ") == 2


def test_resume_that_is_overtaken_says_so(make_pool):
    pool = make_pool(workers=1, command=[build.worker("bad"), "slow-start", "60000"], start_timeout=0).start()
    pool.wait_status(lambda status: status["workers"])
    assert pool.command("pause").returncode == 0
    with pool.control() as control:
        control.send(b'{"v":1,"command":"resume","args":{}}\n')
        assert "progress" in control.line()
        assert pool.command("pause").returncode == 0
        messages = iter(control.line, None)
        assert "paused" in next(m for m in messages if "error" in m)["error"]["text"]


def test_quick_stop(make_pool):
    pool = make_pool(workers=2).up()
    asks(pool, "pause")
    pool.stop(signal.SIGINT)


def test_resized_terminal_is_no_pause(make_pool):
    """The kernel's SIGWINCH is not a person's; the kernel's SIGHUP is the end of the session: a graceful stop."""
    pool = make_pool(workers=1)
    master, slave = pty.openpty()
    pool.terminal = slave
    try:
        pool.start()
        pool.wait_ready()
        # The new size must differ, or the kernel sends nothing.
        for rows in (50, 24):
            termios.tcsetwinsize(master, (rows, 80))
        pool.send_signal(signal.SIGTTIN)
        pool.wait_ready(2)
        assert pool.status()["state"] == "running" and "pause" not in pool.log()
        os.close(slave)
        os.close(master)
        master = None
        assert pool.wait_exit() == 0
        assert "graceful stop" in pool.log()
        pool.wait_gone()
    finally:
        if master is not None:
            os.close(slave)
            os.close(master)
