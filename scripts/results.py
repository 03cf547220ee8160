#!/usr/bin/env python3
"""Puts the figures of one part of scripts/soak or scripts/bench into tests/bench/RESULTS.md; the sections of other
parts stay.

usage: scripts/results.py sim OUTPUT | system JUNIT_XML | fuzz FIGURES | overhead JSON |
       host JSON | recycling JSON | simulate JSON | scaling JSON
RESULTS (environment) is the file to write, this tree's unless set.
"""

import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEAD = "# Results\n\nWritten by `scripts/soak` and `scripts/bench`, a part at a time.\n"


def sim(path):
    steps = [int(n) for n in re.findall(r"(\d+) steps", path.read_text())]
    return f"{len(steps)} seeds, {sum(steps):,} random steps, no broken invariant.\n"


def system(path):
    suite = next(tree.parse(path).getroot().iter("testsuite"))
    text = "With full counts; those that measure something:\n\n| test | figures | seconds |\n|---|---|---|\n"
    for case in suite.iter("testcase"):
        figures = ", ".join(f"{p.get('name')} {p.get('value')}" for p in case.iter("property"))
        if figures:
            text += f"| {case.get('name')} | {figures} | {float(case.get('time')):.1f} |\n"
    skipped = int(suite.get("skipped", 0))
    count = int(suite.get("tests")) - skipped
    bad = int(suite.get("failures")) + int(suite.get("errors"))
    return f"{text}\n{count - bad} of {count} tests passed in {float(suite.get('time')):.0f} s, {skipped} skipped.\n"


def fuzz(path):
    text = "| harness | seconds | executions | edges covered | findings |\n|---|---|---|---|---|\n"
    for line in path.read_text().splitlines():
        name, seconds, executions, edges, findings = line.split()
        text += f"| {name} | {seconds} | {int(executions):,} | {edges} | {findings} |\n"
    return text


def overhead(path):
    figures = json.loads(path.read_text())
    text = (f"A worker under fcgipool with the library, against the same under spawn-fcgi or multiwatch: requests a second "
            f"in slices of {figures['slice_ms']} ms in turn, a new unix connection each request, both started anew "
            f"{figures['rounds']} times. The ratio is the median of all pairs, with its 95 % interval, whose upper end must "
            "reach what is promised.\n\n| worker | workers | way | pairs | bare, requests/s | ratio | interval | promised |\n"
            "|---|---|---|---|---|---|---|---|\n")
    for each in figures["ratios"]:
        text += (f"| {each['worker']} | {each['workers']} | {each['way']} | {each['pairs']} | {each['bare_rate']:,.0f} | "
                 f"{each['ratio']:.3f} | {each['low']:.3f} to {each['high']:.3f} | {each['bound']}"
                 f"{'' if each['high'] >= each['bound'] else ' (missed)'} |\n")
    text += ("\nA request, counted by callgrind and strace as the difference of a long run and a short one; the CGI program that "
             "fcgiwrap starts is in the calls, not in the instructions:\n\n"
             "| worker | user instructions, bare | seen | more | system calls, bare | seen | which |\n"
             "|---|---|---|---|---|---|---|\n")
    for each in figures["counts"]:
        user, calls = each["instructions"], each["calls"]
        which = ", ".join(f"{name} {extra:+g}" for name, extra in each["extra_calls"].items())
        text += (f"| {each['worker']} | {user['bare']:,.0f} | {user['seen']:,.0f} | {user['seen'] - user['bare']:+,.0f} | "
                 f"{calls['bare']:.2f} | {calls['seen']:.2f} | {which} |\n")
    return text


