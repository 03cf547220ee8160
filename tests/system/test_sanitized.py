"""Workers built with sanitizers, run by valgrind or linked with musl live with the library as without it."""

import re

import pytest

from kit import build, kinds
from kit.load import assert_all_right

pytestmark = pytest.mark.skipif(build.instrumented(), reason="what is in the workers is the same in every build")

MIX = "GET:0*4,POST:1,POST:65536,GET:65536?slow=5,GET:10?delay=5"
REPORT = re.compile(r"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|^.*==\d+== .*|runtime error", re.M)


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", [*kinds.SANITIZED, "valgrind", "musl"])
def test_no_report(kind, listen, make_pool, make_load, record_property):
    """Through a start, requests of all sorts, kept connections, drains and a stop."""
    command, script = kinds.command(kind)
    where = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    pool = make_pool(command=command, workers=2, env={"ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=86",
                                                      "TSAN_OPTIONS": "exitcode=86"}, **where).up()
    address = pool.status()["listen"]
    assert [each["observe"] for each in pool.status()["workers"]] == ["preload"] * 2
    requests = build.count(400, 20000)
    assert_all_right(make_load(address, clients=4, requests=requests, script=script, mix=MIX).wait(1800), requests)
    assert_all_right(make_load(address, clients=2, requests=requests, keep=True, script=script, mix=MIX).wait(1800),
                     requests)
    pool.wait_status(lambda status: status["requests"] == 2 * requests, what="the count")
    load = make_load(address, clients=4, script=script, mix=MIX)
    for _ in range(build.count(3, 50)):
        load.wait_ok(10)
        assert pool.command("scale", "3", timeout=60).returncode == 0
        assert pool.command("scale", "1", timeout=60).returncode == 0
    assert_all_right(load.stop(), 30)
    counters = pool.status()["counters"]
    assert counters["crashed"] == counters["left"] == counters["start_failed"] == counters["cut"] == 0, counters
    pool.stop(timeout=60)
    report = REPORT.search(pool.log())
    assert not report, pool.log()[max(0, report.start() - 200):report.start() + 4000]
    record_property("requests without a report", 2 * requests)


@pytest.mark.parametrize("kind", list(kinds.SANITIZED))
def test_a_report_would_be_seen(kind, make_pool):
    """The sanitizer is at work under the library: a worker that misbehaves says so."""
    compiler, sanitizer = kinds.SANITIZED[kind]
    faulty = build.compiled(f"faulty_{kind}", [compiler, "-g", f"-fsanitize={sanitizer}"], ["faulty.c"], "-pthread")
    command = [build.installed("setarch"), "-R", faulty] if sanitizer == "thread" else [faulty]
    pool = make_pool(command=command, workers=1, env={"ASAN_OPTIONS": "verify_asan_link_order=0"},
                     backoff={"initial": "100ms", "max": "1s"}).start()
    pool.wait_log("AddressSanitizer: heap-use-after-free" if sanitizer == "address" else "ThreadSanitizer: data race")
