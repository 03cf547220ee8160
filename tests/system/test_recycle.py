"""Workers are replaced by what they have done, by age and by size; a few at a time, new before old."""

import re
import time

import pytest

from kit import build, kinds
from kit.load import assert_all_right
from kit.wait import wait_until
from kit.watch import Watch

MIX = "GET:0*3,POST:1,POST:65536,GET:65536?slow=4,GET:10?delay=2"


def never_fewer(pool, workers, away):
    """A check for Watch: all serve, and no more than `away` are beside them on their way in or out."""
    def check(status):
        serving = len(pool.serving(status))
        assert serving >= workers, f"{serving} of {workers} serve: {status['workers']}"
        assert len(status["workers"]) <= workers + away, status["workers"]
        assert sum(each["state"] not in ("serving", "starting") for each in status["workers"]) <= away
    return check


@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + kinds.SCGI))
def test_max_requests(kind, make_pool, make_load, record_property):
    """20 workers, 50 to 100 requests each: never fewer than 20 serve, and every request is counted once."""
    requests = build.count(6000 if kind == "fcgx" else 2500, 100000)
    command, script = kinds.command(kind)
    scgi = {"protocol": "scgi"} if kind in kinds.SCGI else {}
    pool = make_pool(command=command, workers=20, max_requests=50, max_requests_jitter=50, max_recycling=3, **scgi).up()
    limits = {each["max_requests"] for each in pool.status()["workers"]}
    assert min(limits) >= 50 and max(limits) <= 100 and len(limits) > 5, limits
    with Watch(pool, never_fewer(pool, 20, 3)) as watch:
        result = make_load(pool.address, scgi=bool(scgi), clients=12, requests=requests, script=script,
                           mix=MIX).wait(1800)
    assert_all_right(result, requests)
    status = pool.wait_status(lambda status: len(status["workers"]) == 20, what="quiet")
    counters = status["counters"]
    assert status["requests"] == requests, "counted"
    # A worker goes on while its successor starts, so some do more than their limit, and none does less.
    assert max(10, requests / 1000) <= counters["recycled_requests"] <= requests / 50
    assert counters["crashed"] == counters["left"] == counters["cut"] == counters["killed"] == 0, counters
    assert all(each["requests"] < each["max_requests"] for each in status["workers"])
    record_property("requests answered right", result.ok)
    record_property("replacements", counters["recycled_requests"])
    record_property("looks at the status", watch.looks)
    pool.stop()


def test_default_max_recycling_is_a_tenth(make_pool, make_load):
    pool = make_pool(workers=20, max_requests=40).up()
    with Watch(pool, never_fewer(pool, 20, 2)):
        assert_all_right(make_load(pool.address, clients=12, requests=3000, mix=MIX).wait(600), 3000)
    assert pool.status()["counters"]["recycled_requests"] >= 20
    pool.stop()


def test_through_nginx(make_pool, make_nginx, make_load):
    requests = build.count(2500, 50000)
    pool = make_pool(listen="127.0.0.1:0", workers=20, max_requests=50, max_requests_jitter=50).up()
    nginx = make_nginx(pool.status()["listen"])
    with Watch(pool, never_fewer(pool, 20, 2)):
        result = make_load(nginx.address, http=True, clients=12, requests=requests, mix=MIX).wait(1800)
    assert_all_right(result, requests)
    assert pool.status()["requests"] == requests
    pool.stop()


def test_kept_connections_count_by_request(make_pool, make_load):
    pool = make_pool(command=kinds.command("events")[0], workers=4, max_requests=50).up()
    result = make_load(pool.address, clients=8, keep=True, requests=20000, mix="GET:0,POST:65536").wait(600)
    assert_all_right(result, 20000)
    status = pool.wait_status(lambda status: status["requests"] == 20000, what="the count")
    assert status["counters"]["recycled_requests"] >= 5
    pool.stop()


def test_limit_changes_at_once(make_pool, make_load):
    """For the workers that run, too."""
    pool = make_pool(workers=4, max_requests=1000000).up()
    first = set(pool.serving())
    assert_all_right(make_load(pool.address, requests=400).wait(), 400)
    assert set(pool.serving()) == first
    pool.write(max_requests=20)
    pool.send_signal(1)
    pool.wait_status(lambda status: not first & set(pool.serving(status)) and len(pool.serving(status)) == 4,
                     what="four others")
    pool.write(max_requests=0)
    pool.send_signal(1)
    pool.wait_status(lambda status: all(each["max_requests"] is None for each in status["workers"]), what="no limit")


