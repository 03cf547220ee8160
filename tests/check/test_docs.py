"""README and the man pages tell of everything that users and their scripts rely on."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "etc/man/fcgipool.1").read_text()
SETTINGS = (ROOT / "etc/man/pool.json.5").read_text()

everywhere = pytest.mark.parametrize("document", [README, COMMANDS], ids=["README.md", "fcgipool.1"])


def setting_paths():
    table = (ROOT / "pool/settings.def").read_text()
    paths = re.findall(r'^(?:NUMBER|TEXT)\(\w+, "([a-z_.]+)"', table, re.M)
    assert len(paths) > 20
    return paths


def commands():
    found = re.findall(r'^    \{"(\w+)", cmd_', (ROOT / "daemon/main.c").read_text(), re.M)
    assert len(found) > 5
    return found


def test_every_setting():
    missing = [path for path in setting_paths()
               if not all(re.search(rf'[`"]{part}[`"]', README) for part in path.split("."))]
    assert not missing


def test_every_setting_in_the_man_page():
    entries = re.findall(r"^\.It Ic ([\w.]+)$", SETTINGS, re.M)
    assert sorted(entries) == sorted(setting_paths())


def test_every_command():
    assert not [command for command in commands() if f"fcgipool {command}" not in README]


def test_every_command_in_the_man_page():
    for macro in (".Cm", ".It Nm Cm"):
        assert not [command for command in commands() if not re.search(rf"^{macro} {command}$", COMMANDS, re.M)], macro


@pytest.mark.parametrize("command", commands())
def test_every_option_in_the_man_page(command):
    usage = (ROOT / f"daemon/cmd/cmd_{command}.c").read_text()
    options = set(re.findall(r'^ *"  (?:-\w, )?(--?[\w-]+)', usage, re.M))
    assert options or command == "version"
    assert not [option for option in options if not re.search(rf"Fl {re.escape(option[1:])}\b", COMMANDS)]


@everywhere
def test_every_signal(document):
    signals = re.findall(r"\{SIG(\w+), on_", (ROOT / "daemon/signals.c").read_text())
    assert len(signals) > 8
    assert not [signal for signal in signals if signal != "CHLD" and not re.search(rf"\b{signal}\b", document)]


@everywhere
def test_every_exit_code(document):
    codes = re.findall(r"= (\d+),", (ROOT / "daemon/base/exit_code.h").read_text())
    told = document[re.search("### Exit codes|.Sh EXIT STATUS", document).start():]
    assert len(codes) > 5
    assert not [code for code in codes if not re.search(rf"\b{code}\s\w", told)]
