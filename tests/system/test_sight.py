"""What the status tells of requests inside unmodified workers."""

import json
import re
import socket
import time

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.wait import wait_until

ALL = kinds.PRELOAD + kinds.PRELOAD_ODD
NONE_OPEN = {"connected": 0, "busy": 0, "finishing": 0, "kept": 0}


def make(make_pool, kind, listen="unix", **settings):
    command, script = kinds.command(kind)
    where = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    if kind in kinds.SCGI:
        where["protocol"] = "scgi"
    return make_pool(command=command, **where, **settings).up(), script


def only(status):
    """The one worker."""
    assert len(status["workers"]) == 1, status["workers"]
    return status["workers"][0]


def wait_current(pool, state):
    """The status of the one worker when it is at a request, or a connection, in this state."""
    status = pool.wait_status(lambda status: (only(status)["current"] or {}).get("state") == state, what=state)
    return only(status)


def wait_idle(pool):
    return pool.wait_status(lambda status: all(
        each["current"] is None and each["connections"] == NONE_OPEN for each in status["workers"]), what="idleness")


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.some(ALL + kinds.SCGI))
def test_request_in_hand(kind, listen, make_pool, make_load):
    """Method, URI and how long, as long as the worker is at it and no longer."""
    pool, script = make(make_pool, kind, listen, workers=1)
    assert only(pool.status())["requests"] == 0
    for number, method in enumerate(("GET", "POST"), 1):
        load = make_load(pool.status()["listen"], scgi=kind in kinds.SCGI, clients=1, requests=1, script=script,
                         prefix="/deep", mix=f"{method}:10?delay=1000")
        worker = wait_current(pool, "busy")
        query = "n=10&delay=1000" if method == "GET" else "delay=1000"
        assert worker["current"]["method"] == method and worker["current"]["uri"] == f"/deep/x?{query}"
        assert worker["connections"]["busy"] == 1 and worker["requests"] == number
        before, start = worker["current"]["age_ms"], time.monotonic()
        later = pool.wait_status(lambda status: only(status)["current"]["age_ms"] >= before + 200, what="some age")
        assert only(later)["current"]["age_ms"] - before <= (time.monotonic() - start) * 1000 + 100
        assert only(later)["pid"] == worker["pid"]
        assert_all_right(load.wait(), 1)
        assert only(wait_idle(pool))["requests"] == number
    pool.stop()


@pytest.mark.parametrize("way", ["direct", "nginx"])
@pytest.mark.parametrize("kind", kinds.some(ALL + kinds.SCGI))
def test_counts_are_exact(kind, way, make_pool, make_nginx, make_load, record_property):
    """To the request, of each worker and of all."""
    requests = build.count(300, 10000)
    pool, script = make(make_pool, kind, workers=4)
    address, http, scgi = pool.address, way == "nginx", kind in kinds.SCGI
    if http:
        address = make_nginx(address, script, protocol="scgi" if scgi else "fastcgi").address
    result = make_load(address, http=http, scgi=scgi and not http, clients=6, requests=requests, script=script,
                       mix="GET:0,POST:1,GET:65536,POST:65536,GET:100?slow=4").wait(1800)
    assert_all_right(result, requests)
    status = wait_idle(pool)
    assert status["requests"] == requests == sum(each["requests"] for each in status["workers"])
    if kind not in kinds.FORKING:
        assert {each["pid"]: each["requests"] for each in status["workers"] if each["requests"]} == result.answers
    record_property("requests counted", requests)
    pool.stop()


@pytest.mark.parametrize("kind", kinds.some(kinds.KEEPING))
def test_kept_connections(kind, make_pool, make_load):
    """Many requests on one connection, each counted; between two the worker is idle and the connection is kept."""
    pool, script = make(make_pool, kind, workers=1)
    with fastcgi.Kept(pool.address) as client:
        for number in range(1, 5):
            body = b"b" * (number * 40000)
            answer = client.ask("/x", "POST", body, {"SCRIPT_FILENAME": script})
            assert answer.body == body
            worker = only(pool.wait_status(lambda status: only(status)["connections"]["kept"] == 1, what="a kept one"))
            assert worker["current"] is None and worker["requests"] == number
        client.begin("/x?n=5&delay=800", params={"SCRIPT_FILENAME": script})
        assert wait_current(pool, "busy")["current"]["uri"] == "/x?n=5&delay=800"
        assert client.answer().body == b"abcde"
    wait_idle(pool)
    clients = kinds.KEEPING[kind]
    result = make_load(pool.address, clients=clients, requests=200, keep=True, script=script,
                       mix="GET:0,POST:1,POST:65536").wait()
    assert_all_right(result, 200)
    assert result.connections == clients and result.stale + result.stale_posts == 0
    assert wait_idle(pool)["requests"] == 205
    pool.stop()


@pytest.mark.parametrize("kind", ["threads", "events", "php_children"])
def test_several_at_once(kind, make_pool, make_load):
    """One worker with as many requests in hand as it can have; `current` is the oldest."""
    pool, script = make(make_pool, kind, workers=1)
    at_once = min(4, kinds.KEEPING[kind])
    with fastcgi.Kept(pool.address) as first:
        first.begin("/x?n=5&delay=2500&first", params={"SCRIPT_FILENAME": script})
        wait_current(pool, "busy")
        load = make_load(pool.address, clients=at_once - 1, requests=at_once - 1, script=script, mix="GET:5?delay=1500")
        status = pool.wait_status(lambda status: only(status)["connections"]["busy"] == at_once, what="all in hand")
        assert only(status)["current"]["uri"].endswith("&first")
        assert first.answer().body == b"abcde"
    assert_all_right(load.wait(), at_once - 1)
    assert wait_idle(pool)["requests"] == at_once
    pool.stop()


