"""How the library gets into a worker, and out of what the worker starts."""

import json
import os
import shutil

import pytest

from kit import build
from kit.load import assert_all_right
from kit.processes import children

CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\nX-Pid: 1\\r\\n\\r\\n'
env
ls -l /proc/self/fd
grep fcgipool /proc/self/maps
exit 0
"""


def all_by_preload(pool):
    status = pool.status()
    return [each["observe"] for each in status["workers"]] == ["preload"] * len(status["workers"])


def test_programs_that_a_worker_starts_start_clean(directory, make_pool):
    """A CGI program has neither our variables, nor our descriptors, nor the library; the user's own stays."""
    script = directory / "clean.cgi"
    script.write_text(CGI)
    script.chmod(0o755)
    for own in (None, "libm.so.6"):
        pool = make_pool(command=[build.installed("fcgiwrap")], workers=1,
                         env={"LD_PRELOAD": own} if own else {"OTHER": "1"}).up()
        assert all_by_preload(pool)
        text = pool.request(params={"SCRIPT_FILENAME": str(script)}).body.decode()
        assert "memfd" not in text and "FCGIPOOL_PAGE" not in text and "libfcgipool" not in text, text
        preloads = [line for line in text.splitlines() if line.startswith("LD_PRELOAD=")]
        assert preloads == ([f"LD_PRELOAD={own}"] if own else []), text
        pool.stop()


@pytest.mark.parametrize("wrapper", [
    "exec {worker}", "{worker}", "cd /; nice -n 1 env A=1 {worker}; exit 0", "sh -c 'sh -c \"exec {worker}\"'"])
def test_wrappers(wrapper, make_pool, make_load):
    """Shells and helpers in between do not stand in the way."""
    pool = make_pool(command=["/bin/sh", "-c", wrapper.format(worker=build.worker("echo_fcgx"))]).up()
    assert all_by_preload(pool)
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)
    pool.wait_status(lambda status: status["requests"] == 100, what="the count")
    pool.stop()


def test_static_child_of_a_wrapper_with_the_library(make_pool, make_load):
    """It is found, though the wrapper has loaded the library and the worker will never tell."""
    pool = make_pool(command=["/bin/sh", "-c", f"{build.worker('echo_static')}; exit 0"], start_timeout="500ms").up()
    assert {each["observe"] for each in pool.status()["workers"]} == {"kernel"}
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)
    assert pool.status()["counters"]["start_failed"] == 0


def test_child_that_serves_in_place_of_its_parent(make_pool, make_load):
    """It forks helpers before it accepts; they are left alone."""
    pool = make_pool(command=[build.worker("bad"), "fork-children", "2"]).up()
    assert all_by_preload(pool)
    assert all(len(children(pid)) == 2 for pid in pool.serving())
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)
    assert pool.status()["requests"] == 100


def test_few_descriptors_and_little_memory(make_pool, make_load):
    """A worker that may open few files has the library all the same."""
    pool = make_pool(rlimits={"nofile": 16, "as": "64M"}).up()
    assert all_by_preload(pool)
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)


def test_without_room_for_the_library(make_pool, make_load):
    """A worker that may not have the 24 MB of addresses that the library reserves is seen from outside."""
    pool = make_pool(rlimits={"as": "20M"}).up()
    assert {each["observe"] for each in pool.status()["workers"]} == {"kernel"}
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)


def test_clear_env_keeps_the_library(make_pool):
    pool = make_pool(command=[build.worker("inspect")], clear_env=True, env={"A": "1"}).up()
    assert all_by_preload(pool)
    told = json.loads(pool.request().body)
    names = {each.split("=")[0] for each in told["environment"]}
    assert "A" in names and names <= {"A", "LD_PRELOAD", "FCGIPOOL_PAGE"}, names


def test_worker_of_another_user(directory, make_pool, make_load):
    """Whether or not that user may read the library, the loader complains of nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    pool = make_pool(command=[shutil.copy(build.worker("echo_fcgx"), directory)])
    pool.write(user="nobody")
    pool.up()
    assert {each["observe"] for each in pool.status()["workers"]} <= {"preload", "kernel"}
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)
    assert "ld.so" not in pool.log() and "preloaded" not in pool.log()
