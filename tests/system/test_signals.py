"""Signals that mean something later, or nothing: the pool lives."""

import re
import signal

import pytest

from kit import build
from kit.load import assert_all_right
from kit.wait import wait_until


def test_not_yet(make_pool):
    pool = make_pool().up()
    before = pool.serving()
    pool.send_signal(signal.SIGUSR2)
    pool.wait_log(r"^.*SIGUSR2\b.*not yet.*$")
    assert pool.serving() == before and pool.request().status == 200


def test_child_signal_from_outside_is_harmless(make_pool):
    pool = make_pool().up()
    before = pool.serving()
    for _ in range(50):
        pool.send_signal(signal.SIGCHLD)
    assert pool.serving() == before and pool.request().status == 200


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
    before = pool.serving()
    for name in ("HUP", "USR1", "USR2"):
        pool.send_signal(getattr(signal, f"SIG{name}"))
    wait_until(lambda: re.search("reload: done", pool.log()) and "not yet" in pool.log(), 5, "answers")
    pool.wait_log(r"SIGUSR1\b")
    assert pool.serving() == before and pool.status()["counters"]["spawned"] == 2
