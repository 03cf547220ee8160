"""scripts/gen-docs finds what is out of date, and gives every setting its place in the man page."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GENERATED = ("etc/pool.schema.json", "etc/pool.json", "etc/man/pool.json.5")


class Tree:
    """A copy of what gen-docs reads and writes; its fcgipool knows nothing but one schema."""

    def __init__(self, path):
        self.path = path
        (path / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/gen-docs", path / "scripts")
        shutil.copytree(ROOT / "etc", path / "etc")
        self.schema = json.loads((ROOT / "etc/pool.schema.json").read_text())
        self.frame = path / "etc/man/pool.json.5.in"
        program = path / "fcgipool"
        program.write_text(f"#!/bin/sh\ncat {path}/schema\n")
        program.chmod(0o755)

    def run(self, *arguments):
        (self.path / "schema").write_text(json.dumps(self.schema))
        return subprocess.run([self.path / "scripts/gen-docs", *arguments], capture_output=True, text=True,
                              env={**os.environ, "FCGIPOOL_BUILD": str(self.path)})

    def made(self):
        return [(self.path / name).read_text() for name in GENERATED]

    def entries(self):
        return re.findall(r"^\.It Ic (.*)$", (self.path / "etc/man/pool.json.5").read_text(), re.M)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_the_tree_as_it_is_passes(tree):
    answer = tree.run("--check")
    assert answer.returncode == 0 and not answer.stdout, answer


def test_what_is_out_of_date_is_named_and_mended(tree):
    tree.schema["properties"]["backlog"]["default"] = 77
    before = tree.made()
    answer = tree.run("--check")
    assert answer.returncode != 0 and tree.made() == before
    assert all(f"--- {name}" in answer.stdout for name in GENERATED), answer
    assert tree.run().returncode == 0
    assert all("77" in text for text in tree.made())
    assert tree.run("--check").returncode == 0


def test_a_setting_without_a_line_follows_its_predecessor(tree):
    properties = {}
    for name, each in tree.schema["properties"].items():
        properties[name] = each
        if name == "graceful_timeout":  # which has a line, and text behind it
            properties["patience"] = {**each, "description": "'Tis new; `x` is \"so\\much\". A reload applies it at once."}
    tree.schema["properties"] = properties
    assert tree.run().returncode == 0
    entries = tree.entries()
    assert entries[entries.index("patience") - 1] == "graceful_timeout"
    page = (tree.path / "etc/man/pool.json.5").read_text()
    assert page.index("TimeoutStopSec") < page.index(".It Ic patience") < page.index(".It Ic max_requests")
    assert r"\(aqTis new; \fBx\fR is \(dqso\emuch\(dq." in page


@pytest.mark.parametrize("line, named", [("@nonsense@", "nonsense"), ("@listen@\n@listen@", "listen"), ("", "@name@")])
def test_wrong_lines_of_the_frame_are_named(tree, line, named):
    text = tree.frame.read_text()
    tree.frame.write_text(text.replace("@listen@" if line else "@name@", line))
    before = tree.made()
    answer = tree.run()
    assert answer.returncode != 0 and named in answer.stderr and tree.made() == before


def test_what_is_not_in_effect_is_not_in_the_sample(tree):
    tree.schema["properties"]["failures"]["description"] += " Not yet in effect."
    assert tree.run().returncode == 0
    sample = json.loads((tree.path / "etc/pool.json").read_text())
    assert "failures" not in sample and "backlog" in sample
