#!/usr/bin/env python3
"""Puts the figures of one part of scripts/soak into tests/bench/RESULTS.md; the sections of other parts stay.

usage: scripts/results.py sim OUTPUT | system JUNIT_XML | fuzz FIGURES
RESULTS (environment) is the file to write, this tree's unless set.
"""

import os
import pathlib
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEAD = "# Results\n\nWritten by `scripts/soak`, a part at a time.\n"


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


PARTS = {"sim": ("Simulation", sim), "system": ("System tests", system), "fuzz": ("Fuzzing", fuzz)}


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
