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


def test_simulate(tmp_path):
    path, figures = tmp_path / "RESULTS.md", tmp_path / "figures"
    ours = {"worker_seconds": 1000.0, "p99": 0.0}
    rivals = {"slow": {"worker_seconds": 1000.0, "p99": 7.25}, "idle": {"worker_seconds": 12345.6, "p99": 0.0},
              "cheap": {"worker_seconds": 900.0, "p99": 5000.0}, "fast": {"worker_seconds": 1001.0, "p99": 0.0}}
    other = {"worker_seconds": 1000.0, "p99": 1.0}
    figures.write_text(json.dumps({
        "workers": {"min": 2, "max": 50}, "to_win": 2,
        "traces": [{"trace": {"generate": "steps", "seed": 1}, "fcgipool": ours, "rivals": rivals, "tuned": None,
                    "matched": {"slow": ours, "idle": ours, "cheap": None, "fast": ours},
                    "least": {"slow": 500.0, "idle": 1000.0, "cheap": None, "fast": 800.0}},
                   {"trace": {"generate": "steps", "seed": 2}, "fcgipool": other, "rivals": rivals, "tuned": other,
                    "matched": {"slow": other, "idle": other, "cheap": None, "fast": other},
                    "least": {"slow": 500.0, "idle": None, "cheap": None, "fast": None}}],
        "square": {"spawns": 1300, "ideal": 1000, "bound": 1.2}}))
    text = results(path, "simulate", figures)
    assert ("| steps 1 | 1,000 / 0.0 | 1,000 / 7.2: won | 12,346 / 0.0: even | 900 / 5,000.0: costs more | 1,001 / 0.0: even | "
            "all cost more |") in text
    assert "| slow | 2 | 0 | 2 | 0 |" in text and "| idle | 0 | 1 | 0 | 1 (missed) |" in text
    assert "| steps 1 | 7.2 / 0.0: won | 0.0 / 0.0: even, at 8% of its cost | 5,000.0 / -: costs more |" in text
    assert "| steps 2 | 7.2 / 1.0: won | 0.0 / 1.0: slower | 5,000.0 / -: costs more | 0.0 / 1.0: slower |" in text
    assert "1,300 spawns, 1.30 times the ideal; promised 1.2 (missed)" in text
