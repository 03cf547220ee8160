"""Signals that mean something later, or nothing: the pool lives."""

import os
import pty
import re
import resource
import signal

import pytest

from kit import build
from kit.load import assert_all_right
from kit.wait import wait_until


def test_child_signal_from_outside_is_harmless(make_pool):
    pool = make_pool().up()
    before = pool.serving()
    for _ in range(50):
        pool.send_signal(signal.SIGCHLD)
    assert pool.serving() == before and pool.request().status == 200


@pytest.mark.parametrize("nohup", [False, True])
def test_terminal_that_goes_away(nohup, make_pool):
    ours, theirs = pty.openpty()
    pool = make_pool()
    pool.terminal = theirs
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    try:
        pool.start()
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(theirs)
    try:
        pool.wait_ready()
    finally:
        os.close(ours)
    if not nohup:
        pool.wait_log(r"SIGHUP from pid 0: graceful stop$")
        assert pool.wait_exit() == 0
        return
    pool.send_signal(signal.SIGUSR1)
    pool.wait_log(r"SIGUSR1\b")  # the hangup is read before that
    assert pool.request().status == 200 and "graceful stop" not in pool.log()
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("reload: ")
    pool.stop()


def test_started_with_child_signals_ignored(make_pool):
    """Workers that end are noticed even so."""
    pool = make_pool()
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        pool.start()
    finally:
        signal.signal(signal.SIGCHLD, before)
    pool.wait_ready()
    first = pool.serving()[0]
    os.kill(first, signal.SIGKILL)
    pool.wait_status(lambda status: len(pool.serving(status)) == 2 and first not in pool.serving(status),
                     what="its successor")
    pool.stop()


def test_log_at_its_size_limit(make_pool):
    """It is like a full disk: no reason to die of SIGXFSZ."""
    pool = make_pool(command=[build.worker("bad"), "stderr-flood", "1"], log={"file": "pool.log"},
                     limits={resource.RLIMIT_FSIZE: 30000}).up()
    log = pool.directory / "pool.log"
    wait_until(lambda: log.stat().st_size == 30000, 10, "a log at its limit")
    pool.command("scale", "3")
    pool.wait_ready(workers=3)
    assert log.stat().st_size == 30000 and pool.request().status == 200
    pool.stop()


@pytest.mark.parametrize("name", ["PIPE", "URG", "CONT"])
def test_other_signals_are_harmless(name, make_pool):
    pool = make_pool().up()
    before = pool.serving()
    pool.send_signal(getattr(signal, f"SIG{name}"))
    assert pool.serving() == before and pool.request().status == 200


def test_stopped_master_is_not_missed(make_pool, make_load):
    """It is not in the data path."""
    pool = make_pool().up()
    pool.send_signal(signal.SIGSTOP)
    try:
        assert_all_right(make_load(pool.address, clients=4, requests=100).wait(), 100)
    finally:
        pool.send_signal(signal.SIGCONT)
    assert pool.status()["state"] == "running"


def test_burst(make_pool, make_load):
    """Every signal that is not a stop, in any order, many times, under load."""
    pool = make_pool(workers=3).up()
    load = make_load(pool.address, clients=4, mix="GET:10,POST:1000,GET:1?delay=2")
    numbers = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU,
               signal.SIGCHLD]
    for turn in range(build.count(100, 2000)):
        pool.send_signal(numbers[turn * 5 % len(numbers)])
    # Signals that wait together come in the order of their numbers: the last may have been the pause.
    assert pool.command("resume").returncode == 0
    load.wait_ok(50)
    assert_all_right(load.stop(), 50)
    answer = pool.command("scale", "2")
    assert answer.returncode == 0, answer
    pool.stop()


def test_stop_comes_through_a_burst(make_pool):
    pool = make_pool(workers=2).up()
    for _ in range(200):
        pool.send_signal(signal.SIGHUP)
        pool.send_signal(signal.SIGTTIN)
    pool.send_signal(signal.SIGTERM)
    assert pool.wait_exit() == 0
    pool.wait_gone()


def test_workers_are_not_signalled(make_pool):
    """HUP, USR1 and the like stay with the master: libfcgi would leave on USR1."""
    pool = make_pool(command=[build.worker("inspect")], workers=2).up()
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("reload: done")
    before = pool.serving()
    for name in ("USR1", "USR2"):
        pool.send_signal(getattr(signal, f"SIG{name}"))
    wait_until(lambda: re.search(r"SIGUSR1\b", pool.log()), 5, "reopened logs")
    pool.wait_status(lambda status: status["upgrade"] and status["upgrade"]["state"] == "settled", what="a second master")
    counters = pool.status()["counters"]
    assert pool.serving() == before and counters["spawned"] == 4 and counters["left"] == counters["crashed"] == 0