def host(path):
    figures = json.loads(path.read_text())
    text = (f"Hello world over a unix socket, one worker on a processor of its own, the client on another; all servers in turn, "
            f"{figures['turns']} times {figures['requests']:,} requests each, and all started anew {figures['rounds']} times. "
            "The way: 4 clients with a connection a request; one kept connection; 16 of them; one with 64 requests in hand. "
            "Cost: processor time of the worker for a request, its ratio to that of a plain loop of libfcgi on new ones, "
            "else on one kept connection (which is all that it can serve), the median of all turns with its 95 % interval. "
            "uWSGI fails on kept connections.\n\n"
            "| server | way | requests/s | ratio | cost, µs | ratio | interval | promised |\n|---|---|---|---|---|---|---|---|\n")
    for each in figures["costs"]:
        promised = each["promised"]
        text += (f"| {each['server']} | {each['way']} | {each['rate']:,.0f} | {each['rates']:.2f} | {each['cost']:.2f} | "
                 f"{each['ratio']:.3f} | {each['low']:.3f} to {each['high']:.3f} | "
                 + (f"{promised:.2f}{missed(each['low'] <= promised)} |\n" if promised else " |\n"))
    text += ("\nA request, counted by callgrind and strace as the difference of a long run and a short one:\n\n"
             "| server | way | user instructions | system calls | which |\n|---|---|---|---|---|\n")
    for each in figures["counts"]:
        which = ", ".join(f"{name} {number:g}" for name, number in sorted(each["calls"].items(), key=lambda item: -item[1]))
        count = f"{each['instructions']:,.0f}" if each["instructions"] else ""
        text += f"| {each['server']} | {each['way']} | {count} | {sum(each['calls'].values()):.2f} | {which} |\n"
    return text


def recycling(path):
    text = ("php behind an nginx that keeps connections, its workers replaced after 50 requests each; requests that "
            "failed, with nginx's fastcgi_next_upstream as it comes and with non_idempotent:\n\n"
            "| server | fastcgi_next_upstream | requests | workers replaced | GET failed | POST failed |\n"
            "|---|---|---|---|---|---|\n")
    for each in json.loads(path.read_text()):
        text += (f"| {each['server']} | {each['retry']} | {each['requests']:,} | {each['recycled']:,} | {each['GET']} | "
                 f"{each['POST']} |\n")
    return text


def verdict(ours, theirs):
    """Of the promise: at no more worker-seconds a lower p99, or the same: where neither waits, there is nothing to win."""
    if not ours or ours["worker_seconds"] > theirs["worker_seconds"]:
        return "costs more"
    if ours["p99"] < theirs["p99"]:
        return "won"
    return "even" if ours["p99"] == theirs["p99"] else "slower"


def simulate(path):
    figures = json.loads(path.read_text())
    traces, low, high = figures["traces"], figures["workers"]["min"], figures["workers"]["max"]
    rivals = list(traces[0]["rivals"])

    def cell(each):
        return f"{each['worker_seconds']:,.0f} / {each['p99']:,.1f}" if each else "all cost more"

    def pair(each, rival):
        ours, theirs = each["matched"][rival], each["rivals"][rival]
        shown, said = f"{ours['p99']:,.1f}" if ours else "-", verdict(ours, theirs)
        if said == "even":
            said += f", at {each['least'][rival] / theirs['worker_seconds']:.0%} of its cost"
        return f"{theirs['p99']:,.1f} / {shown}: {said}"

    text = (f"Workers {low} to {high}, all else at its default, in virtual time. Worker-seconds / p99 of the waiting time in "
            "ms; what that is for fcgipool against each rival. The last column is fpm-dynamic with the spare servers that "
            "hindsight finds best for the trace at no more worker-seconds than fcgipool's.\n\n"
            f"| trace | fcgipool | {' | '.join(rivals)} | fpm-dynamic, tuned |\n|---|---|{'---|' * len(rivals)}---|\n")
    for each in traces:
        cells = [f"{cell(each['rivals'][rival])}: {verdict(each['fcgipool'], each['rivals'][rival])}" for rival in rivals]
        text += (f"| {each['trace']['generate']} {each['trace']['seed']} | {cell(each['fcgipool'])} | {' | '.join(cells)} | "
                 f"{cell(each['tuned'])} |\n")
    text += ("\nWon: no more worker-seconds and a lower p99; even: no more worker-seconds, and the same p99.\n\n"
             "At the cost of each rival: p99 of the rival / of fcgipool with the idle_timeout, spare and max that wait the "
             "least of those by which it costs no more than the rival does on the trace; where both wait the same, also what "
             "the cheapest of those costs.\n\n"
             f"| trace | {' | '.join(rivals)} |\n|---|{'---|' * len(rivals)}\n")
    for each in traces:
        cells = [pair(each, rival) for rival in rivals]
        text += f"| {each['trace']['generate']} {each['trace']['seed']} | {' | '.join(cells)} |\n"
    text += ("\nWhere a rival's p99 is 0 none can be lower: promised is won or even at its cost on "
             f"{figures['to_win']} of {len(traces)}.\n\n"
             "| rival | won | even | at its cost: won | even |\n|---|---|---|---|---|\n")
    for rival in rivals:
        as_set = [verdict(each["fcgipool"], each["rivals"][rival]) for each in traces]
        matched = [verdict(each["matched"][rival], each["rivals"][rival]) for each in traces]
        kept = matched.count("won") + matched.count("even") >= figures["to_win"]
        text += (f"| {rival} | {as_set.count('won')} | {as_set.count('even')} | {matched.count('won')} | "
                 f"{matched.count('even')}{'' if kept else ' (missed)'} |\n")
    square = figures["square"]
    ratio = square["spawns"] / square["ideal"]
    return text + (f"\nAn hour of square wave: {square['spawns']:,} spawns, {ratio:.2f} times the ideal; promised "
                   f"{square['bound']}{'' if ratio <= square['bound'] else ' (missed)'}.\n")


