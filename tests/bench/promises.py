"""What fcgipool promises of scaling, measured on itself: how soon a new worker is there, what the master uses, what it
costs to have many workers, and how a pool shrinks."""

import random
import resource
import signal
import statistics
import os
import time
from pathlib import Path

from kit import build, fastcgi
from kit.idle import switches
from kit.load import Load
from kit.pool import Pool
from kit.processes import children
from kit.wait import wait_until

REACTION_MS, CPU_PERCENT, STATUS_MS, GROWTH = 10, 1, 100, 2
MANY, FEW = 2000, 10
SETTLED_S = 0.15


def used_ns(pid):
    """Processor time of all threads of a process: utime and stime, as exactly as the scheduler knows them."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def still(pid, seconds=1.5):
    """Waits until a process has used nothing for so long: a look at all workers comes each second as long as there is
    work."""
    last, since = used_ns(pid), time.monotonic()
    deadline = since + 60
    while time.monotonic() < since + seconds:
        assert time.monotonic() < deadline, "the master is never idle"
        time.sleep(0.05)
        now = used_ns(pid)
        if now != last:
            last, since = now, time.monotonic()
    return last


def pool_of(top, name, **settings):
    directory = top / name
    directory.mkdir()
    return Pool(directory, **settings)


def failed(result):
    return result.lost + result.refused


# ---- how soon ----

def settle(pool, number):
    """Waits until a pool has had so many workers for a while, so that none is on its way in or out."""
    since = time.monotonic()

    def settled():
        nonlocal since
        if len(children(pool.pid)) != number:
            since = time.monotonic()
        return time.monotonic() - since >= SETTLED_S
    wait_until(settled, 30, f"{number} workers")


def reaction(top, quick):
    """From the moment before the last idle worker is taken to the new one's first accept, in milliseconds: both by
    CLOCK_MONOTONIC, there by the client before it connects, here by the worker itself. Nobody looks on meanwhile."""
    stamps = top / "stamps"
    stamps.touch()
    pool = pool_of(top, "reaction", command=[build.built("tests/work")], workers={"min": 2, "max": 42, "spare": 1},
                   idle_timeout=0.05, timeout=0, env={"WORK_STAMPS": str(stamps)}).up()
    dice, times, count = random.Random(7), [], 20 if quick else 1000
    held = []  # connections whose request lasts: all workers but one have such

    def stamped():
        return [int(line.split()[1]) for line in stamps.read_text().splitlines()]

    def release():
        while held:
            held.pop().connection.close()
        for pid in children(pool.pid):  # who would sleep for an hour
            os.kill(pid, signal.SIGKILL)

    def take():
        held.append(fastcgi.Kept(pool.address))
        held[-1].begin("/x?n=5&delay=3600000", keep=False)
    try:
        for number in range(count):
            if number % 40 == 0:
                release()
                settle(pool, 2)
                take()
            settle(pool, len(held) + 1)
            before = len(stamped())
            time.sleep(0.02 * dice.random())
            start_ns = time.monotonic_ns()
            take()
            try:
                times.append((wait_until(lambda: stamped()[before:], 2, "another worker")[0] - start_ns) / 1e6)
            except AssertionError:
                pass  # none came: the master did not notice
    finally:
        release()
        pool.close()
    times.sort()
    figures = {"times_ms": times, "none": count - len(times), "median_ms": statistics.median(times),
               "promised_ms": REACTION_MS}
    print(f"reaction: {len(times)} of {count} events, median {figures['median_ms']:.2f} ms, {times[0]:.2f} to "
          f"{times[-1]:.2f} ms", flush=True)
    return figures


# ---- the master's processor time under load ----

def cpu(top, quick):
    rows = []
    for name, workers in (("4", 4), ("1 to 50", {"min": 1, "max": 50})):
        pool = pool_of(top, f"cpu{len(rows)}", workers=workers).up()
        try:
            load = Load(pool.directory, 0, pool.address, clients=16, rate=20000, mix="GET:10")
            time.sleep(2)
            before = load.progress(), used_ns(pool.pid), switches(pool.pid), time.monotonic()
            time.sleep(3 if quick else 10)
            after = load.progress(), used_ns(pool.pid), switches(pool.pid), time.monotonic()
            count = len(children(pool.pid))
            result = load.stop()
        finally:
            load.kill()
            pool.close()
        seconds = after[3] - before[3]
        row = {"workers": name, "count": count, "failed": failed(result), "promised": CPU_PERCENT,
               "rate": (after[0].ok - before[0].ok) / ((after[0].elapsed_ms - before[0].elapsed_ms) / 1000),
               "percent": (after[1] - before[1]) / 1e7 / seconds, "switches": (after[2] - before[2]) / seconds}
        print(f"master's processor time: {row}", flush=True)
        rows.append(row)
    return rows


# ---- many workers ----

def lacking(number):
    """Why the machine cannot have so many workers; None: it can."""
    available = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) // 1024
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < 2 * number + 200:
        return f"no more than {limit} descriptors a process"
    if available < 2 * number:
        return f"no more than {available} MB of memory are free"
    if int(Path("/proc/sys/kernel/pid_max").read_text()) < 2 * number:
        return "not enough process ids"
    return None


def many(top, name, **settings):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return pool_of(top, name, start_timeout=120, timeout=0, max_starting=64, **settings).up(timeout=300)


def per_start(pool, what, count):
    """Median of the master's time, in microseconds, from the call of what() until all that follows from a start is
    over."""
    def starts():
        return pool.log().count(" serves after ")
    times = []
    for _ in range(count):
        before, started = still(pool.pid), starts()
        what()
        wait_until(lambda: starts() > started, 20, "a start")
        times.append((still(pool.pid) - before) / 1000)
    return statistics.median(times)


def idle_many(top, number, quick):
    """A crash with its respawn, TTIN, and the status of a pool whose workers are idle."""
    count = 3 if quick else 20
    pool = many(top, f"idle{number}", workers=number)
    try:
        figures = {"crash": per_start(pool, lambda: os.kill(children(pool.pid)[0], signal.SIGKILL), count),
                   "ttin": per_start(pool, lambda: pool.send_signal(signal.SIGTTIN), count)}
        times = []
        for _ in range(count):
            start = time.monotonic()
            assert pool.command("status", "--json").returncode == 0
            times.append(1000 * (time.monotonic() - start))
        figures["status_ms"] = statistics.median(times)
    finally:
        pool.close()
    return figures


def each_request(pool, count):
    """Median of the master's time, in microseconds, around a short request: once a second it looks at all workers,
    which few of these meet."""
    times = []
    for _ in range(count):
        time.sleep(0.04)
        before = used_ns(pool.pid)
        assert pool.request().status == 200
        time.sleep(0.06)
        times.append((used_ns(pool.pid) - before) / 1000)
    return statistics.median(times)


def busy_many(top, number, quick):
    """What it is to be woken because the last idle worker was taken, all others being busy: the difference of requests
    that do it and such that do not."""
    count = 20 if quick else 200
    pool = many(top, f"busy{number}", workers={"min": number, "max": number + 1, "spare": 0})
    held = []

    def hold(more):
        for _ in range(more):
            held.append(fastcgi.Kept(pool.address))
            held[-1].begin("/x?n=5&delay=3600000", keep=False)
        pool.wait_status(lambda status: sum(each["current"] is not None for each in status["workers"]) == len(held),
                         60, "busy workers")
    try:
        hold(number - 2)
        without = each_request(pool, count)
        hold(1)
        before = pool.status()["counters"]["all_busy"]
        woken = each_request(pool, count)
        wakes = pool.status()["counters"]["all_busy"] - before
        start = used_ns(pool.pid)
        time.sleep(10)
        in_hand = (used_ns(pool.pid) - start) / 1e8
    finally:
        for each in held:
            each.connection.close()
        pool.close()
    return {"saturation": woken - without, "wakes": wakes, "requests": count, "in_hand_percent": in_hand}


def growth(top, quick):
    number = 200 if quick else MANY
    reason = lacking(number)
    if reason:
        print(f"growth: skipped: {reason}", flush=True)
        return {"skipped": reason, "many": number}
    figures = {"few": FEW, "many": number, "promised": GROWTH, "promised_status_ms": STATUS_MS, "at": {}}
    for each in (FEW, number):
        figures["at"][each] = {**idle_many(top, each, quick), **busy_many(top, each, quick)}
        print(f"{each} workers: {figures['at'][each]}", flush=True)
    return figures


# ---- down again ----

def shrink(top, quick):
    rows, most, idle_s = [], 20, 2 if quick else 10
    for name, rate, spare in (("none", None, "auto"), ("1 request a second", 1, "auto"), ("1 request a second", 1, 0)):
        pool = pool_of(top, f"shrink{len(rows)}", workers={"min": 1, "max": most, "spare": spare},
                       idle_timeout=idle_s).up()
        trickle = None
        try:
            load = Load(pool.directory, 0, pool.address, clients=most, mix="GET:10?delay=100")
            wait_until(lambda: len(children(pool.pid)) == most, 20, f"{most} workers")
            load.wait_ok(2 * most)
            lost = failed(load.stop())
            start, least, at_s = time.monotonic(), most, 0.0
            if rate:
                trickle = Load(pool.directory, 1, pool.address, clients=1, rate=rate, mix="GET:10")
            while least > 1 and time.monotonic() < start + 3 * idle_s + 5:
                time.sleep(0.02)
                count = len(children(pool.pid))
                if count < least:
                    least, at_s = count, time.monotonic() - start
            if trickle:
                lost += failed(trickle.stop())
        finally:
            load.kill()
            if trickle:
                trickle.kill()
            pool.close()
        rows.append({"load": name, "spare": spare, "most": most, "floor": 1, "idle_timeout_s": idle_s,
                     "least": least, "seconds": at_s, "failed": lost})
        print(f"shrink: {rows[-1]}", flush=True)
    return rows
