"""A pool that grows by load stays within its memory: that of memory_high, and that of its control group."""

import os
from pathlib import Path

import pytest

from kit import build
from kit.load import assert_all_right

MB = 1 << 20
FAT = 20  # MB, a worker
MIX = "GET:10?delay=200"


def fat_workers():
    return [build.worker("bad"), "fat", str(FAT * 1024)]


def grow(pool, make_load, most):
    """Under more load than memory allows workers for: never more than `most`, and nothing is lost."""
    load = make_load(pool.address, clients=16, mix=MIX)
    status = pool.wait_status(lambda status: status["memory_short"], what="the shortage")
    load.wait_ok(60)
    status = pool.status()
    assert 2 <= len(pool.serving(status)) <= most and len(status["workers"]) <= most, status["workers"]
    assert "memory is short" in pool.log()
    assert_all_right(load.stop())
    pool.wait_status(lambda status: not status["memory_short"] and len(pool.serving(status)) == 1, what="the end of it")
    assert "memory for more workers again" in pool.log()
    assert pool.status()["counters"]["crashed"] == 0


def test_memory_high(make_pool, make_load):
    pool = make_pool(command=fat_workers(), workers={"min": 1, "max": 16}, idle_timeout=1, memory_high="110M").start()
    pool.wait_ready(1)
    grow(pool, make_load, 5)
    pool.stop()


def test_the_floor_is_kept(make_pool):
    """It was asked for."""
    pool = make_pool(command=fat_workers(), workers={"min": 3, "max": 16}, memory_high="30M").start()
    pool.wait_ready(3)
    assert pool.request().status == 200
    assert pool.command("scale", "4").returncode == 0
    pool.wait_status(lambda status: len(pool.serving(status)) == 4)


def test_another_limit_holds_soon(make_pool, make_load):
    pool = make_pool(command=fat_workers(), workers={"min": 1, "max": 8}, idle_timeout=1, memory_high="90M").start()
    pool.wait_ready(1)
    load = make_load(pool.address, clients=8, mix=MIX)
    pool.wait_status(lambda status: status["memory_short"], what="the shortage")
    pool.write(memory_high="900M")
    pool.send_signal(1)
    pool.wait_status(lambda status: not status["memory_short"] and len(pool.serving(status)) == 8, what="no shortage")
    assert_all_right(load.stop())


@pytest.fixture
def group(directory):
    """A control group with a limit of 150 MB, of either version."""
    top = Path("/sys/fs/cgroup/memory")
    limit = "memory.limit_in_bytes"
    if not (top / limit).exists():
        top, limit = Path("/sys/fs/cgroup"), "memory.max"
    path = top / f"fcgipool-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not (path / limit).exists():
            pytest.skip("the control groups here do not limit memory")
        (path / limit).write_text(str(150 * MB))
        yield path
    finally:
        path.rmdir()


def test_control_group(directory, group, make_pool, make_load):
    program = directory / "fcgipool"
    program.write_text(f"#!/bin/sh\necho $$ >{group}/cgroup.procs\nexec {build.fcgipool()} \"$@\"\n")
    program.chmod(0o755)
    pool = make_pool(command=fat_workers(), workers={"min": 1, "max": 16}, idle_timeout=1, binary=str(program)).start()
    pool.wait_ready(1)
    grow(pool, make_load, 7)
    pool.stop()
    pool.wait_gone()
