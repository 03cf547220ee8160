"""More workers when there is work for more, fewer when there is not, and nothing lost to it."""

import os
import re
import signal
import time

import pytest

from kit import build, fastcgi, kinds
from kit.idle import settle, sleeps
from kit.load import assert_all_right, assert_none_lost
from kit.processes import alive
from kit.wait import wait_until

MIX = "GET:10?delay=300,POST:1000?delay=300"


def make(make_pool, kind="fcgx", low=1, high=16, **settings):
    """A dynamic pool, and its workers' SCRIPT_FILENAME."""
    command, script = kinds.command(kind)
    scgi = {"protocol": "scgi"} if kind in kinds.SCGI else {}
    pool = make_pool(command=command, workers={"min": low, "max": high}, idle_timeout=1, **scgi, **settings).start()
    pool.wait_status(lambda status: status["state"] == "running" and len(pool.serving(status)) == low, what="running")
    return pool, script


def wait_workers(pool, number, timeout=15):
    return pool.wait_status(lambda status: len(pool.serving(status)) == number and len(status["workers"]) == number,
                            timeout=timeout, what=f"{number} workers")


def wanted(pool):
    return pool.status()["wanted"]


# ---- up and down ----

@pytest.mark.parametrize("low", [0, 1])
@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + kinds.SCGI))
def test_step_up_and_down(kind, low, make_pool, make_load):
    """As many as there are requests serve within the time of a start; after them, none beyond the floor."""
    clients = 12
    places = {"threads": 4, "php_children": 2}.get(kind, 1)
    pool, script = make(make_pool, kind, low, high=clients)
    load = make_load(pool.address, scgi=kind in kinds.SCGI, clients=clients, script=script, mix=MIX)
    if kind != "events":  # which serves any number in one worker
        pool.wait_status(lambda status: len(pool.serving(status)) >= clients // places, what="workers for all")
    load.wait_ok(2 * clients)
    assert_all_right(load.stop())
    wait_workers(pool, low)
    assert pool.status()["counters"]["crashed"] == 0
    pool.stop()


@pytest.mark.parametrize("first", ["a kept connection", "a slow request"])
def test_who_waits_behind_a_worker_that_takes_nobody_gets_another(first, make_pool, make_load):
    """However short requests were until then, for two seconds."""
    pool = make_pool(workers={"min": 1, "max": 3, "spare": 0}).start()
    pool.wait_ready(1)
    load = make_load(pool.address, clients=1, rate=50, mix="GET:1")
    load.wait_ok(100)
    assert_all_right(load.stop())
    with fastcgi.Kept(pool.address) as connection:
        if first == "a kept connection":
            connection.ask()
        else:
            connection.begin("/x?n=5&delay=10000")
        assert pool.request(timeout=5).status == 200


def test_the_last_work_seen_is_not_taken_to_last(make_pool):
    """Workers that are late to be idle again after their last request."""
    pool = make_pool(command=[build.worker("odd.py"), "dawdle"], workers={"min": 1, "max": 2, "spare": 1}, idle_timeout=1).start()
    pool.wait_ready(1)
    for _ in range(2):
        assert pool.request("/x").status == 200
    pool.wait_status(lambda status: len(pool.serving(status)) >= 2, what="one more")
    wait_workers(pool, 1, timeout=30)


@pytest.mark.parametrize("observe, kind", [("kernel", "fcgx"), ("auto", "static"), ("auto", "go")])
def test_workers_that_nobody_sees_into(observe, kind, make_pool, make_load):
    pool, script = make(make_pool, kind, 1, high=8, observe=observe)
    load = make_load(pool.address, clients=8, script=script, mix=MIX)
    if kind != "go":
        wait_workers(pool, 8)
    load.wait_ok(24)
    assert_all_right(load.stop())
    wait_workers(pool, 1)


def test_behind_nginx(make_pool, make_nginx, make_load):
    pool, _ = make(make_pool, high=12)
    nginx = make_nginx(pool.address)
    load = make_load(nginx.address, http=True, clients=12, mix=MIX)
    wait_workers(pool, 12)
    load.wait_ok(24)
    assert_all_right(load.stop())
    wait_workers(pool, 1)


def test_burst_onto_an_empty_pool(make_pool, make_load):
    pool, _ = make(make_pool, low=0, high=20)
    assert pool.status()["workers"] == []
    assert_all_right(make_load(pool.address, clients=20, requests=20, mix=MIX).wait(), 20)
    wait_workers(pool, 0)
    assert pool.request().status == 200


def test_trickle_does_not_hold_workers(make_pool, make_load):
    pool, _ = make(make_pool, high=8)
    load = make_load(pool.address, clients=8, mix=MIX)
    wait_workers(pool, 8)
    assert_all_right(load.stop())
    trickle = make_load(pool.address, clients=1, rate=5, mix="GET:1")
    pool.wait_status(lambda status: status["wanted"] <= 2 and len(pool.serving(status)) <= 2, what="few workers")
    assert_all_right(trickle.stop())


def test_up_and_down_again_and_again(make_pool, make_load):
    """A retirement that meets a burst loses nothing either."""
    pool, _ = make(make_pool, high=10)
    pool.write(idle_timeout=0.1)
    pool.send_signal(signal.SIGHUP)
    trickle = make_load(pool.address, clients=2, mix="GET:1,POST:100000?slow=4")
    for _ in range(build.count(6, 100)):
        assert_all_right(make_load(pool.address, clients=10, requests=20, mix="GET:10?delay=100").wait(), 20)
        before = wanted(pool)
        pool.wait_status(lambda status: status["wanted"] < before or status["wanted"] <= 4, what="fewer")
    assert_all_right(trickle.stop())


def test_the_idle_ones_leave(make_pool, make_load):
    """A worker with a long request is not told to leave while others are idle."""
    pool, _ = make(make_pool, high=6)
    load = make_load(pool.address, clients=6, requests=6, mix="GET:10?delay=600")
    wait_workers(pool, 6)
    assert_all_right(load.wait(), 6)
    long = make_load(pool.address, clients=1, requests=1, mix="GET:10?delay=3000")
    busy = pool.wait_status(lambda status: [each["pid"] for each in status["workers"] if each["current"]], what="a request")
    pid = [each["pid"] for each in busy["workers"] if each["current"]][0]
    pool.wait_status(lambda status: len(status["workers"]) <= 3, what="fewer workers")
    assert pid in pool.serving()
    assert_all_right(long.wait(), 1)


# ---- settings and hands ----

def test_start_and_spare(make_pool):
    pool = make_pool(workers={"min": 1, "max": 9, "start": 6, "spare": 2}, idle_timeout=1).start()
    pool.wait_status(lambda status: len(pool.serving(status)) == 6, what="those of the start")
    wait_workers(pool, 2)  # nobody has work
    pool.request()
    pool.wait_status(lambda status: len(pool.serving(status)) >= 3, what="one more")
    wait_workers(pool, 2)


def test_the_floor_moves(make_pool, make_load):
    pool, _ = make(make_pool, high=4)
    for number, floor in ((signal.SIGTTIN, 2), (signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1),
                          (signal.SIGTTOU, 1)):
        pool.send_signal(number)
        pool.wait_status(lambda status: status["floor"] == floor)
    assert pool.command("scale", "3").returncode == 0
    wait_workers(pool, 3)
    load = make_load(pool.address, clients=4, mix=MIX)
    wait_workers(pool, 4)
    assert_all_right(load.stop())
    wait_workers(pool, 3)
    assert pool.command("scale", "9").returncode == 64
    status = pool.status()
    assert (status["floor"], status["min"], status["max"]) == (3, 1, 4)


def test_another_maximum_holds_at_once(make_pool, make_load):
    pool, _ = make(make_pool, high=3)
    load = make_load(pool.address, clients=10, mix=MIX)
    wait_workers(pool, 3)
    pool.write(workers={"min": 1, "max": 10})
    pool.send_signal(signal.SIGHUP)
    wait_workers(pool, 10)
    pool.write(workers={"min": 1, "max": 2})
    pool.send_signal(signal.SIGHUP)
    wait_workers(pool, 2)
    assert_all_right(load.stop())


@pytest.mark.parametrize("workers, named", [({"min": 1, "max": 4, "start": 5}, "workers.start"),
                                            ({"min": 1, "max": 4, "spare": 5}, "workers.spare"),
                                            ({"min": 1, "max": 4, "spare": "many"}, "workers.spare"),
                                            ({"min": 5, "max": 4}, "workers.min")])
def test_impossible_numbers(workers, named, make_pool):
    answer = make_pool(workers=workers).command("check")
    assert answer.returncode == 78 and named in answer.stderr


# ---- what is told ----

def test_log_says_why(make_pool, make_load):
    pool, _ = make(make_pool, high=5)
    assert_all_right(make_load(pool.address, clients=5, requests=5, mix=MIX).wait(), 5)
    wait_workers(pool, 1)
    log = pool.log()
    assert re.search(r"5 workers are wanted: \d+ of \d+ are busy, \d+ connections wait; work for \d+, and \d+ to spare", log)
    assert re.search(r"1 workers are wanted: there was no work for more within idle_timeout", log)


def test_saturation(make_pool, make_load):
    pool, _ = make(make_pool, high=2)
    assert not pool.status()["saturated"]
    load = make_load(pool.address, clients=10, mix=MIX)
    pool.wait_status(lambda status: status["saturated"], what="saturation")
    load.wait_ok(20)
    counters = pool.status()["counters"]
    assert counters["saturated"] == 1 and counters["saturated_ms"] >= 100
    assert_all_right(load.stop())
    status = pool.wait_status(lambda status: not status["saturated"], what="its end")
    assert 5 <= status["counters"]["saturated_requests"] <= status["requests"]
    assert len(re.findall("more work than it may have workers for", pool.log())) == 1
    assert "keep up again" in pool.log()


# ---- trouble ----

def test_a_pool_on_demand_that_stops_serves_first(make_pool, make_load):
    """The first connection and the stop come together."""
    for _ in range(build.count(5, 100)):
        pool, _ = make(make_pool, low=0)
        load = make_load(pool.address, clients=1, requests=1, mix="GET:5")
        wait_until(lambda: load.progress() or load.process.poll() is not None, 5)
        pool.send_signal(signal.SIGTERM)
        result = load.wait()
        assert result.lost == 0, result
        assert pool.wait_exit() == 0


def test_idle_workers_that_are_killed_do_not_count(make_pool, make_load):
    """Nobody may wait for places that have died."""
    pool, _ = make(make_pool, low=3, high=8)
    for _ in range(4):
        victims = pool.serving()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        pool.wait_status(lambda status: len(pool.serving(status)) == 3 and not set(victims) & set(pool.serving(status)),
                         what="successors")
    load = make_load(pool.address, clients=8, mix=MIX)
    wait_workers(pool, 8)
    assert_all_right(load.stop())


def test_workers_that_fail_to_start_do_not_storm(directory, make_pool, make_load):
    """A pool on demand whose workers cannot start tries as seldom as any."""
    pool = make_pool(command=[build.worker("bad"), "exit", "1"], workers={"min": 0, "max": 8}, failures=2,
                     backoff={"initial": "300ms", "max": "30s"}).start()
    pool.wait_status(lambda status: status["state"] == "running")
    client = fastcgi.connect(pool.address)
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end, 5)
    assert pool.status()["counters"]["spawned"] <= 6
    client.close()


