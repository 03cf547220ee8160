#!/usr/bin/python3
"""What it costs a worker to be looked into: the same program under fcgipool with the library and under spawn-fcgi or
multiwatch, in one run.

usage: tests/bench/overhead.py OUTPUT [--quick] [--self] [--observe WAY] [--only WORD]
OUTPUT gets the figures as JSON. --self compares the bare worker with itself, which must give 1. FCGIPOOL_BUILD names
the build directory.
"""

import argparse
import contextlib
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from kit import build, fastcgi, kinds, processes  # noqa: E402
from kit.nginx import Nginx  # noqa: E402
from kit.pool import Pool, environment_of  # noqa: E402
from kit.wait import wait_until  # noqa: E402

# The lower bound that is promised for the ratio.
PROMISED = {"direct": 0.97, "nginx": 0.99}
# (kind, workers, way)
CASES = [("fcgx", 1, "direct"), *((kind, 2, way) for way in PROMISED for kind in kinds.PRELOAD)]
SLICE_MS = 50
# Where a process happens to lie in memory is worth a percent by itself, so both sides are started anew each round.
ROUNDS, PAIRS = 20, 40
# One worker has a processor to itself, and its clients another: who wakes whom where is worth more than what we look for.
APART = (["taskset", "-c", "0"], ["taskset", "-c", "1"])


# As under fcgipool, where php-cgi with children cannot make a session of its own: to each of those Linux gives a share
# of the processors (sched_autogroup), and a session more or less is worth some percent.
LEADER = [sys.executable, "-c", "import os, signal, sys\n"
          "signal.signal(signal.SIGPIPE, signal.SIG_DFL), signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
          "os.setpgid(0, 0), os.execvp(sys.argv[1], sys.argv[1:])"]


def is_strace(pid):
    return processes.command_line(pid).startswith(build.installed("strace"))


def wait_for_end(mark, seconds=20):
    """Children of php-cgi end after it, strace after all, and what counts writes its figures then. Some never end."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not processes.marked(mark), seconds, "end of all")


class Bare:
    """A worker without fcgipool: spawn-fcgi for one, multiwatch for more, each leading its process group."""

    def __init__(self, directory, command, workers):
        self.path = directory / "bare.sock"
        self.address = f"unix:{self.path}"
        if workers > 1:
            command = [build.installed("multiwatch"), "-f", str(workers), "--", *LEADER, *command]
        self.mark = os.urandom(16).hex()
        self.process = subprocess.Popen(
            [build.installed("spawn-fcgi"), "-n", "-b", "2048", "-s", str(self.path), "--", *command],
            env=environment_of(self.mark, directory / "runtime"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd=directory)
        self.patience = 20 if workers == 1 else 0

    def close(self):
        """HUP first, where one worker may have to write down what was counted: threads of libfcgi stay at a TERM, and
        multiwatch would wait for ever."""
        for number in (signal.SIGHUP, signal.SIGKILL) if self.patience else (signal.SIGKILL,):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(self.patience or 20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self.process.wait()
        wait_for_end(self.mark, self.patience)
        while pids := [pid for pid in processes.marked(self.mark) if not is_strace(pid)]:
            for pid in pids:  # each has a group of its own, and php-cgi forks again
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_for_end(self.mark)
        self.path.unlink(missing_ok=True)


class Seen:
    """The same under fcgipool."""

    def __init__(self, directory, command, workers, observe):
        self.pool = Pool(directory, command=command, workers=workers, **({"observe": observe} if observe else {})).up()
        self.address = self.pool.address
        ways = {each.get("observe") for each in self.pool.status()["workers"]}
        assert ways == {observe or "preload"}, f"observed by {ways}"

    def close(self):
        self.pool.send_signal(signal.SIGTERM)
        self.pool.wait_exit(30)
        wait_for_end(self.pool.tree.mark)
        self.pool.close()


def start(arm, directory, command, workers, options):
    directory.mkdir()
    bare = arm == "bare" or options.self
    server = Bare(directory, command, workers) if bare else Seen(directory, command, workers, options.observe)
    wait_until(lambda: not isinstance(probe(server.address), fastcgi.Refused), 20, f"the {arm} worker")
    return server


def probe(address):
    try:
        fastcgi.connect(address).close()
        return None
    except fastcgi.Refused as refused:
        return refused


def interval(rounds):
    """Median of all pair ratios, and a 95 % interval by a bootstrap over rounds and the pairs in them."""
    dice = random.Random(7)
    medians = sorted(statistics.median(ratio for each in dice.choices(rounds, k=len(rounds))
                                       for ratio in dice.choices(each, k=len(each))) for _ in range(2000))
    middle = statistics.median(ratio for each in rounds for ratio in each)
    return middle, medians[math.floor(0.025 * len(medians))], medians[math.ceil(0.975 * len(medians)) - 1]


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


# Instructions and system calls: what N more requests add to a run.

def instructions(directory):
    """callgrind's total of all processes."""
    totals = [int(match[1]) for each in directory.glob("callgrind.*")
              if (match := re.search(r"^(?:totals|summary):\s*(\d+)", each.read_text(errors="replace"), re.M))]
    return {"instructions": sum(totals)} if totals else {}


def calls(directory):
    """Calls by name, from strace's table."""
    found = {}
    for line in (directory / "calls").read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            found[fields[-1]] = int(fields[3])
    return found


# What fcgiwrap starts is without the library, and so slow under callgrind that fcgiwrap would wait in other steps. (What
# its child does before that is in no count: a process that becomes another program leaves none.)
SKIP = "--trace-children-skip=*.cgi"
COUNTERS = {
    "callgrind": (lambda directory: [build.installed("valgrind"), "--tool=callgrind", "--trace-children=yes", SKIP,
                                     f"--callgrind-out-file={directory}/callgrind.%p"], instructions),
    "strace": (lambda directory: [build.installed("strace"), "-DD", "-f", "-c", "-o", f"{directory}/calls"], calls)}


def counted(tool, arm, kind, requests, directory, options):
    """What one worker has used up after so many requests."""
    wrap, read = COUNTERS[tool]
    command, script = kinds.command(kind)
    directory.mkdir()
    server = start(arm, directory / "server", wrap(directory) + command, 1, options)
    try:
        subprocess.run([build.built("tests/load"), "--fastcgi", server.address, "--clients", "1", "--requests",
                        str(requests), "--mix", "GET:10", "--script", script], check=True, stdout=subprocess.DEVNULL)
    finally:
        server.close()
    return wait_until(lambda: read(directory), 30, f"{tool}'s figures")


def each_request(tool, kind, top, options):
    few, many = 20, 520
    result = {}
    for arm in ("seen", "bare"):
        low, high = (counted(tool, arm, kind, number, top / f"{tool}{arm}{kind}{number}", options)
                     for number in (few, many))
        result[arm] = {name: (count - low.get(name, 0)) / (many - few) for name, count in high.items()}
    return result


def count(kind, top, options):
    user, system = each_request("callgrind", kind, top, options), each_request("strace", kind, top, options)
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
