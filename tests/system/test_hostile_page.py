"""A worker that overwrites what it shares with the master harms nobody but itself."""

import re
import time

import pytest

from kit import build
from kit.kinds import only_one
from kit.load import assert_all_right
from kit.processes import command_line
from kit.wait import wait_until
from kit.watch import Watch

RATE = build.count(2000, 5000)
TIMES = build.count(6000, 100000)


def master(pool):
    """(resident kB, processor ticks) of the master."""
    with open(f"/proc/{pool.pid}/status") as stream:
        resident = int(re.search(r"^VmRSS:\s*(\d+)", stream.read(), re.M)[1])
    with open(f"/proc/{pool.pid}/stat") as stream:
        fields = stream.read().rpartition(")")[2].split()
    return resident, int(fields[11]) + int(fields[12])


def make(make_pool, directory, mode):
    return make_pool(command=only_one(directory / "lock", [build.worker("bad"), mode, str(RATE)],
                                      [build.worker("echo_fcgx")]),
                     workers=4, timeout=5, abort_timeout="200ms", max_requests=100000000, max_memory="1G",
                     request_header_timeout=5, slowlog={"file": "slow.log", "threshold": "2s"}, rlimits={"core": 0},
                     backoff={"initial": "10ms", "max": "100ms"}).up()


def good(pool):
    return {each["pid"] for each in pool.status()["workers"]
            if each["state"] == "serving" and command_line(each["pid"]).endswith("echo_fcgx")}


def overwritten(pool):
    tally = pool.directory / "scribbled"
    return 100 * tally.stat().st_size if tally.exists() else 0


def round_of_lies(pool, make_load, end):
    """Until `end()`, or until the hostile worker has lied itself into being replaced by a good one. Returns the
    requests that were counted right, and the looks at the status."""
    wait_until(lambda: len(good(pool)) == 3, 10, "three good workers")
    before, start = good(pool), master(pool)
    load = make_load(pool.address, clients=6, timeout_ms=20000, mix="GET:0,POST:1000,GET:65536?slow=4")

    def check(status):
        rows = {each["pid"]: each for each in status["workers"]}
        for pid in before:
            row = rows[pid]
            assert row["state"] == "serving" and row["observe"] == "preload", row
            assert not row["current"] or (row["current"]["uri"] or "/x?").startswith("/x?"), row
            assert sum(row["connections"].values()) <= 1, row
    with Watch(pool, check) as watch:
        wait_until(lambda: end() or len(good(pool)) == 4, 60 + 20 * TIMES / RATE, "the end of the lies")
        result = load.stop()
    # Who was in the hostile worker's hands may be lost with it.
    rows = {each["pid"]: each["requests"] for each in pool.status()["workers"]}
    answers = {pid: result.answers[pid] for pid in before}
    assert {pid: rows[pid] for pid in before} == answers
    resident, _ = master(pool)
    assert build.instrumented() or resident - start[0] < 20000, "memory"
    text = pool.command("status").stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    return sum(answers.values()), watch.looks


def test_page_of_a_worker(directory, make_pool, make_load, record_property):
    """Its row may say anything; the rows of the others stay right to the request, and they stay."""
    pool = make(make_pool, directory, "scribble")
    counted = looks = 0
    while overwritten(pool) < TIMES:
        more, seen = round_of_lies(pool, make_load, lambda: overwritten(pool) >= TIMES)
        counted, looks = counted + more, looks + seen
        pool.stop(timeout=60)
        pool.up()
    record_property("times overwritten", overwritten(pool))
    record_property("looks at the status", looks)
    record_property("requests counted right", counted)
    pool.stop(timeout=60)


def test_page_of_the_pool(directory, make_pool, make_load, record_property):
    """It holds hints only: nothing is lost, and the master does not spin."""
    pool = make(make_pool, directory, "scribble-pool")
    wait_until(lambda: len(good(pool)) == 3, 10, "three good workers")
    before = good(pool)
    load = make_load(pool.address, clients=6, mix="GET:0,POST:1000,GET:65536?slow=4")
    begun, (_, start) = time.monotonic(), master(pool)
    wait_until(lambda: overwritten(pool) >= TIMES, 60 + 20 * TIMES / RATE, f"{TIMES} times")
    resident, ticks = master(pool)
    share = (ticks - start) / 100 / (time.monotonic() - begun)
    assert_all_right(load.stop(), 100)
    record_property("times overwritten", overwritten(pool))
    record_property("share of a processor", round(share, 3))
    assert share < 0.5 and good(pool) >= before
    answer = pool.command("scale", "2", timeout=60)
    assert answer.returncode == 0, answer
    pool.stop(timeout=60)


@pytest.mark.parametrize("mode", ["scribble", "scribble-pool"])
def test_all_workers_are_hostile(mode, make_pool):
    """The master lives, answers, and stops when it is told to."""
    pool = make_pool(command=[build.worker("bad"), mode, str(RATE)], workers=4, timeout=2, abort_timeout="200ms",
                     graceful_timeout=2, rlimits={"core": 0}, backoff={"initial": "10ms", "max": "100ms"}).start()
    wait_until(lambda: overwritten(pool) >= TIMES, 60 + 20 * TIMES / RATE, f"{TIMES} times")
    assert pool.status()["workers"]
    pool.stop(timeout=60)
