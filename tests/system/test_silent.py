"""Clients that connect and do not send their request: shown as such, ended in time, and nobody else with them."""

import time

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.wait import wait_until

LIMIT = 1.0
# libfcgi gives a connection up after 2 s without a byte; these bytes make it wait for ever.
BEGUN = fastcgi.encode("POST", "/silent", b"body")[:40]


def ended_after(client, begun):
    client.wait_end()
    return time.monotonic() - begun


@pytest.mark.parametrize("sent", [b"", BEGUN[:5], BEGUN])
@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + ["events", "plain"]))
def test_silent_client_is_ended(kind, sent, make_pool, make_load, record_property):
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=3, request_header_timeout=LIMIT).up()
    before = set(pool.serving())
    begun = time.monotonic()
    with fastcgi.Kept(pool.address) as client:
        client.connection.sendall(sent)

        def silent(status):
            return [each for each in status["workers"] if each["connections"]["connected"] and each["current"]
                    and each["current"]["state"] == "connected" and each["current"]["age_ms"] > LIMIT * 200]
        pool.wait_status(silent, timeout=5, what="a connection without a request")
        load = make_load(pool.address, clients=2, script=script, mix="GET:10*5,POST:5000,GET:100?delay=5")
        elapsed = ended_after(client, begun)
    record_property("ended after ms", round(elapsed * 1000))
    assert LIMIT * 0.95 <= elapsed <= LIMIT + 10 * 0.5
    load.wait_ok(20)
    assert_all_right(load.stop(), 20)
    status = pool.wait_status(lambda status: not any(each["connections"]["connected"] for each in status["workers"]))
    assert set(pool.serving(status)) == before, "a worker went with it"
    assert status["counters"]["aborted"] == status["counters"]["crashed"] == status["counters"]["left"] == 0
    pool.wait_log(r"request_header_timeout|sent no request")
    pool.stop()


@pytest.mark.parametrize("kind", ["fcgx", "threads", "perl", "php"])
def test_all_workers_held_by_silent_clients(kind, make_pool):
    """Whoever comes meanwhile waits for no longer than the limit."""
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=2, request_header_timeout=LIMIT).up()
    silent = [fastcgi.Kept(pool.address) for _ in range(8)]
    for each in silent:
        each.connection.sendall(BEGUN)
    assert pool.request(timeout=60, params={"SCRIPT_FILENAME": script}).status == 200
    for each in silent:
        each.connection.close()
    pool.stop()


def test_slow_body_is_no_silence(make_pool):
    pool = make_pool(workers=1, request_header_timeout=LIMIT).up()
    whole = fastcgi.encode("POST", "/x", b"b" * 30000)
    with fastcgi.Kept(pool.address) as client:
        client.connection.sendall(whole[:20000])
        pool.wait_status(lambda status: (status["workers"][0]["current"] or {"age_ms": 0})["age_ms"] > LIMIT * 2000,
                         what="a slow body")
        client.connection.sendall(whole[20000:])
        assert client.answer().body == b"b" * 30000


@pytest.mark.parametrize("kind", ["fcgx", "php", "events"])
def test_kept_connection_may_be_silent(kind, make_pool):
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=1, request_header_timeout=LIMIT).up()
    with fastcgi.Kept(pool.address) as client:
        assert client.ask(params={"SCRIPT_FILENAME": script}).status == 200
        end = time.monotonic() + 2.5 * LIMIT
        wait_until(lambda: time.monotonic() > end, 10)
        assert pool.status()["workers"][0]["connections"]["kept"] == 1
        assert client.ask(params={"SCRIPT_FILENAME": script}).status == 200


def test_no_limit(make_pool):
    pool = make_pool(command=[build.worker("echo_plain")], workers=1, request_header_timeout=0).up()
    with fastcgi.Kept(pool.address) as client:
        pool.wait_status(lambda status: (status["workers"][0]["current"] or {"age_ms": 0})["age_ms"] > 2000)
        assert client.ask().status == 200
