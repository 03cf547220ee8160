#!/usr/bin/python3
"""What it costs a worker to be looked into: the same program under fcgipool with the library and under spawn-fcgi or
multiwatch, in one run.

usage: tests/bench/overhead.py OUTPUT [--quick] [--self] [--observe WAY] [--only WORD]
OUTPUT gets the figures as JSON. --self compares the bare worker with itself, which must give 1. FCGIPOOL_BUILD names
the build directory.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from kit import build, kinds  # noqa: E402
from kit.nginx import Nginx  # noqa: E402
from measure import each_request, interval  # noqa: E402
from servers import Bare, Seen  # noqa: E402

# The lower bound that is promised for the ratio.
PROMISED = {"direct": 0.97, "nginx": 0.99}
# (kind, workers, way)
CASES = [("fcgx", 1, "direct"), *((kind, 2, way) for way in PROMISED for kind in kinds.PRELOAD)]
SLICE_MS = 50
# Where a process happens to lie in memory is worth a percent by itself, so both sides are started anew each round.
ROUNDS, PAIRS = 20, 40
# One worker has a processor to itself, and its clients another: who wakes whom where is worth more than what we look for.
APART = (["taskset", "-c", "0"], ["taskset", "-c", "1"])


def start(arm, directory, command, workers, options):
    directory.mkdir()
    if arm == "bare" or options.self:
        return Bare(directory, command, workers)
    return Seen(directory, options.observe or "preload", command=command, workers=workers, observe=options.observe)


LOCATION = """\
location /{name}/ {{
    include {directory}/fastcgi_params;
    fastcgi_param SCRIPT_FILENAME {script};
    fastcgi_param REDIRECT_STATUS 200;
    fastcgi_pass_header X-Pid;
    fastcgi_pass {address};
}}
"""


def one_round(case, directory, options):
    """The rates of both, a pair a slice: [(seen, bare)...]."""
    kind, workers, way = case
    command, script = kinds.command(kind)
    directory.mkdir()
    started = []
    pin, clients = APART if workers == 1 and os.cpu_count() > 1 else ([], [])
    if pin:
        command = [build.installed(pin[0]), *pin[1:], *command]
    try:
        for arm in ("seen", "bare"):
            started.append(start(arm, directory / arm, command, workers, options))
        addresses = [server.address for server in started]
        prefixes = ["", ""]
        if way == "nginx":
            (directory / "nginx").mkdir()
            snippet = directory / "snippet"
            prefixes = ["/seen", "/bare"]
            snippet.write_text("".join(LOCATION.format(name=name[1:], directory=directory / "nginx", script=script,
                                                       address=address) for name, address in zip(prefixes, addresses)))
            started.append(Nginx(directory / "nginx", snippet=snippet))
            started[-1].start()
            addresses = [started[-1].address] * 2

        def slices(pairs):
            output = subprocess.run(
                [*clients, build.built("tests/slices"), "http" if way == "nginx" else "fastcgi", str(2 * workers),
                 str(SLICE_MS), str(pairs), script, addresses[0], prefixes[0], addresses[1], prefixes[1]],
                check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout
            return [tuple(map(float, line.split())) for line in output.splitlines()]
        slices(2)
        return slices(options.pairs)
    finally:
        for server in reversed(started):
            server.close()


def compare(case, top, options):
    kind, workers, way = case
    bound = PROMISED[way]
    rounds, rates = [], []
    for number in range(options.rounds):
        pairs = one_round(case, top / f"{kind}{workers}{way}{number}", options)
        rounds.append([seen / bare for seen, bare in pairs])
        rates += [bare for _, bare in pairs]
    ratio, low, high = interval(rounds)
    figures = {"worker": kind, "workers": workers, "way": way, "pairs": sum(map(len, rounds)), "ratio": ratio, "low": low,
               "high": high, "bound": bound, "bare_rate": statistics.median(rates)}
    print(f"{kind} x {workers}, {way}: {ratio:.4f} [{low:.4f}, {high:.4f}], promised {bound}, "
          f"bare {figures['bare_rate']:.0f} requests/s", flush=True)
    return figures


def each(tool, arm, kind, top, options):
    """What a request costs the one worker."""
    command, script = kinds.command(kind)

    def load(server, requests):
        subprocess.run([build.built("tests/load"), "--fastcgi", server.address, "--clients", "1", "--requests",
                        str(requests), "--mix", "GET:10", "--script", script], check=True, stdout=subprocess.DEVNULL)
    return each_request(tool, lambda directory, wrap: start(arm, directory, wrap + command, 1, options), load,
                        top / f"{arm}{kind}")


def count(kind, top, options):
    user, system = ({arm: each(tool, arm, kind, top, options) for arm in ("seen", "bare")}
                    for tool in ("callgrind", "strace"))
    more = {name: system["seen"].get(name, 0) - system["bare"].get(name, 0)
            for name in sorted({*system["seen"], *system["bare"]})}
    figures = {"worker": kind, "instructions": {arm: user[arm]["instructions"] for arm in user},
               "calls": {arm: sum(system[arm].values()) for arm in system},
               "extra_calls": {name: round(extra, 2) for name, extra in more.items() if abs(extra) >= 0.01}}
    print(f"{kind}: {figures['instructions']['bare']:.0f} -> {figures['instructions']['seen']:.0f} instructions, "
          f"{figures['calls']['bare']:.2f} -> {figures['calls']['seen']:.2f} calls {figures['extra_calls']}", flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--self", action="store_true")
    parser.add_argument("--observe")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.rounds, options.pairs = (3, 20) if options.quick else (ROUNDS, PAIRS)
    os.environ["PERL_HASH_SEED"] = "0"  # or each start of Perl would do something else
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup would have the workers ignore
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing that was started stays behind
    top = Path(tempfile.mkdtemp(prefix="fcgipool-bench-", dir="/tmp"))
    try:
        figures = {"slice_ms": SLICE_MS, "rounds": options.rounds,
                   "ratios": [compare(case, top, options) for case in CASES
                              if options.only in f"{case[0]}-{case[1]}-{case[2]}"],
                   "counts": [count(kind, top, options) for kind in kinds.PRELOAD if options.only in f"{kind}-counts"]}
    finally:
        shutil.rmtree(top, ignore_errors=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
