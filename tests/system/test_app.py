"""Applications as shared objects: the same file in every class, over both protocols. Behind the web server and directly
they answer like any worker, and no request is lost to drains; what goes wrong at their start is said."""

import select
import signal
import struct

import pytest

from kit import build, fastcgi
from kit.load import assert_all_right
from kit.processes import descriptors
from kit.wait import wait_until

CLASSES = ["sync", "threads", "async"]
PROTOCOLS = ["fastcgi", "scgi"]
MIX = "GET:0*4,POST:1,POST:65536,GET:65536?slow=8,GET:10?delay=20,POST:500000,GET:10?thread,POST:20000?slow=8"
ABORTED = 9
AUTHORIZER = 2


def app(make_pool, worker_class, *, name="echo_app", env=None, **settings):
    if build.instrumented():  # the host, too; the library that sees into it comes before the sanitizer's
        settings["env"] = {"ASAN_OPTIONS": "verify_asan_link_order=0", **(env or {})}
    elif env:
        settings["env"] = env
    return make_pool(command=None, app=build.built(f"tests/workers/{name}.so"), worker_class=worker_class, **settings)


# ---- like any worker ----

@pytest.mark.parametrize("where", ["unix", "tcp"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("worker_class", CLASSES)
def test_behind_nginx(worker_class, protocol, where, make_pool, make_nginx, make_load):
    listen = {"listen": "127.0.0.1:0"} if where == "tcp" else {}
    pool = app(make_pool, worker_class, protocol=protocol, workers=2, **listen).up()
    nginx = make_nginx(pool.status()["listen"], protocol=protocol)
    requests = build.count(200, 5000)
    load = make_load(nginx.address, http=True, clients=6, requests=requests, mix=MIX)
    assert_all_right(load.wait(), requests)
    status = pool.status()
    assert sum(worker["requests"] for worker in status["workers"]) == requests
    assert all(worker["observe"] == "preload" for worker in status["workers"])
    pool.stop()
    assert "unasked" not in pool.log()


@pytest.mark.parametrize("preload_app", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("worker_class", CLASSES)
def test_drain(worker_class, protocol, preload_app, make_pool, make_load, record_property):
    """Workers are replaced all the time, under load."""
    pool = app(make_pool, worker_class, protocol=protocol, preload_app=preload_app, workers=4, max_requests=50, max_requests_jitter=20,
               max_lifetime="400ms", max_recycling=2).up()
    load = make_load(pool.address, scgi=protocol == "scgi", clients=8, mix=MIX)
    drains = build.count(10, 300)
    pool.wait_status(lambda status: status["counters"]["recycled_lifetime"] + status["counters"]["recycled_requests"] >= drains,
                     timeout=120 + drains, what=f"{drains} replacements")
    result = load.stop()
    assert_all_right(result, 20)
    counters = pool.status()["counters"]
    assert counters["cut"] == counters["aborted"] == counters["killed"] == counters["crashed"] == 0, counters
    record_property("requests answered right", result.ok)
    pool.stop()


@pytest.mark.parametrize("worker_class", CLASSES)
def test_kept_connections(worker_class, make_pool, make_load):
    """Of FastCGI, many requests each; counted to the request, drained without a loss."""
    pool = app(make_pool, worker_class, workers=2, threads=4).up()
    requests = build.count(400, 20000)
    load = make_load(pool.address, clients=2, keep=True, requests=requests, mix="GET:0*4,POST:1,POST:65536,GET:65536")
    result = load.wait()
    assert_all_right(result, requests)
    assert result.connections == 2
    assert sum(worker["requests"] for worker in pool.status()["workers"]) == requests
    pool.stop()


@pytest.mark.parametrize("observe", ["auto", "kernel"])
@pytest.mark.parametrize("worker_class", CLASSES)
def test_begin_and_end(worker_class, observe, directory, make_pool, make_load):
    """Each worker begins and ends once, in order, however it is seen."""
    events = directory / "events"
    pool = app(make_pool, worker_class, observe=observe, workers=2, env={"ECHO_APP_EVENTS": str(events)}).up()
    load = make_load(pool.address, clients=4, requests=40, mix="GET:10,POST:70000")
    assert_all_right(load.wait(), 40)
    assert events.read_text().split() == ["start"] * 2
    pool.stop()
    if observe == "auto":
        assert events.read_text().split() == ["start"] * 2 + ["stop"] * 2


# ---- the event loop ----

class Multiplexed:
    """A client that has many requests on one connection at a time."""

    def __init__(self, address):
        self.connection = fastcgi.connect(address, timeout=30)
        self.answers = {}  # by id, in the order of their end
        self.content = {}
        self.replies = []  # management records: (type, content)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.connection.close()

    def begin(self, number, uri, method="GET", body=b"", role=1):
        """Under this id."""
        wire = fastcgi.encode(method, uri, body, keep=True)
        out = b""
        while wire:
            size, padding = struct.unpack(">HB", wire[4:7])
            record, wire = wire[:8 + size + padding], wire[8 + size + padding:]
            out += record[:2] + struct.pack(">H", number) + record[4:]
        self.connection.sendall(out[:8] + struct.pack(">H", role) + out[10:])

    def send(self, kind, number, content=b""):
        self.connection.sendall(struct.pack(">BBHHBx", 1, kind, number, len(content), 0) + content)

    def receive(self):
        """The next record; returns the id of a request that has ended, or None."""
        _, kind, number, size, padding = struct.unpack(">BBHHBx", fastcgi._exactly(self.connection, 8))
        content = fastcgi._exactly(self.connection, size + padding)[:size]
        if number == 0:
            self.replies.append((kind, content))
        elif kind == fastcgi.STDOUT:
            self.content[number] = self.content.get(number, b"") + content
        elif kind == fastcgi.END_REQUEST:
            self.answers[number] = (self.content.pop(number, b""), content[4])
            return number
        return None

    def wait(self, count):
        while len(self.answers) < count:
            self.receive()
        return self.answers


def body_of(answer):
    return answer[0].partition(b"\r\n\r\n")[2]


def test_a_hundred_requests_on_a_connection(make_pool):
    """The last is answered first; bodies come back whole, and all are counted."""
    pool = app(make_pool, "async", workers=1).up()
    with Multiplexed(pool.address) as client:
        for number in range(1, 101):
            if number % 2:
                client.begin(number, f"/x?n={number * 100}&delay={(101 - number) * 10}")
            else:
                client.begin(number, f"/x?delay={(101 - number) * 10}", "POST", fastcgi.pattern(number * 1000))
        answers = client.wait(100)
        assert len(list(answers)) == 100
        order = list(answers)
        assert order.index(100) < order.index(50) < order.index(1)
        for number, answer in answers.items():
            assert body_of(answer) == fastcgi.pattern(number * (100 if number % 2 else 1000)), number
        assert pool.status()["workers"][0]["requests"] == 100
        del answers[7]  # the same id again
        client.begin(7, "/x?n=3")
        assert body_of(client.wait(100)[7]) == fastcgi.pattern(3)


def test_questions_and_roles(make_pool):
    pool = app(make_pool, "async", workers=1, worker_connections=321).up()
    with Multiplexed(pool.address) as client:
        client.send(9, 0, b"\x0f\0FCGI_MPXS_CONNS\x0e\0FCGI_MAX_CONNS")
        client.receive()
        assert client.replies == [(10, b"\x0e\x03FCGI_MAX_CONNS321\x0f\x01FCGI_MPXS_CONNS1")]
        client.send(77, 0)
        client.receive()
        assert client.replies[1] == (11, b"\x4d" + bytes(7))
        client.begin(1, "/x?n=4", role=AUTHORIZER)
        client.begin(2, "/x?n=4", role=3)
        answers = client.wait(2)
        assert body_of(answers[1]) == fastcgi.pattern(4) and answers[1][1] == 0
        assert answers[2] == (b"", 3)  # UNKNOWN_ROLE


def test_an_abort(directory, make_pool):
    """The request is ended, its application told; others of the connection go on."""
    events = directory / "events"
    pool = app(make_pool, "async", workers=1, env={"ECHO_APP_EVENTS": str(events)}).up()
    with Multiplexed(pool.address) as client:
        client.begin(1, "/x?hang")
        client.begin(2, "/x?n=5&delay=300")
        client.send(2, 1)
        answers = client.wait(2)
        assert list(answers) == [1, 2] and body_of(answers[2]) == fastcgi.pattern(5)
        wait_until(lambda: "abort" in events.read_text().split(), what="the abort notice")


def test_a_client_that_leaves(directory, make_pool):
    events = directory / "events"
    pool = app(make_pool, "async", workers=1, env={"ECHO_APP_EVENTS": str(events)}).up()
    with fastcgi.Kept(pool.address) as client:
        client.begin("/x?hang")
        pool.wait_status(lambda status: status["workers"][0]["requests"] == 1, what="the request")
    wait_until(lambda: "abort" in events.read_text().split(), what="the abort notice")
    assert pool.request().status == 200


def test_an_overdue_request_is_ended_alone(make_pool, make_load):
    """With 504, while the worker goes on; what has begun is ended where it is."""
    pool = app(make_pool, "async", workers=1, timeout=1).up()
    worker = pool.serving()
    load = make_load(pool.address, clients=4, mix="GET:10,GET:10?delay=50")
    assert pool.request(uri="/x?hang").status == 504
    cut = pool.request(uri="/x?n=400&slow=8000")
    assert cut.status == 200 and cut.body == fastcgi.pattern(400)[:len(cut.body)] and 0 < len(cut.body) < 400
    assert_all_right(load.stop(), 10)
    assert pool.serving() == worker and pool.status()["counters"]["timeouts"] == 0
    assert "GET /x?hang is older than timeout" in pool.log()


def test_a_loop_that_stalls(make_pool):
    """Then it is the worker that has to go, for nobody else can be answered."""
    pool = app(make_pool, "async", workers=1, timeout=1, abort_timeout="200ms").up()
    worker = pool.serving()
    with pytest.raises(fastcgi.Lost):
        pool.request(uri="/x?stall=600000", timeout=30)
    pool.wait_status(lambda status: status["counters"]["timeouts"] == 1, what="the abort")
    pool.wait_ready(1)
    assert pool.serving() != worker


def test_no_more_connections_than_allowed(make_pool):
    """The next waits until one has gone."""
    pool = app(make_pool, "async", workers=1, worker_connections=2).up()
    with fastcgi.Kept(pool.address) as first, fastcgi.Kept(pool.address) as second:
        assert first.ask("/x?n=1").status == second.ask("/x?n=1").status == 200
        with fastcgi.Kept(pool.address) as third:
            third.begin("/x?n=2")
            pool.wait_status(lambda status: status["queue"]["now"] == 1, what="the third in the queue")
            second.connection.close()
            assert third.answer().body == fastcgi.pattern(2)


def test_a_thousand_that_wait(make_pool, make_load, record_property):
    """In one worker, each for a second of a timer."""
    pool = app(make_pool, "async", workers=1, worker_connections=1000).up()
    before = pool.status()["workers"][0]["memory"]
    clients = build.count(200, 1000)
    load = make_load(pool.address, clients=clients, requests=clients, mix="GET:10?delay=1000")
    load.wait_in_hand(pool, clients)
    grown = pool.status()["workers"][0]["memory"] - before
    result = load.wait()
    assert_all_right(result, clients)
    record_property("slowest answer in ms", result.slowest_ms)
    record_property("bytes a connection", grown // clients)
    assert result.slowest_ms < 10000


def test_a_thousand_that_wait_behind_nginx(make_pool, make_nginx, make_load, record_property):
    """The same on connections that nginx keeps."""
    clients = build.count(200, 1000)
    pool = app(make_pool, "async", workers=1, worker_connections=1000).up()
    nginx = make_nginx(pool.address, keepalive=clients)
    for turn in ("new", "kept"):
        result = make_load(nginx.address, http=True, clients=clients, requests=clients, mix="GET:10?delay=1000").wait()
        assert_all_right(result, clients)
        record_property(f"slowest answer in ms, {turn} connections", result.slowest_ms)
        assert result.slowest_ms < 10000
        assert len(descriptors(pool.serving()[0])) >= clients


def test_slow_clients_hold_up_nobody(make_pool, make_load):
    """Who does not read his answer, or send his body, costs no more than his own connection."""
    pool = app(make_pool, "async", workers=1).up()
    size = 8 << 20
    held = [fastcgi.Kept(pool.address) for _ in range(20)]
    for each in held[:10]:
        each.begin(f"/x?n={size}")
    for each in held[10:]:
        each.connection.sendall(fastcgi.encode("POST", "/x", fastcgi.pattern(100000))[:50000])
    load = make_load(pool.address, clients=4, requests=200, mix="GET:0*3,POST:1000")
    assert_all_right(load.wait(), 200)
    assert held[0].answer().body == fastcgi.pattern(size)
    for each in held:
        each.connection.close()
    assert pool.request().status == 200


@pytest.mark.parametrize("worker_class", CLASSES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streams(protocol, worker_class, make_pool, make_load):
    """Bodies that go back while they come."""
    pool = app(make_pool, worker_class, name="stream_app", protocol=protocol, workers=2).up()
    load = make_load(pool.address, scgi=protocol == "scgi", clients=4, requests=build.count(40, 1000),
                     mix="POST:1,POST:65536,POST:3000000,POST:0")
    assert_all_right(load.wait(), 40)


# ---- connections that rest, and clients that are slow, in a drain ----

@pytest.mark.parametrize("worker_class", CLASSES)
def test_idle_kept_connections_hold_up_nobody(worker_class, make_pool):
    """Neither a reload nor a stop; a request that comes before the end is answered."""
    pool = app(make_pool, worker_class, workers=1, threads=4, graceful_timeout=600).up()
    with fastcgi.Kept(pool.address) as first, fastcgi.Kept(pool.address) as second:
        clients = [first] if worker_class == "sync" else [first, second]
        for each in clients:
            assert each.ask("/x?n=5").status == 200
        assert pool.command("reload").returncode == 0
        pool.wait_status(lambda status: len(status["workers"]) == 1, timeout=30, what="the end of the former worker")
        for each in clients:
            each.wait_end()
    with fastcgi.Kept(pool.address) as third:
        assert third.ask("/x?n=5").status == 200
        pool.stop()
    assert pool.process.returncode == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_half_a_header_holds_up_nobody(protocol, make_pool):
    """In a drain; whoever has sent all of it is answered, however long it takes him to send the body."""
    pool = app(make_pool, "async", protocol=protocol, workers=1, graceful_timeout=600, request_header_timeout=0, timeout=0).up()
    block = b"CONTENT_LENGTH\x005\0SCGI\x001\0REQUEST_METHOD\0POST\0"
    whole = str(len(block)).encode() + b":" + block + b",hello" if protocol == "scgi" else fastcgi.encode("POST", "/x", b"hello")
    with fastcgi.connect(pool.address) as half, fastcgi.connect(pool.address, timeout=30) as slow:
        half.sendall(whole[:20])
        slow.sendall(whole[:-5] if protocol == "scgi" else whole[:-8])
        wait_until(lambda: pool.status()["workers"][0]["requests"] == 1, what="the request whose body is missing")
        with pool.background("reload") as reload:
            while half.recv(65536):
                pass
            slow.sendall(whole[-5:] if protocol == "scgi" else whole[-8:])
            answer = b""
            while piece := slow.recv(65536):
                answer += piece
            assert b"hello" in answer
            assert reload.wait(30) == 0
    pool.stop()


@pytest.mark.parametrize("worker_class", CLASSES)
def test_drain_of_kept_connections(worker_class, make_pool, make_load):
    """Workers are replaced all the time; what meets the end of a kept connection was not read, and is sent again."""
    pool = app(make_pool, worker_class, workers=4, threads=4, max_lifetime="500ms", max_recycling=2).up()
    load = make_load(pool.address, clients=4, keep=True, mix="GET:0*4,GET:65536,GET:10?delay=20,GET:65536?slow=8")
    drains = build.count(8, 200)
    pool.wait_status(lambda status: status["counters"]["recycled_lifetime"] >= drains, timeout=120 + drains,
                     what=f"{drains} replacements")
    assert_all_right(load.stop(), 20)
    counters = pool.status()["counters"]
    assert counters["cut"] == counters["aborted"] == counters["killed"] == counters["crashed"] == 0, counters


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_slow_reader_gets_all_of_it(where, make_pool):
    """Of what was finished when the pool stops; and he may take longer than timeout as long as he reads."""
    listen = {"listen": "127.0.0.1:0"} if where == "tcp" else {}
    pool = app(make_pool, "async", workers=1, timeout=1, graceful_timeout=600, **listen).up()
    size = 24 << 20
    with fastcgi.connect(pool.status()["listen"], timeout=30) as client:
        client.sendall(fastcgi.encode("GET", f"/x?n={size}"))
        received = len(client.recv(65536))
        pool.send_signal(signal.SIGTERM)
        while piece := client.recv(1 << 20):
            received += len(piece)
            if received < size // 2:
                select.select([], [], [], 0.1)
    assert received > size
    assert pool.wait_exit() == 0 and "is killed" not in pool.log()


def test_who_reads_nothing_is_given_up(make_pool):
    """After timeout, and for good: he holds a place that others want."""
    pool = app(make_pool, "async", workers=1, timeout=1).up()
    worker = pool.serving()
    with fastcgi.Kept(pool.address) as client:
        client.begin(f"/x?n={16 << 20}")
        pool.wait_log("its client has read nothing for longer than timeout", timeout=30)
    assert pool.request().status == 200
    assert pool.serving() == worker and pool.status()["counters"]["timeouts"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_leaves_in_the_middle(protocol, make_pool):
    """Of a body, or while its answer waits to be read: the application is called once more, and nothing is left."""
    pool = app(make_pool, "async", name="stream_app", protocol=protocol, workers=1, graceful_timeout=600).up()
    body = fastcgi.pattern(4 << 20)
    if protocol == "scgi":
        block = f"CONTENT_LENGTH\0{len(body)}\0SCGI\x001\0REQUEST_METHOD\0POST\0".encode()
        wire = str(len(block)).encode() + b":" + block + b"," + body
    else:
        wire = fastcgi.encode("POST", "/x", body)
    for size in (1000, 1 << 20):
        with fastcgi.connect(pool.address) as client:
            client.settimeout(1)
            try:
                client.sendall(wire[:size])
            except TimeoutError:
                pass
    assert pool.request(method="POST", body=b"hello").body == b"hello" if protocol == "fastcgi" else True
    pool.stop(timeout=30)
    assert pool.process.returncode == 0 and "is killed" not in pool.log()


# ---- what goes wrong at the start ----

FAULTS = {"start": 3, "no symbol": 4, "not an object": 4}


def faulty(kind, directory, pool):
    """Settings of an application that cannot serve."""
    if kind == "start":
        return {"env": {**pool.settings.get("env", {}), "ECHO_APP_START": "7"}}, "could not start"
    if kind == "no symbol":
        return {"app": build.library()}, "could not be loaded"
    (directory / "text.so").write_text("no object")
    return {"app": str(directory / "text.so")}, "could not be loaded"


@pytest.mark.parametrize("kind", FAULTS)
def test_start_fails(kind, directory, make_pool):
    pool = app(make_pool, "async", workers=1, failures=1)
    settings, words = faulty(kind, directory, pool)
    pool.write(**settings)
    failed = pool.detach()
    assert failed.returncode == 70, failed
    assert f"exited with code {FAULTS[kind]} (the application {words})" in failed.stderr, failed.stderr


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("worker_class", CLASSES)
def test_reload_is_rolled_back(worker_class, kind, directory, make_pool, make_load):
    """The healthy workers are not touched."""
    pool = app(make_pool, worker_class, workers=2).up()
    settings, words = faulty(kind, directory, pool)
    before = sorted(pool.serving())
    load = make_load(pool.address, clients=2)
    load.wait_ok(1)
    pool.write(**settings)
    failed = pool.command("reload")
    assert failed.returncode == 70 and "the application" in failed.stderr, failed.stderr
    status = pool.status()
    assert sorted(pool.serving(status)) == before
    assert any(f"exited with code {FAULTS[kind]} (the application {words})" in line for line in str(status).split("',")), status
    assert_all_right(load.stop(), 1)


def test_bad_settings(directory, make_pool):
    pool = app(make_pool, "async", workers=1)
    for changes, words in (({"app": str(directory / "none.so")}, "No such file"), ({"app": str(directory)}, "is not a file"),
                           ({"command": ["/bin/true"]}, "only one can be"), ({"worker_class": "gevent"}, 'expected "sync", "threads" or "async"')):
        pool.write(**{"app": build.built("tests/workers/echo_app.so"), "command": None, "worker_class": "async", **changes})
        failed = pool.command("check")
        assert failed.returncode == 78 and words in failed.stderr, failed.stderr
    pool.write(app=None, command=["/bin/true"], worker_class="async")
    assert "has no effect without app" in pool.command("check").stderr
