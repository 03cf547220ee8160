"""`fcgipool check --schema`: what it accepts and refuses is what `check` does."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from kit.pool import run

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests/unit/daemon/conf"

# What `check` says of types, ranges, words and names; all other faults a schema cannot know of. A range binds plain
# numbers only.
FAULT = re.compile(r"^[\w.]+?\.json(?::\d+:\d+)?: (?P<path>[\w.\[\]]+): "
                   r"(?:(?P<type>found .*, expected )|(?P<range>-?[\d.e+]+ is out of range)|(?P<unknown>unknown setting)"
                   r"|(?P<missing>missing: ))", re.M)


@pytest.fixture(scope="module")
def schema():
    answer = run("check", "--schema")
    assert answer.returncode == 0 and not answer.stderr, answer
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


def faults(validator, document):
    """{path of the value: messages}."""
    found = {}
    for error in validator.iter_errors(document):
        messages = [error.message, *(each.message for each in error.context)]  # of "command or app", each of them
        found.setdefault(".".join(map(str, error.absolute_path)), []).extend(messages)
    return found


def names(kind):
    found = sorted(path.stem for path in (SUITE / kind).glob("*.json"))
    assert len(found) > 10
    return found


def invalid_documents():
    """Those that are objects, each with its faults as `check` tells them."""
    for name in names("invalid"):
        told = list(FAULT.finditer((SUITE / "invalid" / f"{name}.expected").read_text()))
        try:
            document = json.loads((SUITE / "invalid" / f"{name}.json").read_text())
        except ValueError:
            continue
        if told and isinstance(document, dict):
            yield pytest.param(document, told, id=name)


def test_it_is_a_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == ["listen"] and schema["oneOf"] == [{"required": ["command"]}, {"required": ["app"]}]


@pytest.mark.parametrize("name", names("valid"))
def test_valid_files(name, validator):
    assert not faults(validator, json.loads((SUITE / "valid" / f"{name}.json").read_text()))


@pytest.mark.parametrize("document, told", invalid_documents())
def test_invalid_files(document, told, validator):
    found = faults(validator, document)
    for fault in told:
        path = re.sub(r"\[(\d+)\]", r".\1", fault["path"])
        if fault["unknown"] or fault["missing"]:  # told of the object that has or lacks it
            assert any(path.rpartition(".")[2] in message for messages in found.values() for message in messages), fault
        else:
            assert path in found, fault


@pytest.mark.parametrize("document", [[1], 3, None, "text", {}, {"a\33[2Jb": 1, "listen": "x", "command": ["x"]}])
def test_what_is_no_control_file(document, validator):
    assert faults(validator, document)


@pytest.mark.parametrize("path, good, bad", [
    ("backlog", [1, 65535], [0, 65536, "many", 1.5, None]),
    ("timeout", [0, 0.5, 86400, "500ms", "24h"], [-1, 86401, "30", "soon", "1.5s", True, [1]]),
    ("backoff.initial", [0.001, "1ms"], [0]),
    ("listen_mode", ["0660", "777", "00022"], ["9", "1777", "66", 660, "rw"]),
    ("rlimits.as", [0, "2G", "unlimited"], [-1, "2T", "all", 1.5]),
    ("nice", [-20, 19], [-21, 20, "5"]),
    ("clear_env", [True, False], [0, "yes"]),
    ("log.level", ["debug", "warning"], ["loud", "", 1]),
    ("env", [{}, {"A": ""}], [[], {"A": 1}, {"": "x"}, {"A=B": "x"}]),
    ("command", [["x"], ["x", ""]], [[], "x", ["x", 1]]),
    ("name", ["app"], ["", 7]),
    ("workers", [1, 4096, {}, {"min": 0}, {"min": 2, "max": 4}], [0, 4097, "4", 2.5, [4], {"most": 4}]),
    ("log", [{}], ["debug", {"levle": "info"}]),
    ("lissten", [], ["unix:x"]),
])
def test_single_values(path, good, bad, validator):
    for values, refused in ((good, False), (bad, True)):
        for value in values:
            *group, name = path.split(".")
            setting = {group[0]: {name: value}} if group else {name: value}
            found = faults(validator, {"listen": "unix:x", "command": ["x"], **setting})
            assert bool(found) == refused, (path, value, found)
            assert all(where == "" or where.startswith(path.split(".")[0]) for where in found)


def test_every_setting_is_described_with_a_default_that_is_valid(schema, validator):
    def settings(properties, prefix=""):
        for name, each in properties.items():
            if "properties" in each:
                yield from settings(each["properties"], f"{prefix}{name}.")
            else:
                yield prefix + name, each
    found = dict(settings(schema["properties"]))
    dump = run("check", "--dump", str(SUITE / "valid/everything.json")).stdout
    assert sorted(found) == sorted(line.split()[0] for line in dump.splitlines())
    for name, each in found.items():
        assert len(each["description"]) > 10, name
        if "default" in each:
            resolved = {**schema["$defs"][each["$ref"].rpartition("/")[2]], **each, "$defs": schema["$defs"]}
            assert not faults(jsonschema.Draft202012Validator(resolved), each["default"]), name


def test_the_sample_is_accepted(validator):
    sample = ROOT / "etc/pool.json"
    assert not faults(validator, json.loads(sample.read_text()))
    answer = run("check", str(sample))
    assert answer.returncode == 0 and not answer.stderr, answer


@pytest.mark.parametrize("more", [["pool.json"], ["--dump"], ["--set", "workers=4"]])
def test_it_takes_nothing_else(more):
    answer = run("check", "--schema", *more)
    assert answer.returncode == 64 and "--schema" in answer.stderr and not answer.stdout


def test_the_control_files_in_the_documents(validator):
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    shown += re.findall(r"^\.Bd .*\n(\{\n(?:.*\n)*?\})\n\.Ed", (ROOT / "etc/man/pool.json.5").read_text(), re.M)
    shown += [file.read_text() for file in (ROOT / "etc/examples").glob("*/pool.json")]
    assert len(shown) > 10
    for text in shown:
        assert not faults(validator, json.loads(text)), text