def test_max_lifetime(make_pool, make_load, record_property):
    """With a jitter they do not leave together."""
    pool = make_pool(workers=8, max_lifetime="600ms", max_lifetime_jitter="600ms", max_recycling=1).up()
    first = set(pool.serving())
    load = make_load(pool.address, clients=6, mix=MIX)
    with Watch(pool, never_fewer(pool, 8, 1)):
        pool.wait_status(lambda status: status["counters"]["recycled_lifetime"] >= build.count(24, 500), timeout=600,
                         what="replacements")
    result = load.stop()
    assert_all_right(result, 50)
    record_property("replacements", pool.status()["counters"]["recycled_lifetime"])
    record_property("requests answered right", result.ok)
    assert not first & set(pool.serving())
    pool.stop()


def test_idle_pool_renews_itself(make_pool):
    pool = make_pool(workers=2, max_lifetime="300ms").up()
    pool.wait_status(lambda status: status["counters"]["recycled_lifetime"] >= 6, what="six replacements")
    assert pool.status()["counters"]["crashed"] == 0 and pool.request().status == 200


def test_max_memory(make_pool, make_load, record_property):
    """A worker that leaks is replaced before it has grown much beyond its limit."""
    pool = make_pool(command=[build.worker("bad"), "leak", "256"], workers=4, max_memory="24M").up()
    largest = 0

    def check(status):
        nonlocal largest
        never_fewer(pool, 4, 1)(status)
        largest = max([largest] + [each["memory"] or 0 for each in status["workers"]])
    with Watch(pool, check):
        load = make_load(pool.address, clients=4, rate=800, mix=MIX)
        pool.wait_status(lambda status: status["counters"]["recycled_memory"] >= build.count(8, 200), timeout=900,
                         what="replacements")
        result = load.stop()
    assert_all_right(result, 50)
    record_property("replacements", pool.status()["counters"]["recycled_memory"])
    record_property("requests answered right", result.ok)
    record_property("largest worker MB", largest >> 20)
    assert 24 << 20 <= largest <= 240 << 20
    pool.stop()


def test_memory_of_children_counts(make_pool):
    """A worker and those that it has started are one. Those of an honest worker are left alone."""
    grower = ("import os, sys; child = os.fork(); block = b'x' * (64 << 20) if child == 0 else b''; "
              "child or __import__('time').sleep(600); os.execv(sys.argv[1], sys.argv[1:])")
    pool = make_pool(command=[build.installed("python3"), "-c", grower, build.worker("echo_fcgx")], workers=1,
                     max_memory="40M").up()
    first = pool.serving()
    pool.wait_status(lambda status: status["counters"]["recycled_memory"] >= 1, timeout=30, what="a replacement")
    assert pool.serving() != first
    honest = make_pool(workers=2, max_memory="40M").up()
    before = honest.serving()
    end = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > end, 10)
    assert honest.serving() == before


@pytest.mark.parametrize("kind", ["php", "php_children", "bad"])
def test_own_limit_is_no_crash(kind, make_pool, make_load):
    """A worker that leaves after each request is replaced at once: nobody waits for a backoff of seconds."""
    requests = build.count(100, 2000)
    command, script = ([build.worker("bad"), "leave-after", "1"], "/x") if kind == "bad" else kinds.command(kind)
    pool = make_pool(command=command, workers=4, env={"PHP_FCGI_MAX_REQUESTS": "1"},
                     backoff={"initial": "5s", "max": "30s"}).up()
    result = make_load(pool.address, clients=4, requests=requests, script=script, mix="GET:10,POST:1000").wait(100 + requests)
    assert_all_right(result, requests)
    status = pool.status()
    assert status["state"] == "running" and status["counters"]["crashed"] == 0 == status["counters"]["start_failed"]
    if kind != "php_children":
        assert status["counters"]["left"] >= requests - 4
    assert status["requests"] == requests


def test_crashes_are_counted_by_cause(make_pool):
    pool = make_pool(command=[build.worker("bad"), "crash-on-request"], workers=2, rlimits={"core": 0},
                     backoff={"initial": "10ms", "max": "50ms"}).up()
    for number in (1, 2):
        with pytest.raises(Exception):
            pool.request("/x?n=5&crash")
        pool.wait_status(lambda status: status["counters"]["crashed_signal"] == number and len(pool.serving(status)) == 2,
                         what="the count")
    counters = pool.status()["counters"]
    assert counters["crashed"] == 2 and counters["crashed_code"] == 0
    assert re.search(r"SEGV|signal 11", pool.log())


@pytest.mark.parametrize("settings, complaint", [
    ({"max_requests_jitter": 5}, "max_requests"), ({"max_lifetime_jitter": 5}, "max_lifetime"),
    ({"slowlog": {"stack": True}}, "threshold"), ({"graceful_timeout": 5, "timeout": 30}, "graceful_timeout")])
def test_check_warns(settings, complaint, make_pool):
    pool = make_pool(**settings)
    answer = pool.command("check")
    assert answer.returncode == 0 and complaint in answer.stderr + answer.stdout
