"""One line for each slow request, and the stack of its worker."""

import json
import re

import pytest

from kit import build, kinds
from kit.load import assert_all_right
from kit.wait import wait_until


def slow_lines(pool):
    path = pool.directory / "slow.log"
    return [line for line in (path.read_text().splitlines() if path.exists() else []) if "/x?" in line or "/slow" in line]


@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + kinds.SCGI))
def test_one_line_a_slow_request(kind, make_pool, make_load):
    """It is written while the request is in hand, and the request ends as it would have."""
    command, script = kinds.command(kind)
    scgi = {"protocol": "scgi"} if kind in kinds.SCGI else {}
    pool = make_pool(command=command, slowlog={"file": "slow.log", "threshold": "400ms"}, **scgi).up()
    load = make_load(pool.address, scgi=bool(scgi), clients=1, requests=1, script=script, prefix="/slow",
                     mix="POST:1000?delay=2000")
    wait_until(lambda: slow_lines(pool), 20, "the line")
    assert load.process.poll() is None, "only when it was over"
    quick = make_load(pool.address, scgi=bool(scgi), clients=2, requests=100, script=script, mix="GET:5,POST:1000")
    assert_all_right(quick.wait(), 100)
    assert_all_right(load.wait(), 1)
    line, = slow_lines(pool)
    assert "POST" in line and "/slow/x?delay=2000" in line and re.search(r"\b\d+(\.\d+)? ?m?s\b", line), line
    pool.stop()


def test_stack_names_the_function(make_pool):
    pool = make_pool(command=[build.worker("bad"), "burn"], workers=2,
                     slowlog={"file": "slow.log", "threshold": "300ms", "stack": True}).up()
    for number in range(1, build.count(2, 10) + 1):
        answer = pool.request("/slow?n=5&burn=2000")
        assert answer.status == 200 and answer.body == b"abcde"
        text = wait_until(lambda: len(slow_lines(pool)) == number and (pool.directory / "slow.log").read_text(), 20,
                          "the stack")
        wait_until(lambda: (pool.directory / "slow.log").read_text().count("burn_here") >= number, 20, "the function")
        assert str(answer.pid) in text
    assert pool.status()["counters"]["crashed"] == 0
    pool.stop()


def test_other_threads_serve_while_a_stack_is_taken(make_pool, make_load):
    command, script = kinds.command("threads")
    pool = make_pool(command=command, workers=1, slowlog={"file": "slow.log", "threshold": "200ms", "stack": True}).up()
    load = make_load(pool.address, clients=4, requests=40, script=script, mix="GET:10?delay=450,GET:10*9")
    assert_all_right(load.wait(), 40)
    wait_until(lambda: len(slow_lines(pool)) == 4, 20, "a line each")
    pool.stop()


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_file_it_is_in_the_log(form, make_pool):
    pool = make_pool(slowlog={"threshold": "300ms"}, log={"format": form}).up()
    assert pool.request("/slow?n=5&delay=900").status == 200
    line = pool.wait_log(r"^.*/slow\?n=5&delay=900.*$")[0]
    assert form == "text" or json.loads(line)
    assert pool.log().count("/slow?n=5&delay=900") == 1


def test_bytes_of_a_uri_do_not_break_a_line(make_pool):
    pool = make_pool(slowlog={"file": "slow.log", "threshold": "300ms"}, workers=1).up()
    uri = "/slow\r\nforged line\x1b[31m"
    assert pool.request(uri, params={"QUERY_STRING": "n=5&delay=900"}).status == 200
    wait_until(lambda: slow_lines(pool), 20, "the line")
    raw = (pool.directory / "slow.log").read_bytes()
    assert b"\x1b" not in raw and not re.search(rb"^forged", raw, re.M)
