#!/usr/bin/python3
"""How soon there are workers when work comes, and how soon they go: fcgipool, php-fpm and uWSGI side by side, and what
fcgipool promises of itself.

usage: tests/bench/scaling.py OUTPUT [--quick] [--only WORD]
OUTPUT gets the figures as JSON, and beside it, as .svg, a plot of the workers that serve. FCGIPOOL_BUILD names the
build directory.
"""

import argparse
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

import promises  # noqa: E402
from kit import build  # noqa: E402
from kit.load import Load  # noqa: E402
from kit.wait import wait_until  # noqa: E402
from servers import Fpm, Ours, ScalingUwsgi  # noqa: E402

CLIENTS = 50
LATENCY_S = 10  # of a step, the requests that begin so soon count for its latencies
CALM_S = 3      # before a load begins
ROUNDS = 3
QUICK_S = 8     # the longest step, with --quick
# name, mix, time of service, how long to wait for all workers
WORKS = [("sleep 500 ms", "GET:10?delay=500", 0.5, 60), ("burn 5 ms", "GET:10?burn=5", 0.005, 20)]


def dynamic(start, most_spare):
    return ["pm = dynamic", f"pm.max_children = {CLIENTS}", f"pm.start_servers = {start}",
            f"pm.min_spare_servers = {start}", f"pm.max_spare_servers = {most_spare}"]


def fpm(*lines):
    return lambda directory: Fpm(directory, lines)


def uwsgi(*options):
    return lambda directory: ScalingUwsgi(directory, CLIENTS, options)


def ours(kind, low):
    return lambda directory: Ours(directory, kind, workers={"min": low, "max": CLIENTS})


SOON = ["--cheaper-step", "10", "--cheaper-overload", "1"]
# name, how to start it, workers when idle
SERVERS = [
    ("php-fpm dynamic, 1 spare", fpm(*dynamic(1, 3)), 1),
    ("php-fpm dynamic, 5 spare", fpm(*dynamic(5, 10)), 5),
    ("php-fpm ondemand", fpm("pm = ondemand", f"pm.max_children = {CLIENTS}"), 0),
    ("uWSGI spare", uwsgi("--cheaper-algo", "spare"), 1),
    ("uWSGI spare, step 10, overload 1", uwsgi("--cheaper-algo", "spare", *SOON), 1),
    ("uWSGI busyness", uwsgi("--cheaper-algo", "busyness"), 1),
    ("uWSGI busyness, step 10, overload 1", uwsgi("--cheaper-algo", "busyness", *SOON), 1),
    ("fcgipool, php-cgi, min 1", ours("php", 1), 1),
    ("fcgipool, php-cgi, min 0", ours("php", 0), 0),
    ("fcgipool, C, min 1", ours("c", 1), 1),
    ("fcgipool, C, min 0", ours("c", 0), 0)]


def percentile(times, percent):
    return sorted(times)[max(0, math.ceil(len(times) * percent / 100) - 1)] if times else None


def run(server, work, measure, directory, quick):
    """The figures of one round, with a server that has been idle for a while."""
    _, start, idle = server
    running = start(directory)
    try:
        wait_until(lambda: running.workers() == idle, 20, f"{idle} idle workers")
        time.sleep(CALM_S)
        return measure(running, work, directory, quick)
    finally:
        running.close()


def latencies(result, answers):
    times = [latency / 1000 for _, latency, _ in answers]
    return {"answers": len(times), "workers": len({pid for _, _, pid in answers}),
            "failed": result.lost + result.refused,
            **{f"p{percent}": percentile(times, percent) for percent in (50, 95, 99, 100)}}


# ---- a step ----

def first_served(times, service_s):
    """When each worker began with its first request, at the latest, in seconds and sorted."""
    first = {}
    for start, latency, pid in times:
        begun = max(0, (start + latency) / 1e6 - service_s)
        first[pid] = min(begun, first.get(pid, begun))
    return sorted(first.values())


