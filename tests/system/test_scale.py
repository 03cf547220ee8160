"""More workers and fewer, by signal and by command; never a request lost to it."""

import random
import signal
import time

import pytest

from kit import build, kinds
from kit.load import assert_all_right
from kit.processes import children


def settled(pool, number):
    """The pool wants, and has, exactly `number` serving workers and no other process."""
    def check(status):
        return (status["floor"] == number and len(status["workers"]) == number
                and len(pool.serving(status)) == number and len(children(pool.pid)) == number)
    return pool.wait_status(check, what=f"{number} workers")


def record_changes(record_property, changes, result):
    record_property("changes", changes)
    record_property("requests answered right", result.ok)
    record_property("lost", result.lost + result.refused)


def scale_quickly(pool, operand, limit=10):
    """The requests of the load take milliseconds, so a worker that is not gone after seconds was not looked after."""
    start = time.monotonic()
    answer = pool.command("scale", operand)
    elapsed = time.monotonic() - start
    assert answer.returncode == 0, answer
    assert elapsed < limit, f"scale {operand} took {elapsed:.1f} s"


def test_signals_add_and_take_one(make_pool):
    pool = make_pool(workers=2).up()
    for number, expected in ((signal.SIGTTIN, 3), (signal.SIGTTIN, 4), (signal.SIGTTOU, 3), (signal.SIGTTOU, 2),
                             (signal.SIGTTOU, 1)):
        pool.send_signal(number)
        settled(pool, expected)
    assert pool.request().status == 200


def test_floor_is_one(make_pool):
    pool = make_pool(workers=1).up()
    before = settled(pool, 1)["workers"]
    pool.send_signal(signal.SIGTTOU)
    pool.wait_log(r"TTOU")
    assert [each["pid"] for each in settled(pool, 1)["workers"]] == [each["pid"] for each in before]
    assert pool.command("scale", "0").returncode == 64
    assert pool.command("scale", "-1").returncode in (0, 64)
    assert [each["pid"] for each in settled(pool, 1)["workers"]] == [each["pid"] for each in before]


def test_scale_command(make_pool):
    """It returns when it is done."""
    pool = make_pool(workers=2).up()
    for operand, expected in (("5", 5), ("+2", 7), ("-4", 3), ("3", 3), ("-100", 1), ("+0", 1)):
        answer = pool.command("scale", operand)
        assert answer.returncode == 0, answer
        status = pool.status()
        assert status["floor"] == expected and len(pool.serving(status)) == len(status["workers"]) == expected
    for operand in ("many", "", "4097", "1x"):
        assert pool.command("scale", operand).returncode == 64, operand
    assert len(pool.serving()) == 1


def test_scale_of_no_master(make_pool):
    pool = make_pool()
    for command in (("scale", "3"), ("status",), ("stop",)):
        answer = pool.command(*command)
        assert answer.returncode == 69 and answer.stderr, command


def test_scale_tells_of_a_failing_pool(make_pool):
    pool = make_pool(workers=1, command=[build.worker("bad"), "exit", "3"], failures=2,
                     backoff={"initial": "10ms", "max": "50ms"}).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    answer = pool.command("scale", "2", timeout=20)
    assert answer.returncode == 70 and answer.stderr


def test_busy_worker_finishes_before_it_leaves(make_pool, make_load):
    pool = make_pool(workers=4).up()
    load = make_load(pool.address, clients=4, requests=4, mix="GET:10?delay=1500")
    load.wait_in_hand(pool, 4)
    answer = pool.command("scale", "1")
    assert answer.returncode == 0, answer
    assert_all_right(load.wait(), 4)
    status = settled(pool, 1)
    assert status["counters"]["cut"] == status["counters"]["aborted"] == 0


@pytest.mark.parametrize("kind", ["fcgx", "static", "poll", "perl", "php", "threads", "fcgiwrap", "events", "go"])
def test_changes_under_load_lose_nothing(kind, make_pool, make_load, record_property):
    changes = build.count(20 if kind == "fcgx" else 8, 100)
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=4).up()
    load = make_load(pool.address, clients=8, script=script,
                     mix="GET:0*4,POST:1,POST:65536,GET:65536?slow=5,GET:10?delay=5,POST:500000")
    dice = random.Random(17)
    now = 4
    for _ in range(changes):
        wanted = dice.choice([number for number in range(1, 9) if number != now])
        load.wait_ok(15)
        # Go takes every connection at once, and can only be ended when it has none: that is a matter of chance.
        scale_quickly(pool, str(wanted), limit=30 if kind == "go" else 10)
        now = wanted
    load.wait_ok(20)
    result = load.stop()
    assert_all_right(result, 15 * changes)
    record_changes(record_property, changes, result)
    status = settled(pool, now)
    assert status["counters"]["cut"] == status["counters"]["crashed"] == 0, status["counters"]
    pool.stop()


def test_who_is_at_a_request_is_not_stopped(make_pool, make_load):
    """A stop and a continuation are enough to spoil a request of many a program."""
    pool = make_pool(command=[build.worker("bad"), "fragile"], workers=4).up()
    load = make_load(pool.address, clients=8, mix="GET:10*9,GET:10?pause=40")
    for turn in range(build.count(10, 100)):
        load.wait_ok(50)
        scale_quickly(pool, "3" if turn % 2 == 0 else "4")
    assert_all_right(load.stop(), 50)
    pool.stop()


def test_changes_under_load_through_nginx_and_tcp(make_pool, make_nginx, make_load, record_property):
    changes = build.count(12, 100)
    pool = make_pool(listen="127.0.0.1:0", workers=2).up()
    nginx = make_nginx(pool.status()["listen"])
    load = make_load(nginx.address, http=True, clients=8,
                     mix="GET:0*4,POST:1,POST:65536,GET:65536?slow=5,GET:9?delay=5")
    for turn in range(changes):
        load.wait_ok(30)
        scale_quickly(pool, "+3" if turn % 2 == 0 else "-3" if turn % 4 == 3 else "-2")
    result = load.stop()
    assert_all_right(result, 30 * changes)
    record_changes(record_property, changes, result)
