"""`fcgipool check`: every fault of a control file at once, and nothing that looks like a file can hurt."""

import json
import os
import re

import pytest

from kit import build
from kit.pool import run


def check(file, *arguments, **more):
    return run("check", *arguments, file, timeout=30, **more)


@pytest.fixture
def good(directory):
    file = directory / "good.json"
    file.write_text(json.dumps({"listen": "unix:app.sock", "command": [build.worker("echo_fcgx")]}))
    return file


def test_valid_file(good):
    answer = check(good)
    assert answer.returncode == 0, answer
    assert os.listdir(good.parent) == ["good.json"]


def test_the_sample_of_the_documentation(directory):
    file = directory / "pool.json"
    file.write_text('{ "listen": "unix:/run/fcgipool/app.sock", "command": ["./app.fcgi"],'
                    ' "workers": {"min": 2, "max": 32},\n "timeout": 30, "graceful_timeout": 30,'
                    ' "max_requests": 1000, "max_requests_jitter": 100 }\n')
    (directory / "app.fcgi").write_text("#!/bin/sh\n")
    (directory / "app.fcgi").chmod(0o755)
    answer = check(file)
    assert answer.returncode == 0, answer


def test_all_faults_at_once(directory):
    file = directory / "pool.json"
    file.write_text('{\n'
                    '  "listen": "nonsense",\n'
                    '  "comand": ["./app"],\n'
                    '  "umask": "9",\n'
                    '  "graceful_timeout": "soon",\n'
                    '  "backlog": 0,\n'
                    '  "backlog": 5\n'
                    '}\n')
    answer = check(file)
    assert answer.returncode == 78
    for line, name in ((2, "listen"), (3, "comand"), (4, "umask"), (5, "graceful_timeout"), (7, "backlog")):
        assert re.search(rf"^{re.escape(str(file))}:{line}:\d+: .*{name}", answer.stderr, re.M), (line, answer.stderr)
    assert re.search(r"did you mean.*command", answer.stderr)
    assert re.search(r"\bcommand\b.*(required|missing)", answer.stderr) or "required" in answer.stderr


@pytest.mark.parametrize("text", ['{"listen": "unix:a.sock", "command": ["x"]', "{", "", "null", '"text"', "[1]",
                                  '{"listen": "unix:a.sock", "command": ["x"]} trailing', "\0\1\2\xff",
                                  '{"listen": "unix:a\\u0000.sock", "command": ["x"]}', "[" * 100000])
def test_what_is_not_a_control_file(text, directory):
    file = directory / "pool.json"
    file.write_text(text, encoding="latin-1")
    answer = check(file)
    assert answer.returncode == 78 and answer.stderr.startswith(str(file)), answer


def test_no_such_file(directory):
    answer = check(directory / "missing.json")
    assert answer.returncode == 78 and "No such file" in answer.stderr


def test_directory(directory):
    answer = check(directory)
    assert answer.returncode == 78 and str(directory) in answer.stderr, answer


def test_fifo_does_not_hang(directory):
    os.mkfifo(directory / "fifo.json")
    answer = check(directory / "fifo.json")
    assert answer.returncode == 78 and "fifo.json" in answer.stderr


def test_device_does_not_hang():
    answer = check("/dev/zero")
    assert answer.returncode == 78 and "/dev/zero" in answer.stderr


def test_huge_sparse_file_is_not_read(directory):
    file = directory / "huge.json"
    with open(file, "wb") as stream:
        stream.truncate(100 << 20)
    answer = check(file)
    assert answer.returncode == 78 and "huge.json" in answer.stderr


def test_every_truncation_is_told(good):
    text = good.read_text()
    for size in range(0, len(text), 7):
        good.write_text(text[:size])
        answer = check(good)
        assert answer.returncode == 78 and answer.stderr, size


def test_start_refuses_what_check_refuses(directory):
    file = directory / "pool.json"
    file.write_text('{"listen": "unix:a.sock", "command": ["x"], "workers": 0}')
    checked, started = check(file), run("start", file)
    assert checked.returncode == started.returncode == 78
    assert started.stderr == checked.stderr != ""
    assert os.listdir(directory) == ["pool.json"]


def test_dump_tells_where_values_come_from(good):
    answer = check(good, "--dump", "--set", "workers=7")
    assert answer.returncode == 0, answer
    rows = re.findall(r"^([\w.]+) += (.*?) +# (.*)$", answer.stdout, re.M)
    assert len(rows) == len(answer.stdout.splitlines())
    values = {name: (json.loads(value), origin) for name, value, origin in rows}
    assert values["listen"] == (f"unix:{good.parent}/app.sock", f"{good}:1")
    assert values["workers.min"] == (7, "--set") and values["workers.max"] == (7, "--set")
    assert values["backlog"] == (2048, "default")
    assert {"name", "listen_mode", "graceful_timeout", "command", "log.level"} <= set(values)


def test_set_is_checked_as_well(good):
    for setting in ("workers=-1", "nonsense=1", "backlog=many", "nonsense"):
        answer = check(good, "--set", setting)
        assert answer.returncode in (64, 78) and answer.stderr, setting
