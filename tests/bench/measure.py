"""What benchmarks measure with: intervals of ratios; instructions and system calls a request."""

import math
import random
import re
import statistics

from kit import build
from kit.wait import wait_until


def interval(rounds):
    """Median of all pair ratios, and a 95 % interval by a bootstrap over rounds and the pairs in them."""
    dice = random.Random(7)
    medians = sorted(statistics.median(ratio for each in dice.choices(rounds, k=len(rounds))
                                       for ratio in dice.choices(each, k=len(each))) for _ in range(2000))
    middle = statistics.median(ratio for each in rounds for ratio in each)
    return middle, medians[math.floor(0.025 * len(medians))], medians[math.ceil(0.975 * len(medians)) - 1]


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


def each_request(tool, serve, load, directory, few=20, many=520):
    """What one worker uses up for a request, by name. serve(directory, wrap) starts a server whose worker's command
    begins with the words `wrap`; load(server, requests) asks it so often."""
    wrap, read = COUNTERS[tool]
    totals = []
    for requests in (few, many):
        where = directory / f"{tool}{requests}"
        where.mkdir(parents=True)
        server = serve(where / "server", wrap(where))
        try:
            load(server, requests)
        finally:
            server.close()
        totals.append(wait_until(lambda: read(where), 30, f"{tool}'s figures"))
    low, high = totals
    return {name: (count - low.get(name, 0)) / (many - few) for name, count in high.items()}