def step(server, work, directory, quick):
    """50 clients that begin at once, and each sends the next request when it has the answer."""
    _, mix, service_s, limit_s = work
    latency_s, limit_s = (min(each, QUICK_S) if quick else each for each in (LATENCY_S, limit_s))
    load = Load(directory, 0, server.address, clients=CLIENTS, mix=mix, script=server.script, times=True,
                timeout_ms=120000)
    try:
        start = time.monotonic()

        def over():
            passed, now = time.monotonic() - start, load.progress()
            return passed >= limit_s or (passed >= latency_s and now and len(now.pids) >= CLIENTS)
        time.sleep(latency_s)
        wait_until(over, limit_s + 5, "the end of the step")
        result = load.stop(150)
    finally:
        load.kill()
    times = load.times()
    begun = first_served(times, service_s)
    return {**latencies(result, [each for each in times if each[0] < 1e6 * latency_s]), "begun": begun[:CLIENTS],
            "waited_s": limit_s,
            "all_s": begun[CLIENTS - 1] if len(begun) >= CLIENTS else None}


# ---- a burst ----

def burst(server, work, directory, _quick):
    load = Load(directory, 0, server.address, clients=CLIENTS, requests=CLIENTS, mix=work[1], script=server.script,
                times=True, timeout_ms=120000)
    try:
        result = load.wait(150)
    finally:
        load.kill()
    return latencies(result, load.times())


def middle(rounds):
    ordered = sorted(rounds, key=lambda each: (each.get("all_s") or math.inf, each["p99"] or math.inf))
    return ordered[(len(ordered) - 1) // 2]


def side_by_side(top, options):
    rows = {"step": [], "burst": []}
    works = WORKS[:1] if options.quick else WORKS
    for measure, work, server in itertools.product((step, burst), works, SERVERS):
        what = f"{measure.__name__}-{work[0]}-{server[0]}"
        if options.only not in what:
            continue
        rounds = [run(server, work, measure, Path(tempfile.mkdtemp(dir=top)), options.quick)
                  for _ in range(1 if options.quick else ROUNDS)]
        row = {"server": server[0], "work": work[0], **middle(rounds)}
        rows[measure.__name__].append(row)
        shown = {name: value for name, value in row.items() if name not in ("begun", "server", "work")}
        print(f"{what}: {shown}", flush=True)
    return rows


# ---- the plot ----

COLOURS = {"php-fpm": ["#08306b", "#2171b5", "#6baed6"], "uWSGI": ["#67000d", "#cb181d", "#fb6a4a", "#fcae91"],
           "fcgipool, php-cgi": ["#b8860b", "#e6b800"], "fcgipool, C": ["#00441b", "#41ab5d"]}


def colours(names):
    """Shades of one colour for those of a family."""
    left = {family: iter(shades) for family, shades in COLOURS.items()}
    return [next(left[next(each for each in left if name.startswith(each))]) for name in names]


def plot(rows, path):
    """Workers that serve, over the time since the step, on a logarithmic scale."""
    blocks, curves = "", []
    for number, (row, colour) in enumerate(zip(rows, colours(row["server"] for row in rows))):
        points = [(max(at, 0.001), count) for count, at in enumerate(row["begun"], 1)]
        points.append((WORKS[0][3], len(points)))
        blocks += f"$curve{number} << END\n" + "".join(f"{at:.4f} {count}\n" for at, count in points) + "END\n"
        curves.append(f'$curve{number} with steps linewidth 2 linecolor "{colour}" title "{row["server"]}"')
    script = f"""{blocks}
set terminal svg size 900,680 background "white" font "sans,12"
set output "{path}"
set title "{CLIENTS} clients begin at once, each request takes {WORKS[0][2] * 1000:.0f} ms"
set logscale x
set xrange [0.001:{WORKS[0][3]}]
set yrange [0:{CLIENTS + 2}]
set xlabel "seconds since the step"
set ylabel "workers that serve"
set key below vertical maxrows 6 Left reverse width 2
set grid
plot {", ".join(curves)}
"""
    subprocess.run([build.installed("gnuplot")], input=script, text=True, check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing that was started stays behind
    top = Path(tempfile.mkdtemp(prefix="fcgipool-bench-", dir="/tmp"))
    top.chmod(0o755)
    try:
        figures = {"clients": CLIENTS, "rounds": 1 if options.quick else ROUNDS, **side_by_side(top, options)}
        options.output.write_text(json.dumps(figures, indent=2) + "\n")
        for each in (promises.reaction, promises.cpu, promises.growth, promises.shrink):
            if options.only in each.__name__:
                figures[each.__name__] = each(top, options.quick)
                options.output.write_text(json.dumps(figures, indent=2) + "\n")
    finally:
        shutil.rmtree(top, ignore_errors=True)
    curves = [row for row in figures["step"] if row["work"] == WORKS[0][0]]
    if curves:
        plot(curves, options.output.with_suffix(".svg"))


if __name__ == "__main__":
    main()
