"""A pool with nothing to do costs nothing: no wake-up, little memory."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kit import build
from kit.idle import settle, sleeps
from kit.wait import wait_until

# libev wakes by itself every 59.7 s unless it is told otherwise; the full run would see it twice.
SECONDS = 130 if build.FULL else 5


def test_no_system_call(directory, make_pool, record_property):
    strace = build.installed("strace")
    pool = make_pool(workers=4).up()
    settle(pool)
    trace = directory / "trace"
    watcher = subprocess.Popen([strace, "-f", "-p", str(pool.pid), "-o", str(trace)], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in watcher.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(SECONDS)
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.wait(10)
    # Being attached to interrupts a wait; anything else would be the master's own doing.
    calls = [line for line in trace.read_text().splitlines()
             if " = " in line and not re.search(r"= -1 EINTR|restart_syscall|ERESTART", line)]
    assert not calls, calls[:20]
    record_property("seconds without a system call", SECONDS)
    assert pool.request().status == 200


def test_no_wake_up(make_pool):
    """The same without a tracer, by the count of context switches."""
    pool = make_pool(workers=4).up()
    settle(pool)
    assert sleeps(pool.pid, SECONDS / 2)


def test_memory(make_pool, record_property):
    if build.instrumented():
        pytest.skip("memory of an instrumented build says nothing")
    pool = make_pool(workers=4).up()
    pool.command("status")
    settle(pool)
    total, own, dirty = 0, 0, 0
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pool.pid}/smaps").read_text(), flags=re.M)[1:]:
        sizes = {name: int(kb) for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", mapping, re.M)}
        total += sizes["Pss"]
        dirty += sizes["Private_Dirty"]
        # Clean pages of libraries count the more, the fewer others on the machine have them.
        own += sizes["Private_Dirty"] if ".so" in mapping.splitlines()[0] else sizes["Pss"]
    record_property("PSS kB", total)
    record_property("PSS kB without the libraries' clean pages", own)
    record_property("private dirty kB", dirty)
    assert own <= 800 and dirty <= 500, (total, own, dirty)


def test_failing_pool_sleeps_between_probes(make_pool):
    """At the slow rate there is nothing to do for seconds."""
    pool = make_pool(command=[build.worker("bad"), "exit", "1"], workers=4, failures=2,
                     backoff={"initial": "10ms", "max": "30s"}).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    wait_until(lambda: sleeps(pool.pid, 0.6), 30, "a sleeping master")
