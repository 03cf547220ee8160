"""Where the programs are, and how long the tests may take."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEM = Path(__file__).resolve().parent.parent
ROOT = SYSTEM.parent.parent
WORKERS = SYSTEM / "workers"

# FCGIPOOL_FULL=1 runs the full counts, FCGIPOOL_SCALE multiplies the reduced ones.
FULL = os.environ.get("FCGIPOOL_FULL") == "1"
SCALE = float(os.environ.get("FCGIPOOL_SCALE", "1"))


def count(reduced, full):
    """How often to do something."""
    return full if FULL else max(1, int(reduced * SCALE))


def directory():
    """The CMake build directory under test."""
    return Path(os.environ["FCGIPOOL_BUILD"]).resolve()


def built(name):
    """The path of a program that the build made, as "tests/workers/bad"."""
    path = directory() / name
    if not path.exists():
        pytest.fail(f"{path} is missing: build it first (scripts/test does)", pytrace=False)
    return str(path)


def fcgipool():
    return built("fcgipool")


def library():
    return built("libfcgipool_preload.so")


def worker(name):
    """The path of a test worker: a built program, or a script."""
    script = WORKERS / name
    return str(script) if script.suffix in (".pl", ".php", ".py", ".cgi") else built(f"tests/workers/{name}")


def installed(name):
    """The path of a program of the system. Without it a test fails: skipping would look like success."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        pytest.fail(f"{name} is missing: run scripts/test, which says how to install it", pytrace=False)
    return path


def compiled(name, compiler, sources, *options):
    """The path of a worker that is built here, by a compiler that the build does not use; anew when a source has
    changed."""
    target = directory() / "tests/workers" / name
    sources = [WORKERS / source for source in sources]
    inputs = [*sources, *WORKERS.glob("*.h")]
    if not target.exists() or target.stat().st_mtime < max(each.stat().st_mtime for each in inputs):
        command = [installed(compiler[0]), *compiler[1:], "-o", f"{target}.{os.getpid()}", *map(str, sources), *options]
        cache = {"GOCACHE": str(directory() / "go-cache"), "GO111MODULE": "off"}
        made = subprocess.run(command, env={**os.environ, **cache}, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        if made.returncode != 0:
            pytest.fail(f"{' '.join(command)}:\n{made.stdout}{made.stderr}", pytrace=False)
        os.rename(f"{target}.{os.getpid()}", target)
    return str(target)


def cached(variable):
    """The value of a variable of CMake."""
    return re.search(rf"^{variable}:\w+=(.*)$", (directory() / "CMakeCache.txt").read_text(), re.M)[1]


def instrumented():
    """True for a build with sanitizers or coverage, whose memory and speed say nothing."""
    cache = (directory() / "CMakeCache.txt").read_text()
    return bool(re.search(r"^FCGIPOOL_SANITIZE:\w+=.", cache, re.M)
                or re.search(r"^FCGIPOOL_COVERAGE:\w+=(ON|1|TRUE)", cache, re.M))