@pytest.mark.parametrize("low", [0, 2])
@pytest.mark.parametrize("observe", ["auto", "kernel"])
def test_idle_pool_makes_no_wake_up(low, observe, make_pool, make_load):
    pool, _ = make(make_pool, low=low, high=8, observe=observe)
    assert_all_right(make_load(pool.address, clients=8, requests=16, mix="GET:10?delay=50").wait(), 16)
    wait_workers(pool, low)
    settle(pool)
    assert sleeps(pool.pid, 2)
    assert pool.request().status == 200


@pytest.mark.parametrize("low", [0, 2])
def test_paused_pool_sleeps_while_connections_wait(low, make_pool, make_load):
    pool, _ = make(make_pool, low=low, high=8)
    assert pool.command("pause").returncode == 0
    load = make_load(pool.address, clients=4, requests=4, mix="GET:1")
    pool.wait_status(lambda status: status["queue"]["now"] == 4, what="the queue")
    wait_until(lambda: sleeps(pool.pid, 1), 20, "a sleeping master")
    assert pool.command("resume").returncode == 0
    assert_all_right(load.wait(), 4)


def test_quick_stop_while_it_grows(make_pool, make_load):
    pool, _ = make(make_pool, high=16)
    load = make_load(pool.address, clients=16, mix=MIX)
    pool.wait_status(lambda status: status["wanted"] > 8, what="growth")
    pids = [each["pid"] for each in pool.status()["workers"]]
    pool.send_signal(signal.SIGQUIT)
    assert pool.wait_exit() == 0
    load.kill()
    assert not [pid for pid in pids if alive(pid)]


def test_graceful_stop_while_it_grows(make_pool, make_load):
    pool, _ = make(make_pool, high=16)
    load = make_load(pool.address, clients=16, mix=MIX)
    pool.wait_status(lambda status: status["wanted"] > 8, what="growth")
    pool.send_signal(signal.SIGTERM)
    assert pool.wait_exit(40) == 0
    assert_none_lost(load.stop())
