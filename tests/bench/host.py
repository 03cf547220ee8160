#!/usr/bin/python3
"""What the application host costs: hello world over a unix socket by one worker, beside a plain loop of libfcgi, Go's
net/http/fcgi and uWSGI, in turn in one run.

usage: tests/bench/host.py OUTPUT [--quick] [--only SERVER]...
OUTPUT gets the figures as JSON. FCGIPOOL_BUILD names the build directory.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from kit import build  # noqa: E402
from measure import each_request, interval  # noqa: E402
from servers import BENCH, Bare, Seen, Uwsgi  # noqa: E402

# What a client does: (connections, requests in hand on each), a connection a request or kept ones.
WAYS = {"new": ("new", 4, 1), "kept": ("kept", 1, 1), "16 kept": ("kept", 16, 1), "64 on one": ("kept", 1, 64)}
# What each server can do: libfcgi serves one connection at a time and one request on it, uWSGI fails with kept ones.
SERVERS = {"libfcgi": ("new", "kept"), "sync": ("new", "kept"), "threads": ("new", "kept"), "async": tuple(WAYS),
           "go": tuple(WAYS), "uwsgi": ("new",)}
# Each is compared with the plain loop: in the same way, or, where that cannot do it, on its kept connection.
AGAINST = {"new": "new", "kept": "kept", "16 kept": "kept", "64 on one": "kept"}
# Processor time of the worker a request, and the least ratio of requests a second, that are promised.
PROMISED = {("sync", "new"): 1.02, ("sync", "kept"): 1.02, ("async", "16 kept"): 0.8, ("async", "64 on one"): 1 / 3}
ROUNDS, TURNS, REQUESTS = 10, 20, 3000
# Workers have one processor, of whom one at a time has work, and the client the other.
WORKER, CLIENT = (["taskset", "-c", "0"], ["taskset", "-c", "1"]) if os.cpu_count() > 1 else ([], [])


def start(name, directory, wrap=()):
    directory.mkdir()
    if name == "uwsgi":
        return Uwsgi(directory, "hello.py", 1, wrap=wrap)
    if name == "libfcgi":
        return Bare(directory, [*wrap, build.built("tests/hello")], 1)
    if name == "go":
        return Bare(directory, [*wrap, build.compiled("hello_go", ["go", "build"], [BENCH / "hello.go"])], 1)
    return Seen(directory, "preload", workers=1,
                command=[*wrap, build.built("fcgipool-host"), "--class", name, build.built("tests/hello_app.so")])


def processor_time(pid):
    """Of all threads that it has and had, in seconds: clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def load(server, way, requests, *before):
    mode, connections, depth = WAYS[way]
    output = subprocess.run([*before, build.built("tests/rate"), server.address, mode, str(connections), str(depth),
                             str(requests)], check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    return float(output)


def turn(server, way, requests):
    """Microseconds of the worker's processor a request, and requests a second."""
    before = processor_time(server.pid)
    seconds = load(server, way, requests, *CLIENT)
    return (processor_time(server.pid) - before) / requests * 1e6, requests / seconds


def one_round(names, top, options):
    """{(server, way): [(cost, rate)...]}, all in turn, each turn in an order of its own."""
    top.mkdir()
    servers = {}
    cases = [(name, way) for name in names for way in SERVERS[name]]
    result = {case: [] for case in cases}
    with contextlib.ExitStack() as stack:
        for name in names:
            servers[name] = start(name, top / name, [build.installed(WORKER[0]), *WORKER[1:]] if WORKER else [])
            stack.callback(servers[name].close)
        for number in range(options.turns + 1):
            for name, way in random.sample(cases, len(cases)):
                figures = turn(servers[name], way, options.requests)
                if number > 0:  # the first one warms up
                    result[name, way].append(figures)
    return result


def ratios(rounds, name, way, which):
    """Of cost (0) or rate (1), to the plain loop's in the same turn."""
    return interval([[own[which] / plain[which] for own, plain in zip(each[name, way], each["libfcgi", AGAINST[way]])]
                     for each in rounds])


def compare(rounds, name, way):
    cost, rate = (statistics.median(turn[which] for each in rounds for turn in each[name, way]) for which in (0, 1))
    middle, low, high = ratios(rounds, name, way, 0)
    figures = {"server": name, "way": way, "cost": cost, "rate": rate, "ratio": middle, "low": low, "high": high,
               "rates": ratios(rounds, name, way, 1)[0], "against": AGAINST[way], "promised": PROMISED.get((name, way))}
    print(f"{name}, {way}: {cost:.2f} us a request, {rate:.0f} requests/s, cost {middle:.3f} [{low:.3f}, {high:.3f}] of "
          f"libfcgi's ({AGAINST[way]})", flush=True)
    return figures


# Go's runtime makes calls of its own as time goes by, and neither it nor Python runs well under callgrind.
COUNTED = {"callgrind": ("libfcgi", "sync", "async"), "strace": ("libfcgi", "sync", "async", "go", "uwsgi")}


def count(name, way, top):
    found = {}
    for tool, names in COUNTED.items():
        if name in names:
            found[tool] = each_request(tool, lambda directory, wrap: start(name, directory, wrap),
                                       lambda server, requests: load(server, way, requests),
                                       top / f"{name}{way.replace(' ', '')}", 128, 1280)
    calls = {call: round(number, 2) for call, number in found["strace"].items() if number >= 0.01}
    figures = {"server": name, "way": way, "instructions": found.get("callgrind", {}).get("instructions"), "calls": calls}
    print(f"{name}, {way}: {figures['instructions']} instructions, {sum(calls.values()):.2f} calls {calls}", flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SERVERS)
    options = parser.parse_args()
    options.rounds, options.turns, options.requests = (2, 4, 1000) if options.quick else (ROUNDS, TURNS, REQUESTS)
    names = [name for name in SERVERS if not options.only or name in ("libfcgi", *options.only)]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing that was started stays behind
    top = Path(tempfile.mkdtemp(prefix="fcgipool-bench-", dir="/tmp"))
    try:
        rounds = [one_round(names, top / f"round{number}", options) for number in range(options.rounds)]
        cases = [(name, way) for name in names for way in SERVERS[name]]
        figures = {"rounds": options.rounds, "turns": options.turns, "requests": options.requests,
                   "costs": [compare(rounds, name, way) for name, way in cases],
                   "counts": [count(name, way, top) for name, way in cases if name in COUNTED["strace"]]}
    finally:
        shutil.rmtree(top, ignore_errors=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
