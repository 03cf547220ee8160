"""scripts/results.py replaces the section of one part and keeps the others."""

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
