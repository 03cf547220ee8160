"""Reloads in a row, good ones and broken ones, under load."""

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest

from kit import build, kinds
from kit.load import assert_all_right

MIX = "GET:0*4,POST:1,POST:65536,GET:65536?slow=8,GET:10?delay=20,POST:20000?slow=8"

# What changes, in turn: program, environment, limits, the socket.
CHANGES = [{"command": [build.worker("echo_threads")]}, {"env": {"TURN": "1"}}, {"timeout": 50, "max_requests": 300},
           {"listen_mode": "0666"}, {"command": [build.worker("echo_fcgx")], "backlog": 1000},
           {"env": {"TURN": "2"}, "graceful_timeout": 40}, {"max_requests": 0}, {"listen_mode": "0660"}]


def test_good_ones(make_pool, make_nginx, make_load, record_property):
    """Nothing is lost, and beside requests of 5 seconds those that take no time do not wait for anybody."""
    pool = make_pool(command=[build.worker("echo_fcgx")], workers=4, max_recycling=4, timeout=60).up()
    nginx = make_nginx(pool.address)
    load = make_load(nginx.address, http=True, clients=2, mix=MIX)
    long = make_load(nginx.address, http=True, clients=1, mix="GET:5?delay=5000")
    short = make_load(nginx.address, http=True, clients=1, rate=100, mix="GET:0")
    reloads = build.count(8, 100)
    for turn in range(reloads):
        pool.write(**CHANGES[turn % len(CHANGES)])
        done = pool.command("reload")
        assert done.returncode == 0, done.stderr
    results = [each.stop() for each in (load, long, short)]
    for result in results:
        assert_all_right(result, 1)
    record_property("reloads", reloads)
    record_property("requests answered right", sum(result.ok for result in results))
    record_property("slowest request without work in ms", results[2].slowest_ms)
    assert results[2].slowest_ms < 1000, "ten times what is promised"
    status = pool.status()
    assert status["generation"] == reloads + 1 and status["counters"]["cut"] == status["counters"]["crashed"] == 0
    pool.stop()


def broken(good):
    """What is in the file, the exit code, and what is said of it."""
    def file(**changes):
        return json.dumps({**good, **changes})
    return [("{", 78, "cut off"), (file(workerz=3), 78, "workerz: unknown setting"),
            (file(command=["/nowhere/app"]), 78, "/nowhere/app does not exist"),
            (file(command=kinds.complaining(code=3)), 70, kinds.COMPLAINT),
            (file(command=["/bin/sleep", "1000"], start_timeout="300ms"), 70, "start_timeout")]


def test_broken_ones(make_pool, make_load, record_property):
    pool = make_pool(workers=3).up()
    load = make_load(pool.address, clients=4, mix=MIX)
    before, counters = sorted(pool.serving()), pool.status()["counters"]
    choices = broken(json.loads(pool.file.read_text()))
    reloads = build.count(len(choices), 50)
    for turn in range(reloads):
        text, code, complaint = choices[turn % len(choices)]
        pool.file.write_text(text)
        failed = pool.command("reload", "--control", pool.control_path)
        assert failed.returncode == code and re.search(complaint, failed.stderr), failed.stderr
        status = pool.status()
        assert status["reload"]["state"] == "failed" and re.search(complaint, status["reload"]["reason"])
        assert sorted(pool.serving(status)) == before and status["state"] == "running"
    assert_all_right(load.stop(), 50)
    assert pool.status()["counters"]["crashed"] == counters["crashed"]
    record_property("reloads", reloads)
    pool.write()
    pool.stop()


@pytest.mark.parametrize("command", ["good", "broken"])
def test_stop_soon_after(command, make_pool, record_property):
    """At whatever moment of a reload: the exit code is 0, and nothing is left."""
    dice = random.Random(7)
    stops = build.count(5, 100)
    pool = make_pool(workers=3)
    good = pool.settings["command"]
    for _ in range(stops):
        pool.write(command=good)
        pool.up()
        pool.write(command=good if command == "good" else ["/bin/false"])
        pool.send_signal(signal.SIGHUP)
        time.sleep(dice.uniform(0, 0.03))
        pool.stop()
        assert not Path(pool.socket_path).exists()
    record_property("stops", stops)
