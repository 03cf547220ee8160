"""Who may connect by TCP, and clients that connect and say nothing."""

import json
import os
import signal
import socket
import time

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right, assert_none_lost
from kit.wait import wait_until

KINDS = ["fcgx", "stdio", "perl", "php"]
# Over loopback a connection is there in microseconds, or its packets are dropped.
NO_ANSWER = 0.4


def endpoint(pool, family):
    """Where a client of this family finds the pool."""
    port = int(pool.status()["listen"].rsplit(":", 1)[1])
    return ("::1" if family == socket.AF_INET6 else "127.0.0.1", port)


def connect(pool, source="127.0.0.1", timeout=10.0):
    """A connection from the source address; TimeoutError when there is no answer."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.bind((source, 0))
        connection.connect(endpoint(pool, family))
    except OSError:
        connection.close()
        raise
    return connection


def ask(connection, script="/x", method="GET", body=b"", query="n=1000"):
    """A request on a connection that is there."""
    params = {"SCRIPT_FILENAME": script}
    connection.settimeout(20)
    connection.sendall(fastcgi.encode(method, f"/x?{query}", body, params))
    return fastcgi.receive(connection)


def assert_served(pool, source, script="/x"):
    with connect(pool, source) as connection:
        assert ask(connection, script).body == fastcgi.pattern(1000)
    # More than a packet each way: nothing is cut off.
    body = os.urandom(200000)
    with connect(pool, source) as connection:
        assert ask(connection, script, "POST", body).body == body


def assert_no_answer(pool, source):
    with pytest.raises(TimeoutError):
        connect(pool, source, NO_ANSWER).close()


def port_out_of_reach():
    """A port that no client is given for its own end: connecting to itself, it would answer for the pool."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
        lowest = int(limits.read().split()[0])
    for port in range(lowest - 1, 1024, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def make_kind(make_pool, kind, **settings):
    command, script = kinds.command(kind)
    return make_pool(command=command, **{"listen": "127.0.0.1:0", **settings}).up(), script


# allowed_clients

@pytest.mark.parametrize("kind", KINDS)
def test_ipv4(kind, make_pool):
    pool, script = make_kind(make_pool, kind, allowed_clients=["127.0.0.2", "127.0.1.0/24"])
    assert_served(pool, "127.0.0.2", script)
    assert_served(pool, "127.0.1.77", script)
    assert_no_answer(pool, "127.0.0.1")
    assert_no_answer(pool, "127.0.2.0")
    assert_served(pool, "127.0.0.2", script)
    workers = pool.serving()
    assert len(workers) == 2 and pool.status()["state"] == "running"
    pool.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_ipv6(kind, make_pool):
    pool, script = make_kind(make_pool, kind, listen="[::1]:0", allowed_clients=["::1", "2001:db8::/32"])
    assert_served(pool, "::1", script)
    pool.stop()
    pool.write(allowed_clients=["2001:db8::/32", "::/128"])
    pool.up()
    assert_no_answer(pool, "::1")
    assert len(pool.serving()) == 2
    pool.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_dual_stack(kind, make_pool):
    """One socket sees packets of both versions."""
    pool, script = make_kind(make_pool, kind, listen="*:0", allowed_clients=["127.0.0.2", "::1"])
    assert_served(pool, "127.0.0.2", script)
    assert_served(pool, "::1", script)
    assert_no_answer(pool, "127.0.0.1")
    pool.stop()
    pool.write(allowed_clients=["127.0.0.2"])
    pool.up()
    assert_served(pool, "127.0.0.2", script)
    assert_no_answer(pool, "::1")
    pool.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_another_list(host, make_pool):
    """From a reload on."""
    pool, script = make_kind(make_pool, "fcgx", listen=f"[{host}]:0" if ":" in host else f"{host}:0")
    for clients, allowed in ((["192.0.2.0/24", "2001:db8::/32"], False), (["127.0.0.1", "::1"], True),
                             (["192.0.2.0/24", "2001:db8::/32"], False), (None, True)):
        pool.write(allowed_clients=clients)
        assert pool.command("reload").returncode == 0
        if allowed:
            assert_served(pool, host, script)
        else:
            assert_no_answer(pool, host)


def test_refused_clients_do_no_harm(make_pool, make_load):
    pool, _ = make_kind(make_pool, "fcgx", allowed_clients=["127.0.0.1"])
    load = make_load(pool.status()["listen"], clients=8, mix="GET:10,POST:65536")
    load.wait_ok(50)
    strangers = []
    for number in range(100):
        stranger = socket.socket()
        stranger.setblocking(False)
        stranger.bind((f"127.0.0.{2 + number}", 0))
        assert stranger.connect_ex(endpoint(pool, socket.AF_INET)) != 0
        strangers.append(stranger)
    load.wait_ok(200)
    assert_all_right(load.stop(), 250)
    for stranger in strangers:
        with pytest.raises(OSError):
            stranger.getpeername()
        stranger.close()
    assert pool.status()["queue"]["now"] == 0
    pool.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_stop_under_load(kind, make_pool, make_load):
    """The filter that lets nobody in any more keeps the list, and lets those who are in speak on."""
    pool, script = make_kind(make_pool, kind, allowed_clients=["10.0.0.0/8", "127.0.0.1"])
    load = make_load(pool.status()["listen"], clients=24, script=script, connect_ms=500,
                     mix="GET:10?delay=15,POST:65536,GET:65536?slow=12,POST:300000?delay=3")
    load.wait_ok(40)
    pool.stop()
    wait_until(lambda: load.progress().refused, 10, "refusals after the stop")
    assert_none_lost(load.stop(), 40)


def test_long_list(make_pool):
    """A list that fills most of a program, and its end."""
    networks = [f"10.{i // 256}.{i % 256}.0/24" for i in range(900)]
    pool, _ = make_kind(make_pool, "fcgx", allowed_clients=[*networks, "127.0.0.2"])
    assert_served(pool, "127.0.0.2")
    assert_no_answer(pool, "127.0.0.1")
    started = time.monotonic()
    pool.stop()
    assert time.monotonic() - started < 5
    pool.write(allowed_clients=networks * 2)
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 78 and "allowed_clients: 1800 networks are too many" in answer.stderr, answer


def test_faults_are_placed_at_the_item(make_pool):
    pool = make_pool(listen="127.0.0.1:0", allowed_clients=["127.0.0.1", "10.0.0.1/8", "localhost"])
    lines = pool.file.read_text().splitlines()
    at = {i: next(n for n, line in enumerate(lines, 1) if word in line) for i, word in
          ((1, "10.0.0.1/8"), (2, '"localhost"'))}
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 78
    for item, line in at.items():
        assert f"{pool.file}:{line}:5: allowed_clients[{item}]: " in answer.stderr, answer.stderr
    assert '"10.0.0.0/8"' in answer.stderr


def test_no_effect_on_a_unix_socket(make_pool):
    pool = make_pool(allowed_clients=["10.0.0.0/8"], defer_accept=True).up()
    for name in ("allowed_clients", "defer_accept"):
        assert f"warning: {name}: has no effect" in pool.log()
    assert pool.request().status == 200
    pool.stop()
    assert "defer_accept" not in make_pool().command("check").stderr


# defer_accept

@pytest.mark.parametrize("kind", KINDS)
def test_silent_client_does_not_hold_the_only_worker(kind, make_pool):
    pool, script = make_kind(make_pool, kind, workers=1)
    with connect(pool) as silent, connect(pool) as another:
        for _ in range(5):
            assert_served(pool, "127.0.0.1", script)
        assert pool.status()["queue"]["now"] == 0
        # It was only slow, and is served like any other.
        assert ask(silent, script).body == fastcgi.pattern(1000)
        assert another.fileno() >= 0
    pool.stop()


def test_without_it_a_silent_client_holds_the_worker(make_pool):
    """What the setting is for; and the pool is ready all the same, for the worker does serve."""
    pool, _ = make_kind(make_pool, "fcgx", workers=1, defer_accept=False, start_timeout=1)
    silent = connect(pool)
    with connect(pool) as waiting:
        waiting.sendall(fastcgi.encode("GET", "/x?n=1"))
        pool.wait_status(lambda status: status["queue"]["now"] == 1, what="a request that waits")
        waiting.settimeout(1.5)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        status = pool.status()
        assert status["state"] == "running" and len(pool.serving(status)) == 1
        silent.close()
        waiting.settimeout(10)
        assert fastcgi.receive(waiting).body == b"a"
    pool.stop()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "*:0"])
