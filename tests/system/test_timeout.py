"""A request that is older than `timeout` ends with its worker, and nothing else does."""

import re
import statistics
import time

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.processes import alive
from kit.wait import wait_until

TIMEOUT = 1.0
HUNG = "/hung?n=5&delay=600000"


def make(make_pool, kind, **settings):
    command, script = kinds.command(kind) if isinstance(kind, str) else (kind, "/x")
    return make_pool(command=command, **{"timeout": TIMEOUT, "abort_timeout": TIMEOUT, "rlimits": {"core": 0},
                                         **settings}).up(), script


def hang(pool, script):
    """Begins a request that hangs; returns the client, and when."""
    client = fastcgi.Kept(pool.address, timeout=60)
    client.begin(HUNG, params={"SCRIPT_FILENAME": script}, keep=False)
    return client, time.monotonic()


def is_hung(worker):
    """A request of the load that hangs is in its hand, and seen whole."""
    return ((worker["current"] or {}).get("uri") or "").startswith("/hung")


def worker_of_the_hung(pool):
    status = pool.wait_status(lambda status: [each for each in status["workers"]
                                              if (each["current"] or {}).get("uri") == HUNG], what="the hung request")
    return [each for each in status["workers"] if (each["current"] or {}).get("uri") == HUNG][0]


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + ["plain"] + kinds.SCGI))
def test_hung_request(kind, listen, make_pool, make_load, record_property):
    """Aborted in time, its URI in the log; the other workers serve on and lose nothing."""
    scgi = kind in kinds.SCGI
    where = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    pool, script = make(make_pool, kind, workers=3, **where, **({"protocol": "scgi"} if scgi else {}))
    address, ages = pool.status()["listen"], []
    for number in range(1, build.count(1, 10) + 1):
        load = make_load(address, scgi=scgi, clients=1, requests=1, script=script, prefix="/hung", mix="GET:5?delay=600000")
        status = pool.wait_status(lambda status: any(is_hung(each)
                                                     for each in status["workers"]), what="the hung request")
        begun = time.monotonic()
        hung = next(each for each in status["workers"] if is_hung(each))
        begun -= hung["current"]["age_ms"] / 1000
        others = set(pool.serving(status)) - {hung["pid"]}
        rest = make_load(address, scgi=scgi, clients=1, script=script, mix="GET:10*5,POST:5000,GET:100?delay=5")
        wait_until(lambda: load.process.poll() is not None, 30, "the end of the hung request")
        ages.append(time.monotonic() - begun)
        assert load.wait().lost == 1
        pool.wait_status(lambda status: status["counters"]["timeouts"] == number and len(pool.serving(status)) == 3,
                         what="a new worker")
        rest.wait_ok(10)
        assert_all_right(rest.stop(), 10)
        wait_until(lambda: not alive(hung["pid"]), 10, "the end of its worker")
        assert others <= set(pool.serving())
    text = pool.wait_log(r"^.*/hung/x\?n=5&delay=600000.*$")[0]
    assert "GET" in text and re.search(r"\b\d+(\.\d+)? ?m?s\b", text), text
    record_property("aborted after ms, median", round(statistics.median(ages) * 1000))
    record_property("aborted after ms, worst", round(max(ages) * 1000))
    assert min(ages) >= TIMEOUT - 0.05, ages
    assert statistics.median(ages) <= TIMEOUT + 0.5 and max(ages) <= TIMEOUT + 5, ages
    counters = pool.status()["counters"]
    assert counters["crashed"] == 0 and counters["aborted"] == counters["timeouts"]
    pool.stop()


@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + ["events"]))
def test_idle_and_kept_workers_are_left_alone(kind, make_pool):
    """However old a connection is, between two requests it is not overdue; each request has its own time."""
    pool, script = make(make_pool, kind, workers=2)
    params = {"SCRIPT_FILENAME": script}
    before = set(pool.serving())
    with fastcgi.Kept(pool.address) as client:
        for _ in range(3):
            assert client.ask(params=params).status == 200
            end = time.monotonic() + TIMEOUT
            wait_until(lambda: time.monotonic() > end, 10)
            assert client.ask(f"/x?n=5&delay={int(TIMEOUT * 400)}", params=params).status == 200
    status = pool.status()
    assert set(pool.serving(status)) == before and status["counters"]["timeouts"] == 0
    pool.stop()


def test_threads_are_not_aborted_for_one_of_them(make_pool, make_load):
    """Other requests of the same process end in peace: it is replaced, and aborted when only the hung one is left."""
    pool, script = make(make_pool, "threads", workers=1)
    client, _ = hang(pool, script)
    hung = worker_of_the_hung(pool)
    load = make_load(pool.address, clients=3, mix=f"GET:10?delay={int(TIMEOUT * 300)}")
    client.wait_end()
    pool.wait_status(lambda status: status["counters"]["timeouts"] == 1, what="the abort")
    load.wait_ok(6)
    assert_all_right(load.stop(), 6)
    assert hung["pid"] not in pool.serving()
    pool.wait_log(re.escape(HUNG))
    pool.stop()


def test_worker_that_heeds_no_abort_is_killed(make_pool):
    pool, script = make(make_pool, [build.worker("bad"), "ignore-signals"], workers=1, abort_timeout="300ms")
    client, begun = hang(pool, script)
    hung = worker_of_the_hung(pool)
    client.wait_end()
    assert time.monotonic() - begun >= TIMEOUT + 0.25
    pool.wait_status(lambda status: status["counters"]["killed"] == 1 and pool.serving(status)
                     and pool.serving(status) != [hung["pid"]], what="its replacement")
    assert pool.request().status == 200


def test_no_limit(make_pool):
    pool, script = make(make_pool, "fcgx", workers=1, timeout=0)
    assert pool.request(f"/x?n=5&delay={int(TIMEOUT * 2500)}").status == 200
    assert pool.status()["counters"]["timeouts"] == 0


def test_retiring_worker_too(make_pool):
    """A request that hangs while its worker is on the way out does not get more time than others."""
    pool, script = make(make_pool, "fcgx", workers=2, graceful_timeout=60)
    client, begun = hang(pool, script)
    worker_of_the_hung(pool)
    answer = pool.command("scale", "1", timeout=50)
    assert answer.returncode == 0, answer
    client.wait_end()
    assert TIMEOUT - 0.05 <= time.monotonic() - begun <= TIMEOUT + 5
    assert pool.request().status == 200


def test_kernel_way_has_no_timeout(make_pool):
    """Nobody knows how old a request is."""
    pool, script = make(make_pool, "fcgx", workers=1, observe="kernel")
    assert pool.request(f"/x?n=5&delay={int(TIMEOUT * 2500)}").status == 200
