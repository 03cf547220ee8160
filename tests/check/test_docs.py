"""README tells of everything that users and their scripts rely on."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting():
    table = (ROOT / "pool/settings.def").read_text()
    paths = re.findall(r'^(?:NUMBER|TEXT)\(\w+, "([a-z_.]+)"', table, re.M)
    assert len(paths) > 20
    missing = [path for path in paths if not all(re.search(rf'[`"]{part}[`"]', README) for part in path.split("."))]
    assert not missing


def test_every_command():
    commands = re.findall(r'^    \{"(\w+)", cmd_', (ROOT / "daemon/main.c").read_text(), re.M)
    assert len(commands) > 5
    assert not [command for command in commands if f"fcgipool {command}" not in README]


def test_every_signal():
    signals = re.findall(r"\{SIG(\w+), on_", (ROOT / "daemon/signals.c").read_text())
    assert len(signals) > 8
    assert not [signal for signal in signals if signal != "CHLD" and not re.search(rf"\b{signal}\b", README)]


def test_every_exit_code():
    codes = re.findall(r"= (\d+),", (ROOT / "daemon/base/exit_code.h").read_text())
    told = README[README.index("### Exit codes"):]
    assert len(codes) > 5
    assert not [code for code in codes if not re.search(rf"\b{code} \w", told)]