def test_silent_client_does_not_delay_a_stop(listen, make_pool):
    """About a second, in which it could still begin; graceful_timeout is far away."""
    pool, _ = make_kind(make_pool, "fcgx", listen=listen, graceful_timeout=60)
    with connect(pool, "::1" if listen.startswith("[") else "127.0.0.1"):
        started = time.monotonic()
        pool.stop(timeout=30)
        assert time.monotonic() - started < 10
    assert "graceful_timeout" not in pool.log()


@pytest.mark.parametrize("kind", KINDS)
def test_late_request_is_answered_while_stopping(kind, make_pool):
    """Connected before the stop, and its bytes come 200 ms after it has begun."""
    pool, script = make_kind(make_pool, kind, workers=1, allowed_clients=["127.0.0.1"])
    with connect(pool) as silent:
        with connect(pool) as slow:
            pool.send_signal(signal.SIGTERM)
            pool.wait_status(lambda status: status["state"] == "stopping", what="state stopping")
            moment = time.monotonic() + 0.2
            wait_until(lambda: time.monotonic() >= moment, 5, "the moment")
            assert ask(slow, script).body == fastcgi.pattern(1000)
        assert pool.wait_exit() == 0
        assert silent.fileno() >= 0
    pool.wait_gone()


@pytest.mark.parametrize("defer", [True, False])
def test_stop_again_and_again_with_silent_clients(defer, make_pool, make_load):
    """Nothing is lost when the clock runs out on those who are silent."""
    rounds = build.count(2, 20)
    pool = make_pool(listen=f"127.0.0.1:{port_out_of_reach()}", workers=3, defer_accept=defer).up()
    load = make_load(pool.address, clients=12, mix="GET:0,POST:1,GET:10?delay=5,POST:65536", connect_ms=400)
    for _ in range(rounds):
        load.wait_ok(50)
        silent = [connect(pool) for _ in range(5)] if defer else []
        pool.stop()
        pool.start()
        pool.wait_ready()
        for each in silent:
            each.close()
    load.wait_ok(50)
    assert_none_lost(load.stop(), 50 * rounds)


def test_start_is_not_taken_for_silence(make_pool):
    """A worker is ready when it waits for connections, with or without deferral."""
    for defer in (True, False):
        pool, _ = make_kind(make_pool, "fcgx", defer_accept=defer, start_timeout=2, workers=3)
        assert len(pool.serving()) == 3
        dumped = json.loads(pool.command("status", "--json").stdout)
        assert dumped["state"] == "running"
        pool.stop()
