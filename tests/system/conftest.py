"""Fixtures. Each test has a directory of its own, and leaves no process behind."""

import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest

sys.dont_write_bytecode = True

from kit.load import Load  # noqa: E402
from kit.nginx import Nginx  # noqa: E402
from kit.notify import Listener  # noqa: E402
from kit.pool import Pool  # noqa: E402


def pytest_configure(config):
    if not os.environ.get("FCGIPOOL_BUILD"):
        raise pytest.UsageError("FCGIPOOL_BUILD must name the build directory; scripts/test sets it")

    # Now and then xdist runs the tests of a process outside its main thread, where no handler can be set.
    if threading.current_thread() is not threading.main_thread():
        return

    # A run that is told to end tidies up like one that ends by itself.
    def leave(*unused):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, leave)

    # In the background these may be ignored, and would be by all that is started here; with a handler they are not.
    signal.signal(signal.SIGINT, leave)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *unused: None)


@pytest.fixture
def directory():
    """A short path: a unix socket's is limited to 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="fcgipool-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _fresh(directory, kind, made):
    path = directory / f"{kind}{len(made)}"
    path.mkdir()
    return path


@pytest.fixture
def make_pool(directory):
    """make_pool(**settings): a Pool that has not been started yet."""
    made = []

    def make(**settings):
        pool = Pool(_fresh(directory, "pool", made), **settings)
        made.append(pool)
        return pool
    yield make
    for pool in made:
        print(f"--- {pool.log_file}\n{pool.log()[-8000:]}")
    for pool in made:
        pool.close()


@pytest.fixture
def make_nginx(directory):
    """make_nginx(upstream, script="/x", protocol="fastcgi"), or make_nginx(snippet=FILE): a running Nginx."""
    made = []

    def make(upstream=None, script="/x", **more):
        nginx = Nginx(_fresh(directory, "nginx", made), upstream, script, **more)
        made.append(nginx)
        return nginx.start()
    yield make
    for nginx in made:
        nginx.close()
        print(f"--- {nginx.directory}/error.log\n" + "\n".join(
            line for line in nginx.errors().splitlines() if "[notice]" not in line and "[info]" not in line)[-4000:])


@pytest.fixture
def make_load(directory):
    """make_load(address, **options): a running Load."""
    made = []

    def make(address, **options):
        load = Load(directory, len(made), address, **options)
        made.append(load)
        return load
    yield make
    for load in made:
        load.kill()


@pytest.fixture
def listener(directory):
    """A notify socket; see kit.notify."""
    made = Listener(directory / "notify")
    yield made
    made.socket.close()
