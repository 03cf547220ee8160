"""Pools of SCGI workers: nginx in front, requests counted, scaled and stopped under load."""

import os
import random
import signal
import socket

import pytest

from kit import build, kinds
from kit.load import assert_all_right, assert_none_lost
from kit.wait import wait_until

REQUESTS = build.count(400, 10000)
MIX = "GET:0*6,GET:1*6,GET:65536*6,GET:8388608,POST:0*3,POST:1*3,POST:65536*4,POST:8388608"


@pytest.fixture
def scgi_pool(make_pool):
    """scgi_pool(kind, listen="unix", **settings): a Pool that has not been started yet."""
    def make(kind="scgi", listen="unix", **settings):
        if listen == "tcp":
            settings["listen"] = "127.0.0.1:0"
        return make_pool(command=kinds.command(kind)[0], protocol="scgi", **settings)
    return make


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.SCGI)
def test_behind_nginx(kind, listen, scgi_pool, make_nginx, make_load, record_property):
    """With request buffering only: without, nginx announces less of a body than it sends (seen with 1.22)."""
    pool = scgi_pool(kind, listen, workers=4).up()
    nginx = make_nginx(pool.status()["listen"], protocol="scgi")
    result = make_load(nginx.address, http=True, clients=8, requests=REQUESTS, mix=MIX).wait(1800)
    assert_all_right(result, REQUESTS)
    record_property("requests answered right", result.ok)
    status = pool.status()
    assert len(pool.serving(status)) == 4
    assert status["counters"]["crashed"] == 0
    pool.stop()


@pytest.mark.parametrize("kind", kinds.SCGI)
def test_directly(kind, scgi_pool, make_load):
    """Without a web server: all four take their share."""
    pool = scgi_pool(kind, workers=4).up()
    result = make_load(pool.address, scgi=True, clients=8, requests=build.count(200, 10000),
                       mix="GET:0,POST:65536,GET:65536?slow=4,POST:1?delay=2").wait(1800)
    assert_all_right(result)
    assert set(result.pids) == set(pool.serving())
    pool.stop()


@pytest.mark.parametrize("kind", kinds.SCGI)
def test_changes_under_load_lose_nothing(kind, scgi_pool, make_load, record_property):
    changes = build.count(8, 100)
    pool = scgi_pool(kind, workers=4).up()
    load = make_load(pool.address, scgi=True, clients=8,
                     mix="GET:0*4,POST:1,POST:65536,GET:65536?slow=5,GET:10?delay=5,POST:500000")
    dice = random.Random(17)
    now = 4
    for _ in range(changes):
        now = dice.choice([number for number in range(1, 9) if number != now])
        load.wait_ok(15)
        answer = pool.command("scale", str(now))
        assert answer.returncode == 0, answer
    load.wait_ok(20)
    result = load.stop()
    assert_all_right(result, 15 * changes)
    record_property("changes", changes)
    record_property("requests answered right", result.ok)
    status = pool.status()
    assert len(pool.serving(status)) == now
    assert status["counters"]["cut"] == status["counters"]["crashed"] == 0, status["counters"]
    pool.stop()


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.SCGI)
def test_graceful_stop_under_load(kind, listen, scgi_pool, make_load):
    """Every request that was accepted into the queue is answered; whoever comes later is refused."""
    pool = scgi_pool(kind, listen).up()
    load = make_load(pool.status()["listen"], scgi=True, clients=24,
                     mix="GET:10?delay=15,POST:65536,GET:65536?slow=12,GET:10?delay=5,POST:300000?delay=3")
    load.wait_ok(40)
    pool.stop()
    wait_until(lambda: load.progress().refused, 10, "refusals after the stop")
    assert_none_lost(load.stop(), 40)


def test_dead_worker_is_replaced(scgi_pool, make_load):
    pool = scgi_pool().up()
    first = set(pool.serving())
    os.kill(min(first), signal.SIGKILL)
    pool.wait_status(lambda status: len(set(pool.serving(status)) - {min(first)}) == 2, what="a new worker")
    assert_all_right(make_load(pool.address, scgi=True, requests=100).wait(), 100)


def test_client_that_repeats_a_header_is_answered(scgi_pool, make_nginx):
    """nginx before 1.23 sends the name twice, which SCGI forbids."""
    pool = scgi_pool().up()
    nginx = make_nginx(pool.address, protocol="scgi")
    with socket.create_connection(("127.0.0.1", nginx.port), 10) as connection:
        connection.sendall(b"GET /x?n=5 HTTP/1.0\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nabcde"), answer


def test_bad_clients_do_not_harm_the_workers(scgi_pool, make_load):
    """What is not SCGI, or ends too early, is dropped by the workers, which go on."""
    pool = scgi_pool("scgi_perl").up()
    before = set(pool.serving())
    for nonsense in (b"", b"GET / HTTP/1.0\r\n\r\n", b"24:CONTENT_LENGTH\0", b"17:CONTENT_LENGTH\0000\0,"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(pool.socket_path)
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            assert connection.recv(100) == b""
    assert_all_right(make_load(pool.address, scgi=True, requests=50).wait(), 50)
    assert set(pool.serving()) == before
