"""scripts/results.py replaces the section of one part and keeps the others."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def results(path, *arguments):
    subprocess.run([ROOT / "scripts/results.py", *arguments], env={**os.environ, "RESULTS": str(path)}, check=True,
                   capture_output=True)
    return path.read_text()


def test_parts_replace_only_themselves(tmp_path):
    path, figures, output = tmp_path / "RESULTS.md", tmp_path / "figures", tmp_path / "output"
    figures.write_text("conf 600 1234567 1085 0\n")
    output.write_text("seed 1: 1000 steps\nseed 2: 1000 steps\n")
    results(path, "fuzz", figures)
    path.write_text(path.read_text() + "\n## Speeds\n\nby hand\n")
    text = results(path, "sim", output)
    assert "| conf | 600 | 1,234,567 | 1085 | 0 |" in text and "2 seeds, 2,000 random steps" in text
    assert "## Speeds\n\nby hand\n" in text

    figures.write_text("conf 600 7654321 1090 1\n")
    text = results(path, "fuzz", figures)
    assert "7,654,321" in text and "1,234,567" not in text and "2 seeds" in text and "by hand" in text
    assert text.startswith("# Results\n") and [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Fuzzing", "## Speeds", "## Simulation"]


def test_overhead(tmp_path):
    path, figures = tmp_path / "RESULTS.md", tmp_path / "figures"
    case = {"worker": "fcgx", "workers": 2, "way": "direct", "pairs": 800, "ratio": 0.97412, "low": 0.961, "high": 0.9804,
            "bound": 0.97, "bare_rate": 41234.5}
    figures.write_text(json.dumps({
        "slice_ms": 50, "rounds": 20, "ratios": [case, {**case, "high": 0.965}],
        "counts": [{"worker": "fcgx", "instructions": {"seen": 15200.4, "bare": 13687.0},
                    "calls": {"seen": 12.0, "bare": 10.0}, "extra_calls": {"rt_sigprocmask": 2.0}}]}))
    text = results(path, "overhead", figures)
    assert "| fcgx | 2 | direct | 800 | 41,234 | 0.974 | 0.961 to 0.980 | 0.97 |" in text
    assert text.count("(missed)") == 1
    assert "| fcgx | 13,687 | 15,200 | +1,513 | 10.00 | 12.00 | rt_sigprocmask +2 |" in text


def test_recycling(tmp_path):
    path, figures = tmp_path / "RESULTS.md", tmp_path / "figures"
    figures.write_text(json.dumps([{"server": "php-fpm", "retry": "default", "requests": 100000, "recycled": 1950, "GET": 0,
                                    "POST": 31}]))
    assert "| php-fpm | default | 100,000 | 1,950 | 0 | 31 |" in results(path, "recycling", figures)
