"""Workers that are put together in ways of their own: what is seen of them must not be taken for something else."""

import time
from pathlib import Path

import pytest

from kit import build, fastcgi
from kit.processes import alive, children
from kit.wait import wait_until


def make(make_pool, mode, **settings):
    return make_pool(command=[build.worker("odd.py"), mode], workers=1, **settings).up()


def begun(pool, uri):
    client = fastcgi.Kept(pool.address)
    client.begin(uri, keep=False)
    return client


def test_client_whose_request_nobody_has_read_is_not_silent(make_pool):
    pool = make(make_pool, "hand-over", request_header_timeout=1)
    with begun(pool, "/slow") as first:
        pool.wait_status(lambda status: status["workers"][0]["connections"]["busy"], what="a request in hand")
        with begun(pool, "/x") as second:
            assert first.answer().status == second.answer().status == 200
    assert "sent no request" not in pool.log()


def test_request_in_the_hand_of_a_forked_child_is_not_silent(make_pool):
    pool = make(make_pool, "fork-each", request_header_timeout=1)
    with begun(pool, "/slow") as client:
        assert client.answer().status == 200


def test_request_in_the_hand_of_a_forked_child_is_not_cut(make_pool):
    """Neither by a pause or a stop, nor by the parent's leaving."""
    for mode in ("fork-each", "fork-and-close"):
        pool = make(make_pool, mode)
        with begun(pool, "/slow") as client:
            wait_until(lambda: children(pool.serving()[0]), 10, "a child that serves")
            assert pool.command("pause", timeout=30).returncode == 0
            assert client.answer().status == 200
        assert pool.command("resume").returncode == 0
        with begun(pool, "/slow") as client:
            wait_until(lambda: children(pool.serving()[0]), 10, "a child that serves")
            pool.stop()
            assert client.answer().status == 200


def test_child_that_dies_in_a_request_leaves_nothing_in_hand(make_pool):
    """Neither a timeout, nor a retirement that takes until graceful_timeout."""
    for mode in ("fork-ahead", "careless"):
        pool = make(make_pool, mode, timeout=1, graceful_timeout=20)
        with begun(pool, "/crash") as client:
            client.wait_end()
        with begun(pool, "/slow") as client:  # so that somebody looks for a while
            client.wait_end()
        start = time.monotonic()
        pool.stop()
        assert time.monotonic() - start < 15
        lines = [line for line in pool.log().splitlines() if "more than timeout" in line]
        assert all("/slow" in line for line in lines), lines


def test_first_acceptor_need_not_last(make_pool):
    pool = make(make_pool, "first-leaves", start_timeout=3)
    assert pool.request("/x").status == 200
    wait_until(lambda: pool.status()["workers"][0]["age_ms"] > 4000, 20, "a time longer than start_timeout")
    status = pool.status()
    assert status["counters"]["start_failed"] == 0 and status["workers"][0]["state"] == "serving"


def test_connection_that_is_closed_late_is_not_in_hand(make_pool):
    """Neither a timeout while the worker waits for the next one, nor a retirement that waits for it."""
    pool = make(make_pool, "late", timeout=1, graceful_timeout=30)
    with begun(pool, "/x") as client:
        assert client.answer().status == 200
    wait_until(lambda: pool.status()["workers"][0]["age_ms"] > 4000, 20, "a time longer than timeout")
    assert pool.request("/x").status == 200
    assert "more than timeout" not in pool.log()
    start = time.monotonic()
    pool.stop()
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("mode", ["dawdle", "linger"])
def test_who_is_between_two_requests_may_take_the_next_one(mode, make_pool):
    """A worker is not aborted for a hung request before all of its threads are known to take nothing more, and to have
    nothing that a client may still miss."""
    pool = make(make_pool, mode, timeout=1, abort_timeout=1, graceful_timeout=60, rlimits={"core": 0})
    worker = pool.serving()[0]
    pool.wait_status(lambda status: status["workers"][0]["state"] == "serving")
    with begun(pool, "/hang"):
        assert pool.request("/x").status == 200
        wait_until(lambda: not alive(worker), 30, "the end of the hung one")
    assert pool.log().index("takes the place of a worker") < pool.log().index("is aborted")


def all_accept(pid, threads):
    """True when a worker has so many threads, all in the same system call on descriptor 0."""
    calls = [tuple(path.read_text().split()[:2]) for path in Path(f"/proc/{pid}/task").glob("*/syscall")]
    return len(calls) == threads and len(set(calls)) == 1 and calls[0][1:] == ("0x0",)


def test_acceptors_that_the_page_does_not_list_are_looked_at_from_outside(make_pool):
    """The page alone cannot say that nobody takes a connection any more."""
    pool = make_pool(command=[build.worker("odd.py"), "crowd"], workers=2, graceful_timeout=30).up()
    for _ in range(100):
        assert pool.request("/x").status == 200
    wait_until(lambda: all(all_accept(pid, 70) for pid in pool.serving()), 30, "all threads of both workers")
    assert pool.command("scale", "1", timeout=30).returncode == 0
    wait_until(lambda: "does not leave by itself" in pool.log(), 20, "a look from outside")
    assert pool.wait_status(lambda status: len(status["workers"]) == 1)["counters"]["killed"] == 0
    assert pool.request("/x").status == 200