def milliseconds(value):
    return "" if value is None else f"{value:,.0f}"


def missed(is_kept):
    return "" if is_kept else " (missed)"


def side_by_side(figures):
    clients = figures["clients"]
    text = (f"The same client on a unix socket, the same work, at most {clients} workers each; beside that the settings are "
            "those that come with each, but for what is named. \"burn\" is processor time of the worker's own. Each was "
            f"measured {figures['rounds']} times, the middle one counts. Latencies in ms.\n\n"
            f"Step: {clients} clients begin at once on an idle pool, and each sends a request as soon as it has the answer to "
            "the last one; latencies are of the requests of the first 10 s. A worker serves from its first answer, less the "
            "time of service.\n\n![Workers that serve after a step](scaling.svg)\n\n"
            f"| server | work | all {clients} workers serve | p50 | p95 | p99 | longest | answers | failed |\n"
            "|---|---|---|---|---|---|---|---|---|\n")
    for each in figures["step"]:
        after = (f"after {each['all_s']:.2f} s" if each["all_s"] is not None
                 else f"no: {len(each['begun'])} after {each['waited_s']} s")
        text += (f"| {each['server']} | {each['work']} | {after} | "
                 + " | ".join(milliseconds(each[name]) for name in ("p50", "p95", "p99", "p100"))
                 + f" | {each['answers']:,} | {each['failed']} |\n")
    text += (f"\nBurst: {clients} requests at once onto an idle pool, and no more.\n\n"
             "| server | work | served | workers | p50 | p99 |\n|---|---|---|---|---|---|\n")
    for each in figures["burst"]:
        text += (f"| {each['server']} | {each['work']} | {each['answers']} of {clients} | {each['workers']} | "
                 f"{milliseconds(each['p50'])} | {milliseconds(each['p99'])} |\n")
    return text


def reaction(figures):
    times, promised = figures["times_ms"], figures["promised_ms"]
    counts = [sum(int(each) == bucket for each in times) for bucket in range(promised)]
    counts.append(sum(each >= promised for each in times))
    names = [f"{bucket} to {bucket + 1}" for bucket in range(promised)] + [f"{promised} and more"]
    used = [number for number, count in enumerate(counts) if count]
    text = (f"\nReaction: from just before a client connects, and takes the last idle worker, to the first accept of the "
            f"worker that is started for that; {len(times):,} times, C workers, 1 to 40 of them busy. Median "
            f"{figures['median_ms']:.1f} ms, promised {promised}{missed(figures['median_ms'] <= promised)}; longest "
            f"{max(times):.1f} ms; {figures['none']} times no worker came.\n\n")
    return (text + "| ms | " + " | ".join(names[number] for number in used) + " |\n|---"
            + "|---" * len(used) + "|\n| events | " + " | ".join(str(counts[number]) for number in used) + " |\n")