def test_observe_says_how(make_pool, make_load):
    """Asked for the kernel way, nobody is looked into, and what is not known is null."""
    for observe, expected in (("auto", "preload"), ("preload", "preload"), ("kernel", "kernel")):
        pool = make_pool(observe=observe).up()
        assert_all_right(make_load(pool.address, requests=20).wait(), 20)
        for each in pool.status()["workers"]:
            assert each["observe"] == expected
            assert (each["requests"] is None) == (each["connections"] is None) == (expected == "kernel")
            assert each["current"] is None
        pool.stop()


def test_rate_and_times_of_service(make_pool, make_load):
    pool = make_pool(workers=2).up()
    assert pool.status()["service_ms"] is None or pool.status()["service_ms"]["p50"] is None
    result = make_load(pool.address, clients=2, requests=200, mix="GET:10?delay=20*19,GET:10?delay=200").wait()
    assert_all_right(result, 200)
    status = pool.wait_status(lambda status: status["requests"] == 200 and status["service_ms"], what="times")
    times = status["service_ms"]
    # A bucket is an eighth of an octave wide; the machine may be slow, but never fast.
    assert 17 <= times["p50"] <= 199 and 170 <= times["p99"] <= 2000, times
    assert times["p50"] <= times["p90"] <= times["p99"], times
    assert status["rate"] > 0
    pool.wait_status(lambda status: status["rate"] == 0, timeout=40, what="a rate of nothing")


def test_queue_has_a_peak(make_pool, make_load):
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=6, requests=12, mix="GET:5?delay=200")
    pool.wait_status(lambda status: status["queue"]["now"] >= 4, what="a queue")
    assert_all_right(load.wait(), 12)
    status = pool.wait_status(lambda status: status["queue"]["now"] == 0, what="an empty queue")
    assert 4 <= status["queue"]["peak"] <= 6


def test_all_busy_is_noticed_without_a_queue(make_pool, make_load):
    """The worker that takes the last idle place says so; nobody has to wait for it to be seen."""
    pool = make_pool(workers=3).up()
    before = pool.status()["counters"]["all_busy"]
    with fastcgi.Kept(pool.address) as one, fastcgi.Kept(pool.address) as two:
        one.begin("/x?n=5&delay=3000")
        two.begin("/x?n=5&delay=3000")
        pool.wait_status(lambda status: sum(each["connections"]["busy"] for each in status["workers"]) == 2)
        assert pool.status()["counters"]["all_busy"] == before
        assert pool.request("/x?n=5&delay=30").status == 200
        pool.wait_status(lambda status: status["counters"]["all_busy"] > before, what="the count")


def test_memory_of_the_workers(make_pool):
    pool = make_pool(command=[build.worker("bad"), "leak", "32768"], workers=1).up()
    first = only(pool.status())["memory"]
    assert 100_000 < first < 30_000_000
    for _ in range(3):
        assert pool.request().status == 200
    pool.wait_status(lambda status: only(status)["memory"] > first + 90_000_000, what="memory that has grown")


def test_long_uri_is_cut(make_pool):
    pool = make_pool(workers=1).up()
    uri = "/x?n=5&delay=1200&" + "u" * 5000
    with fastcgi.Kept(pool.address) as client:
        client.begin(uri)
        shown = wait_current(pool, "busy")["current"]["uri"]
        assert len(shown) >= 150 and uri.startswith(shown.rstrip("…"))
        assert client.answer().status == 200


def test_uri_that_is_no_text(make_pool):
    """Bytes that would move a terminal, break a line or end a string: the JSON holds, the table shows none."""
    pool = make_pool(workers=1).up()
    uri = "/\x1b[2J\r\n\"\\\x7f\t/x?n=5&delay=1500"
    with fastcgi.Kept(pool.address) as client:
        client.begin(uri, params={"QUERY_STRING": "n=5&delay=1500"})
        wait_current(pool, "busy")
        table = pool.command("status")
        shown = json.loads(pool.command("status", "--json").stdout)
        assert table.returncode == 0 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", table.stdout)
        assert shown["workers"][0]["current"]["method"] == "GET"
        assert client.answer().status == 200


def test_table_for_people(make_pool, make_load):
    pool = make_pool(workers=2).up()
    assert_all_right(make_load(pool.address, requests=123).wait(), 123)
    with fastcgi.Kept(pool.address) as client:
        client.begin("/people?n=5&delay=1500")
        pool.wait_status(lambda status: any(each["current"] for each in status["workers"]))
        table = pool.command("status").stdout
        assert re.search(r"GET\s+/people\?n=5&delay=1500", table), table
        assert "124" in table and "preload" in table, table
        assert client.answer().status == 200


@pytest.mark.parametrize("kind", ["fcgx", "threads", "perl", "php"])
def test_client_that_leaves_in_mid_request(kind, make_pool):
    """Its connection and its request are over as soon as the worker has noticed; nothing stays in the table."""
    pool, script = make(make_pool, kind, workers=1)
    whole = fastcgi.encode("POST", "/x", b"b" * 200000, {"SCRIPT_FILENAME": script})
    for size in (0, 1, 7, 9, 16, 30, 200, len(whole) - 100000):
        with fastcgi.connect(pool.address) as connection:
            connection.sendall(whole[:size])
            connection.shutdown(socket.SHUT_WR)
            wait_until(lambda: drained(connection), 20, "the worker's end")
    wait_idle(pool)
    assert pool.request(params={"SCRIPT_FILENAME": script}).status == 200
    pool.stop()


def drained(connection):
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
