"""Four unmodified workers of each kind behind a real nginx: every request gets its right answer."""

import pytest

from kit import build, kinds
from kit.load import assert_all_right

REQUESTS = build.count(600, 10000)

# Of every size; the large ones are one in fifteen, or, in the full run, one in seventy.
SMALL = build.count(1, 5)
MIX = ",".join(f"{request}*{share}" for request, share in {
    "GET:0": 6 * SMALL, "GET:1": 6 * SMALL, "GET:65536": 6 * SMALL, "GET:8388608": 1,
    "POST:0": 3 * SMALL, "POST:1": 3 * SMALL, "POST:65536": 4 * SMALL, "POST:8388608": 1}.items())


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.REAL)
def test_behind_nginx(kind, listen, make_pool, make_nginx, make_load, record_property):
    command, script = kinds.command(kind)
    more = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    pool = make_pool(command=command, workers=4, **more).up()
    nginx = make_nginx(pool.status()["listen"], script)
    requests, answered = REQUESTS // 2, 0
    for prefix in ("", "/stream"):
        result = make_load(nginx.address, http=True, clients=8, requests=requests, mix=MIX, prefix=prefix).wait(1800)
        assert_all_right(result, requests)
        answered += result.ok
    record_property("requests answered right", answered)
    record_property("lost", 0)
    status = pool.status()
    assert len(pool.serving(status)) == 4
    assert status["counters"]["crashed"] == 0
    pool.stop()


@pytest.mark.parametrize("kind", kinds.REAL + kinds.ODD)
def test_directly(kind, make_pool, make_load):
    """Without a web server: all four take their share."""
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=4, env={"PHP_FCGI_MAX_REQUESTS": "0"}).up()
    result = make_load(pool.address, clients=8, requests=build.count(200, 10000), script=script,
                       mix="GET:0,POST:65536,GET:65536?slow=4,POST:1?delay=2").wait(1800)
    assert_all_right(result)
    assert set(result.pids) == set(pool.serving())
    pool.stop()


def test_workers_that_leave_are_replaced(make_pool, make_load):
    """As php-cgi does after PHP_FCGI_MAX_REQUESTS. It is no crash, and nobody waits for a backoff."""
    pool = make_pool(command=[build.worker("bad"), "leave-after", "20"], workers=4).up()
    requests = build.count(600, 10000)
    result = make_load(pool.address, clients=8, requests=requests, mix="GET:10,POST:1000").wait(600)
    assert_all_right(result, requests)
    status = pool.wait_status(lambda status: len(pool.serving(status)) == 4, what="all four again")
    # One that has left after milliseconds may not have been seen to accept.
    counters = status["counters"]
    assert counters["crashed"] == 0 and counters["left"] + counters["start_failed"] >= requests // 20 - 4
    assert len(result.pids) >= requests // 20


def test_php_leaves_after_its_own_limit(make_pool, make_load):
    command, script = kinds.command("php")
    pool = make_pool(command=command, workers=2, env={"PHP_FCGI_MAX_REQUESTS": "25"}).up()
    result = make_load(pool.address, clients=6, requests=200, script=script, mix="GET:10,POST:1000").wait()
    assert_all_right(result, 200)
    assert len(result.pids) >= 8