def cpu(rows):
    text = ("\nThe master's processor time, of one core, while C workers get 20,000 requests a second, or what the machine "
            "gives:\n\n| workers | requests/s | percent | promised less than | times it slept, a second | failed |\n"
            "|---|---|---|---|---|---|\n")
    for each in rows:
        text += (f"| {each['workers']} ({each['count']} at the end) | {each['rate']:,.0f} | {each['percent']:.2f} | "
                 f"{each['promised']}{missed(each['percent'] < each['promised'])} | {each['switches']:.0f} | "
                 f"{each['failed']} |\n")
    return text


def growth(figures):
    if "skipped" in figures:
        return f"\nMany workers: {figures['many']:,} are more than this machine can have: {figures['skipped']}.\n"
    few, many = (figures["at"][str(figures[name])] for name in ("few", "many"))
    text = (f"\nMany workers: processor time of the master for one event, median, in µs; {figures['few']} workers and "
            f"{figures['many']:,}.\n\n| event | {figures['few']} | {figures['many']:,} | ratio | promised |\n"
            "|---|---|---|---|---|\n")
    for what, name in (("a crash, and the respawn", "crash"), ("TTIN, and the start", "ttin"),
                       ("woken by the last idle worker that is taken", "saturation")):
        ratio, promised = many[name] / few[name], figures["promised"]
        text += (f"| {what} | {few[name]:,.0f} | {many[name]:,.0f} | {ratio:.1f} | "
                 f"{promised}{missed(ratio <= promised)} |\n")
    promised = figures["promised_status_ms"]
    return (f"{text}\n`status --json`: {few['status_ms']:.1f} ms and {many['status_ms']:.1f} ms, promised {promised}"
            f"{missed(many['status_ms'] < promised)}. While all have requests in hand, the master uses "
            f"{few['in_hand_percent']:.2f} % and {many['in_hand_percent']:.2f} % of a core.\n")


def shrink(rows):
    text = ("\nShrink: time from the end of the load to the fewest workers.\n\n| load left | spare | workers | floor | fewest | "
            "seconds | idle_timeout, s | failed |\n|---|---|---|---|---|---|---|---|\n")
    for each in rows:
        text += (f"| {each['load']} | {each['spare']} | {each['most']} | {each['floor']} | "
                 f"{each['least']}{missed(each['least'] == each['floor'])} | {each['seconds']:.1f} | "
                 f"{each['idle_timeout_s']} | {each['failed']} |\n")
    return text


def scaling(path):
    figures = json.loads(path.read_text())
    return (side_by_side(figures) + reaction(figures["reaction"]) + cpu(figures["cpu"]) + growth(figures["growth"])
            + shrink(figures["shrink"]))


PARTS = {"sim": ("Simulation", sim), "system": ("System tests", system), "fuzz": ("Fuzzing", fuzz),
         "overhead": ("Cost of being looked into", overhead),
         "host": ("The application host", host),
         "recycling": ("Recycling behind kept connections", recycling),
         "simulate": ("Scaling against the rules of others", simulate), "scaling": ("Scaling", scaling)}


def provenance():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 1048576
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True).stdout.strip()
    return (f"At {commit or 'an unknown commit'}, on {model[1] if model else platform.machine()}, {os.cpu_count()} "
            f"cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}{', virtual' if 'hypervisor' in cpuinfo else ''}.\n")


def replace(text, title, section):
    """The section with this title in place of the old one, or behind all others."""
    before, *sections = re.split(r"^(?=## )", text, flags=re.M)
    sections = {part.split("\n", 1)[0]: part.rstrip("\n") + "\n" for part in sections}
    sections[f"## {title}"] = f"## {title}\n\n{section}"
    return "\n".join([before.rstrip("\n") + "\n", *sections.values()])


def main(part, source):
    title, read = PARTS[part]
    results = pathlib.Path(os.environ.get("RESULTS", ROOT / "tests/bench/RESULTS.md"))
    section = f"{provenance()}\n{read(pathlib.Path(source))}"
    results.write_text(replace(results.read_text() if results.exists() else HEAD, title, section))
    print(f"## {title}\n\n{section}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    main(*sys.argv[1:])
