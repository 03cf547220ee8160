#!/usr/bin/python3
"""How scaling does on the traces of scaling_traces.py, against the rules of other process managers: what it costs, in
seconds of workers, and how long requests wait. Everything runs in virtual time.

usage: tests/bench/scaling_sim.py OUTPUT
OUTPUT gets the figures as JSON. FCGIPOOL_BUILD names the build directory.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True

from scaling_traces import RIVALS, SETTINGS, SQUARE, SQUARE_BOUND, TO_WIN, TRACES, TUNINGS  # noqa: E402

# With the settings as they are, either side may spend more. Of these, those are taken by which fcgipool waits the least
# on the trace and costs no more than the rival; the defaults are 30, "auto" and 50.
LADDER = [{"idle_timeout": seconds, "workers.spare": spare, "workers.max": most}
          for seconds, spare, most in
          [(seconds, "auto", 50) for seconds in (600, 300, 180, 120, 90, 60, 45, 30, 25, 20, 15, 10, 7, 5, 3, 2, 1)] +
          [(seconds, 0, 50) for seconds in (30, 20, 10, 5, 3, 2, 1)] +
          [(seconds, spare, 50) for seconds in (60, 30, 10, 5, 3, 2, 1)
           for spare in (3, 5, 8, 10, 12, 14, 16, 18, 20, 22, 25, 30)] +
          [(seconds, 0, most) for seconds in (20, 5, 1) for most in (45, 40, 35, 30, 25, 20, 16, 12, 9, 6, 4)]]


def simulate(file, trace, rivals=(), settings=None):
    """{manager: {worker_seconds, p99, ...}} and the trace's own figures."""
    command = [Path(os.environ["FCGIPOOL_BUILD"]).resolve() / "fcgipool", "simulate", "--json"]
    for name, value in trace.items():
        command += [f"--{name}", str(value)]
    for rival in rivals:
        command += ["--rival", rival]
    for name, value in (settings or {}).items():
        command += ["--set", f"{name}={value}"]
    answer = json.loads(subprocess.run([*command, file], check=True, capture_output=True, text=True,
                                       stdin=subprocess.DEVNULL).stdout)
    return {each["name"]: {"worker_seconds": each["worker_seconds"], "p99": each["wait_ms"]["p99"],
                           "max": each["wait_ms"]["max"], "spawns": each["spawns"]}
            for each in answer["managers"]}, answer["trace"]


def best(candidates, cost):
    """Who waits the least of those that cost no more than `cost`, or None."""
    return min((each for each in candidates if each["worker_seconds"] <= cost),
               key=lambda each: (each["p99"], each["max"], each["worker_seconds"]), default=None)


def cheapest(candidates, p99):
    """What it costs to wait no longer than that, or None."""
    return min((each["worker_seconds"] for each in candidates if each["p99"] <= p99), default=None)


def tuned(file, trace, ours):
    """PHP-FPM with what hindsight says is best for it, or None when all of it costs more."""
    limit = SETTINGS["workers"]["max"]
    names = []
    for low, high in TUNINGS:
        low, high = max(1, round(low * limit)), round(high * limit)
        names.append(f"fpm-dynamic:min_spare_servers={low},max_spare_servers={high},start_servers={(low + high) // 2}")
    figures, _ = simulate(file, trace, names)
    return best([{**figures[name], "spec": name} for name in names], ours["worker_seconds"])


def measure(file, trace):
    figures, about = simulate(file, trace, RIVALS)
    ours = figures.pop("fcgipool")
    steps = [{**simulate(file, trace, settings=settings)[0]["fcgipool"], "settings": settings} for settings in LADDER]
    matched = {rival: best(steps, theirs["worker_seconds"]) for rival, theirs in figures.items()}
    least = {rival: cheapest(steps, theirs["p99"]) for rival, theirs in figures.items()}
    return {"trace": trace, "demand": about["demand"], "requests": about["requests"],
            "ideal_spawns": about["ideal_spawns"], "fcgipool": ours, "rivals": figures, "matched": matched, "least": least,
            "tuned": tuned(file, trace, ours)}


def main(output):
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pool.json"
        file.write_text(json.dumps(SETTINGS))
        with ThreadPoolExecutor(2) as pool:
            traces = list(pool.map(lambda trace: measure(file, trace), TRACES))
        square, about = simulate(file, SQUARE)
    Path(output).write_text(json.dumps({
        "workers": SETTINGS["workers"], "to_win": TO_WIN, "traces": traces,
        "square": {"spawns": square["fcgipool"]["spawns"], "ideal": about["ideal_spawns"], "bound": SQUARE_BOUND}},
        indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
