"""`fcgipool start` as process 1 of a container: strangers become its children, and signals reach it only because it asks
for them."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from kit import build
from kit.load import assert_all_right, assert_none_lost
from kit.pool import run
from kit.processes import alive, children, parent, state
from kit.wait import wait_until

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]


def can_unshare():
    return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20).returncode == 0


pytestmark = pytest.mark.skipif(not can_unshare(), reason="PID namespaces need root and a kernel that has them")


class Container:
    """A pool whose master is process 1. `before` is run by a shell that then executes the master."""

    def __init__(self, pool, before=""):
        self.pool = pool
        pool.contained = True
        pool.through = [*UNSHARE, "sh", "-c", f'{before}\nexec "$@"', "sh"]
        pool.start()
        self.master = wait_until(lambda: (children(pool.pid) or [None])[0], 10, "process 1")
        pool.tree.note(self.master)

    def up(self):
        self.pool.wait_ready()
        return self

    def inside(self, pid):
        """What a process of the container is called there."""
        return int(re.search(r"^NSpid:.*\s(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.M)[1])

    def workers(self):
        """Their pids out here, by their pids inside."""
        found = {}
        for pid in children(self.master):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have gone by now
                found[self.inside(pid)] = pid
        return found

    def enter(self, script):
        """Starts a shell in the container, from outside: what it leaves behind becomes process 1's."""
        subprocess.run([build.installed("nsenter"), "--target", str(self.master), "--pid", "--mount", "sh", "-c", script],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=30)

    def stop(self, number=signal.SIGTERM):
        os.kill(self.master, number)
        assert self.pool.wait_exit() == 0, self.pool.log()
        self.pool.wait_gone()


@pytest.fixture
def make_container(make_pool):
    def make(before="", **settings):
        return Container(make_pool(**settings), before)
    return make


def test_serves_and_stops_under_load(make_container, make_load):
    container = make_container(workers=3).up()
    pool = container.pool
    assert container.inside(container.master) == 1 and pool.status()["pid"] == 1
    load = make_load(pool.address, clients=8, mix="GET:10?delay=15,POST:65536,GET:65536?slow=12")
    load.wait_ok(40)
    container.stop()
    assert "SIGTERM from pid 0: graceful stop" in pool.log()
    wait_until(lambda: load.progress().refused, 10, "refusals after the stop")
    assert_none_lost(load.stop(), 40)


def test_term_from_within(make_container):
    container = make_container().up()
    container.enter("kill -TERM 1")
    assert container.pool.wait_exit() == 0


def test_quick_stop(make_container, make_load):
    container = make_container(workers=1).up()
    load = make_load(container.pool.address, clients=1, requests=1, mix="GET:5?delay=60000")
    load.wait_in_hand(container.pool, 1)
    container.stop(signal.SIGINT)


def test_reload(make_container, make_load):
    container = make_container(workers=2).up()
    load = make_load(container.pool.address, clients=4)
    before = set(container.workers())
    os.kill(container.master, signal.SIGHUP)
    container.pool.wait_log("reload: done")
    wait_until(lambda: not before & set(container.workers()), 10, "new workers")
    load.wait_ok(20)
    assert_all_right(load.stop(), 20)
    container.stop()


def test_term_before_it_is_up(directory, make_pool):
    """The kernel drops a signal that process 1 neither handles nor blocks."""
    pool = make_pool(environment={"ASAN_OPTIONS": "detect_leaks=0"})  # which does not work under strace
    trace = directory / "trace"
    pool.through = [build.installed("strace"), "-f", "-o", str(trace), "-P", str(pool.file),
                    "-e", "inject=openat:delay_enter=1000000", *UNSHARE]
    pool.contained = True
    pool.start()

    def reads_its_file():
        return trace.exists() and re.search(r"^(\d+) .*pool\.json", trace.read_text(), re.M)
    os.kill(int(wait_until(reads_its_file, 20, "the opening of the control file")[1]), signal.SIGTERM)
    assert pool.wait_exit() == 0 and "graceful stop" in pool.log(), pool.log()


STRANGER = "setsid sh -c 'trap \"echo TERM >> {said}\" TERM HUP INT; echo $$ > {pid}; while :; do sleep 0.05; done' &"


def test_strangers_live_and_are_reaped(directory, make_container):
    """Whoever has lost their parent in the container: nobody counts, signals or ends them while the pool serves, and
    nobody of them stays a zombie."""
    container = make_container(workers=2).up()
    pool = container.pool
    container.enter(STRANGER.format(said=directory / "said", pid=directory / "pid"))
    inside = int(wait_until(lambda: (directory / "pid").exists() and (directory / "pid").read_text(), 10, "the stranger"))
    stranger = container.workers()[inside]
    workers = pool.serving()
    container.enter("for i in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c 'exit 3' & done")
    assert pool.command("reload").returncode == 0
    assert pool.command("scale", "1").returncode == 0
    status = pool.wait_status(lambda status: len(status["workers"]) == 1, what="one worker")
    assert inside not in workers and inside not in [each["pid"] for each in status["workers"]]
    assert parent(stranger) == container.master and alive(stranger) and not (directory / "said").exists()

    def zombies():
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if parent(pid) == container.master and state(pid) == "Z"]
    wait_until(lambda: not zombies(), 10, "reaping")
    assert "unasked" not in pool.log() and pool.request().status == 200
    container.stop()
    assert not (directory / "said").exists()


def test_child_of_the_shell_that_became_the_master(directory, make_container):
    """An entry point that starts something beside it."""
    helper = f"sh -c 'trap \"echo TERM >> {directory}/said\" TERM; echo > {directory}/up; while :; do sleep 0.05; done' &"
    container = make_container(helper, workers=2).up()
    assert (directory / "up").exists() and len(children(container.master)) == 3
    pool = container.pool
    assert pool.command("pause").returncode == 0
    wait_until(lambda: len(children(container.master)) == 1, 10, "workers gone")
    assert pool.command("resume").returncode == 0 and pool.request().status == 200
    container.stop()
    assert not (directory / "said").exists()


@pytest.mark.parametrize("way", ["option", "file"])
def test_background_is_refused(way, make_pool):
    pool = make_pool(**({"daemon": True} if way == "file" else {}))
    said = run("--pid", "--fork", "--mount-proc", pool.binary, "start", *(["-d"] if way == "option" else []), pool.file,
               binary=UNSHARE[0], env=pool.environment)
    assert said.returncode == 64 and "process 1 of a container cannot go to the background" in said.stderr
    assert not os.path.exists(pool.control_path)
