"""The death of the master: kill -9, out of memory, a bug. Workers serve on; the next start takes over."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_none_lost
from kit.nginx import free_port
from kit.pool import run
from kit.processes import alive, children, state
from kit.wait import wait_until

MIX = "GET:10?delay=15,POST:65536,GET:65536?slow=12,GET:10?delay=5,POST:300000?delay=3"


def listens(kind, directory):
    return {"unix": f"unix:{directory}/app.sock", "abstract": f"unix:@fcgipool-death-{os.getpid()}",
            "v4": f"127.0.0.1:{free_port()}", "v6": f"[::1]:{free_port('::1')}", "any": f"*:{free_port()}"}[kind]


def target(address):
    return address.replace("*:", "127.0.0.1:")


def living(pids):
    return [pid for pid in pids if alive(pid)]


class InHand:
    """A request of `delay` ms that a worker has taken."""

    def __init__(self, pool, delay, script="/x"):
        self.connection = fastcgi.connect(target(pool.address), 30)
        self.connection.sendall(fastcgi.encode(uri=f"/x?n=10&delay={delay}", params={"SCRIPT_FILENAME": script}))
        wait_until(lambda: pool.status()["queue"]["now"] == 0, 5, "the request")

    def answered(self):
        """Waits for the end: a right answer, or none."""
        with self.connection:
            try:
                return fastcgi.receive(self.connection).body == fastcgi.pattern(10)
            except fastcgi.Lost:
                return False


def slay(pool):
    """Kills the master alone. Returns what is left of the pool: pids."""
    pool.process.kill()
    pool.process.wait()
    orphans = pool.tree.living()
    for pid in orphans:
        pool.tree.note(pid)
    return orphans


def revive(pool):
    """Starts the next master. Returns the ms until it serves."""
    begin = time.monotonic()
    pool.start()
    wait_until(lambda: pool.try_status() is not None or not pool.running(), 10, "the next master")
    assert pool.running(), pool.log()
    return (time.monotonic() - begin) * 1000


def wait_retired(pool, orphans, timeout=60):
    def gone():
        left = living(orphans)
        assert not left, "still there: " + pool.tree.describe(left)
        return True
    wait_until(gone, timeout, "end of the orphans")


def state_file(pool):
    return Path(pool.control_path + ".state")


@pytest.mark.parametrize("kind, listen, observe",
                         [(kind, listen, "auto") for kind in ["fcgx", "perl", "php", "fcgiwrap"] for listen in ("unix", "v4")]
                         + [("fcgx", listen, "auto") for listen in ("v6", "any", "abstract")]
                         + [(kind, "unix", "auto") for kind in ("epoll", "threads")]
                         + [(kind, "unix", "kernel") for kind in ("fcgx", "perl", "epoll")])
def test_death_under_load(kind, listen, observe, directory, make_pool, make_load, record_property):
    """Clients never pause: what was taken is answered, and after the next start nobody is refused."""
    command, script = kinds.command(kind)
    environment = {"PHP_FCGI_CHILDREN": "2"} if kind == "php" else {}
    address = listens(listen, directory)
    pool = make_pool(listen=address, command=command, workers=2, env=environment, observe=observe,
                     graceful_timeout=60).up()
    load = make_load(target(address), clients=12, script=script, mix=MIX)
    load.wait_ok(40)
    slowest = 0
    for turn in range(build.count(2, 8)):
        orphans = slay(pool)
        assert len(orphans) >= 2
        load.wait_ok(30)  # they serve without a master
        orphans = [pid for pid in orphans if alive(pid)]
        slowest = max(slowest, revive(pool))
        pool.wait_ready()
        load.wait_ok(60)
        wait_retired(pool, orphans)
        load.wait_ok(30)
    pool.wait_log("workers of a former master have gone")
    result = load.stop()
    assert_none_lost(result, 160)
    assert result.refused == 0, result
    pool.stop()
    assert not state_file(pool).exists()
    record_property("slowest start in ms", round(slowest))
    record_property("requests answered right", result.ok)


@pytest.mark.parametrize("listen", ["unix", "v4", "abstract"])
def test_serves_at_once(listen, directory, make_pool):
    """The next master answers within a second; ten times that are given to a busy machine."""
    pool = make_pool(listen=listens(listen, directory), workers=4).up()
    pids = set(pool.serving())
    slay(pool)
    assert revive(pool) < 10000
    assert pool.request().status == 200
    status = pool.wait_ready()
    assert not pids & set(pool.serving(status))
    pool.stop()


@pytest.mark.parametrize("listen", ["unix", "v4"])
def test_long_request_survives(listen, directory, make_pool):
    """It was in hand when the master died, and still is long after the next has come."""
    pool = make_pool(listen=listens(listen, directory), workers=2).up()
    request = InHand(pool, 5000)
    orphans = slay(pool)
    revive(pool)
    wait_until(lambda: len(living(orphans)) == 1, 4, "end of the idle orphan")
    assert pool.request().status == 200
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


def test_cgi_child_in_hand_survives(make_pool):
    """The one at work is fcgiwrap's child."""
    command, script = kinds.command("fcgiwrap")
    pool = make_pool(command=command, workers=1).up()
    worker = pool.serving()[0]
    request = InHand(pool, 2000, script)
    wait_until(lambda: children(worker), 5, "the CGI program")
    orphans = slay(pool)
    revive(pool)
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


def test_request_without_end_is_cut(make_pool):
    pool = make_pool(workers=2, graceful_timeout="500ms").up()
    request = InHand(pool, 60000)
    orphans = slay(pool)
    revive(pool)
    wait_retired(pool, orphans)
    pool.wait_log(r"pid \d+ of a former master is killed: its request is cut, graceful_timeout")
    assert not request.answered()
    pool.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_ends_orphans_too(number, make_pool):
    """They still have a request when the stop comes: it is waited for, or, by a quick stop, not."""
    pool = make_pool(workers=2).up()
    request = InHand(pool, 3000)
    slay(pool)
    revive(pool)
    pool.wait_ready()
    pool.stop(number)
    assert request.answered() == (number == signal.SIGTERM)
    assert not state_file(pool).exists()


def test_second_term_ends_the_wait_for_orphans(make_pool):
    """The pool itself has stopped already."""
    pool = make_pool(workers=1).up()
    request = InHand(pool, 60000)
    slay(pool)
    revive(pool)
    pool.wait_ready()
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["state"] == "stopped" and status["orphans"] == 1, what="the wait")
    pool.stop(signal.SIGTERM)
    assert not request.answered()


def test_second_death_loses_nobody(make_pool):
    """The second master dies while it still waits for the first one's workers."""
    pool = make_pool(workers=2).up()
    request = InHand(pool, 6000)
    orphans = slay(pool)
    revive(pool)
    pool.wait_ready()
    wait_until(lambda: len(living(orphans)) == 1, 5, "end of the idle orphan")
    pool.wait_status(lambda status: status["orphans"] == 1, what="one orphan")
    assert "1 workers of a former master" in pool.command("status").stdout
    orphans = slay(pool)
    assert len(orphans) == 3
    revive(pool)
    pool.wait_ready()
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


def test_second_death_at_another_address(directory, make_pool):
    """The request was taken at the address before the last: each socket is known by its own."""
    pool = make_pool(workers=1, listen=f"unix:{directory}/a.sock").up()
    request = InHand(pool, 6000)
    first = slay(pool)
    pool.write(listen=f"unix:{directory}/b.sock")
    revive(pool)
    pool.wait_ready()
    assert pool.status()["orphans"] == 1
    slay(pool)
    revive(pool)
    pool.wait_ready()
    assert request.answered()
    wait_retired(pool, first)
    pool.stop()


def test_deaths_in_a_row_under_load(make_pool, make_load, record_property):
    """Each master dies at some moment of its takeover."""
    rounds = build.count(8, 100)
    pool = make_pool(workers=3, graceful_timeout=60).up()
    load = make_load(pool.address, clients=12, mix=MIX)
    load.wait_ok(20)
    seen = set()
    for turn in range(rounds):
        seen.update(slay(pool))
        pool.start()
        wait_until(lambda: pool.try_status() is not None, 10, "the next master")
        time.sleep(turn * 0.004)
    pool.wait_ready()
    wait_retired(pool, seen - set(pool.serving()))
    load.wait_ok(50)
    result = load.stop()
    assert_none_lost(result, 70)
    assert result.refused == 0
    record_property("deaths", rounds)
    record_property("requests answered right", result.ok)
    pool.stop()


def test_orphans_serve_on_when_new_workers_fail(make_pool):
    """What does not work is not adopted: the old ones stay until it does."""
    pool = make_pool(workers=2).up()
    good = pool.settings["command"]
    orphans = slay(pool)
    pool.write(command=[build.worker("bad"), "exit", "1"], backoff={"initial": "10ms", "max": "50ms"})
    pool.start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    assert pool.request().status == 200
    assert len(living(orphans)) == 2
    slay(pool)
    pool.write(command=good)
    pool.up()
    wait_retired(pool, orphans)
    pool.stop()


def test_orphan_that_ends_is_forgotten(make_pool):
    """Also while the pool fails and they are not retired: the number of its group may be somebody else's next."""
    pool = make_pool(workers=2).up()
    orphans = slay(pool)
    pool.write(command=[build.worker("bad"), "exit", "1"], backoff={"initial": "10ms", "max": "50ms"})
    pool.start()
    pool.wait_status(lambda status: status["state"] == "failing" and status["orphans"] == 2, what="state failing")
    os.kill(orphans[0], signal.SIGKILL)
    pool.wait_status(lambda status: status["orphans"] == 1, what="one orphan")
    assert pool.request().pid == orphans[1]
    pool.stop()


def fail_after_death(pool):
    """The next master's workers do not come up. Returns the orphans."""
    orphans = slay(pool)
    pool.write(command=[build.worker("bad"), "exit", "1"], backoff={"initial": "10ms", "max": "50ms"})
    revive(pool)
    return orphans


def test_pause_before_the_new_serve(make_pool):
    """Nobody accepts any more, and what comes waits for `resume`."""
    pool = make_pool(workers=2).up()
    orphans = fail_after_death(pool)
    assert pool.command("pause").returncode == 0
    wait_retired(pool, orphans)
    with fastcgi.connect(pool.address, 20) as waiting:
        waiting.sendall(fastcgi.encode(uri="/x?n=5"))
        pool.wait_status(lambda status: status["queue"]["now"] == 1, what="the queue")
    pool.stop(signal.SIGINT)


@pytest.mark.parametrize("listen", ["unix", "v4"])
def test_stop_before_the_new_serve(listen, directory, make_pool, make_load):
    """The orphans alone can serve what waits."""
    pool = make_pool(listen=listens(listen, directory), workers=1).up()
    load = make_load(pool.address, clients=60, requests=60, mix="GET:10?delay=20")
    wait_until(lambda: pool.status()["queue"]["now"] >= 40, 5, "the queue")
    fail_after_death(pool)
    pool.stop(signal.SIGTERM)
    result = load.wait()
    assert (result.ok, result.lost) == (60, 0), result


def test_old_path_is_taken_away(directory, make_pool):
    """With its lock, when `listen` leads elsewhere now; also when everybody there is dead."""
    pool = make_pool(listen=f"unix:{directory}/a.sock").up()
    orphans = slay(pool)
    pool.write(listen=f"unix:{directory}/b.sock")
    pool.up()
    wait_retired(pool, orphans)
    for pid in slay(pool):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pool.tree.living(), 5, "end of the workers")
    pool.write(listen=f"unix:{directory}/c.sock")
    pool.up()
    left = sorted(path.name for path in directory.iterdir() if path.name[:2] in ("a.", "b.", "c."))
    assert left == ["c.sock", "c.sock.lock"], left
    pool.stop()


def test_old_path_of_another_pool_is_left_alone(directory, make_pool):
    """It has come there in the meantime."""
    pool = make_pool(listen=f"unix:{directory}/a.sock").up()
    for pid in slay(pool):
        os.kill(pid, signal.SIGKILL)
    other = make_pool(name="other", listen=f"unix:{directory}/a.sock").up()
    pool.write(listen=f"unix:{directory}/b.sock")
    pool.up()
    assert other.request().pid in other.serving()
    other.stop()
    pool.stop()


def test_verbose_orphan_is_read_again(make_pool):
    """Its pipe is full and nobody reads it: it hangs in a write until the next master comes."""
    pool = make_pool(command=[build.worker("bad"), "stderr-each", "200"], workers=1).up()
    slay(pool)
    with fastcgi.connect(pool.address, 20) as connection:
        connection.sendall(fastcgi.encode(uri="/x?n=5"))
        revive(pool)
        assert fastcgi.receive(connection).body == b"abcde"
    pool.wait_log("worker of a former master, pid")
    pool.stop()


def test_other_address_after_the_death(directory, make_pool, make_load):
    """The control file was changed meanwhile: what waits at the old address is served."""
    pool = make_pool(listen=listens("v4", directory), workers=1).up()
    load = make_load(pool.address, clients=10, requests=10, mix="GET:10?delay=100")
    wait_until(lambda: pool.status()["queue"]["now"] >= 5, 5, "the queue")
    orphans = slay(pool)
    old = pool.address
    pool.write(listen=listens("v4", directory))
    revive(pool)
    assert pool.request().status == 200
    result = load.wait()
    assert (result.ok, result.lost) == (10, 0), result
    wait_retired(pool, orphans)

    def is_free():
        try:
            socket.create_server(("127.0.0.1", int(old.rpartition(":")[2]))).close()
        except OSError:
            return False
        return True
    wait_until(is_free, 10, "the old address")
    pool.stop()


def test_other_mode_after_the_death(make_pool, make_load):
    """The socket is made anew with the mode that is wanted now; the old one's queue is served."""
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=10, requests=10, mix="GET:10?delay=100")
    wait_until(lambda: pool.status()["queue"]["now"] >= 5, 5, "the queue")
    orphans = slay(pool)
    pool.write(listen_mode="0604")
    revive(pool)
    assert os.stat(pool.socket_path).st_mode & 0o777 == 0o604
    assert pool.request().status == 200
    result = load.wait()
    assert (result.ok, result.lost) == (10, 0), result
    wait_retired(pool, orphans)
    pool.stop()


def test_last_orphan_stays_for_what_waits(make_pool):
    """It has no request in hand and looks as if it would not take one; but nobody else can serve the old queue."""
    pool = make_pool(command=[build.worker("bad"), "rest-between", "2500"], workers=1).up()
    assert pool.request().status == 200
    with fastcgi.connect(pool.address, 30) as waiting:
        waiting.sendall(fastcgi.encode(uri="/x?n=5"))
        orphans = slay(pool)
        pool.write(listen_mode="0604")
        revive(pool)
        assert fastcgi.receive(waiting).body == b"abcde"
    wait_retired(pool, orphans)
    pool.stop()


def test_stopping_master_dies(make_pool):
    """In the midst of a graceful stop: the path is gone and the socket refuses already."""
    pool = make_pool(workers=1).up()
    request = InHand(pool, 3000)
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["state"] == "stopping", what="state stopping")
    orphans = slay(pool)
    pool.up()
    assert pool.request().status == 200
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


def test_workers_in_the_background_are_found(make_pool):
    """They are not in the state file: they hold the listener."""
    pool = make_pool(command=[build.worker("bad"), "daemonize"], workers=1,
                     backoff={"initial": "10ms", "max": "100ms"}).start()
    def in_background(before):
        found = set(children(pool.pid))
        known = {worker["pid"] for status in (before, pool.status()) for worker in status["workers"]}
        return len({pid for pid in found - known if alive(pid)}) >= 2
    pool.wait_status(in_background, what="two workers in the background")
    orphans = slay(pool)
    assert len(orphans) >= 2 and pool.request().status == 200
    pool.write(command=[build.worker("echo_fcgx")])
    pool.up()
    wait_retired(pool, orphans)
    assert pool.request().status == 200
    pool.stop()


def test_children_without_their_parent(make_pool):
    """php-cgi's parent has died too; one of its children has a request in hand."""
    command, script = kinds.command("php")
    pool = make_pool(command=command, workers=1, env={"PHP_FCGI_CHILDREN": "2"}).up()
    worker = pool.serving()[0]
    request = InHand(pool, 2000, script)
    orphans = slay(pool)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not alive(worker), 5, "end of the parent")
    assert len(living(orphans)) == 2
    revive(pool)
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


# Started by a worker, whose descriptor 0 it inherits.
BY_WORKER = """\
#!{python}
import ctypes, os, sys
listener = ctypes.CDLL(None, use_errno=True).syscall(438, os.pidfd_open({worker}), 0, 0)
assert listener >= 0
os.dup2(listener, 0)
os.execv({fcgipool!r}, [{fcgipool!r}] + sys.argv[1:])
"""


def test_pool_that_a_worker_started_is_left_alone(directory, make_pool):
    """As a CGI script may do it: its master is no worker, though it was given the listener."""
    pool = make_pool(workers=1).up()
    path = directory / "by-worker"
    path.write_text(BY_WORKER.format(python=sys.executable, fcgipool=build.fcgipool(), worker=pool.serving()[0]))
    path.chmod(0o755)
    other = make_pool(name="other", binary=str(path)).up()
    orphans = slay(pool)
    pool.up()
    wait_retired(pool, orphans)
    assert other.running() and other.request().pid in other.serving()
    other.stop()
    pool.stop()


def test_innocent_holder_of_the_name(directory, make_pool):
    """A living master's socket that was bound to the same name (in another mount namespace, say) is left alone, when
    nothing but the name tells who is an orphan."""
    other = make_pool(name="other", workers=1).up()
    os.rename(other.socket_path, directory / "elsewhere.sock")
    path = other.socket_path
    os.unlink(path + ".lock")
    pool = make_pool(listen=f"unix:{path}", workers=1).up()
    orphans = slay(pool)
    state_file(pool).unlink()
    pool.up()
    wait_retired(pool, orphans)
    assert fastcgi.request(f"unix:{directory}/elsewhere.sock").pid in other.serving()
    pool.stop()


@pytest.mark.parametrize("observe, when", [("kernel", "before"), ("auto", "after")])
def test_stopped_orphan_runs_again(observe, when, make_pool):
    """A master may die between the stop and the look at a worker that it retires; or somebody stops its orphan."""
    pool = make_pool(workers=1, observe=observe).up()
    request = InHand(pool, 2500)
    worker = pool.serving()[0]
    os.sched_setaffinity(worker, {min(os.sched_getaffinity(0))})
    orphans = slay(pool) if when == "after" else None
    os.killpg(worker, signal.SIGSTOP)
    wait_until(lambda: state(worker) == "T", 5, "the stop")
    orphans = orphans or slay(pool)
    revive(pool)
    wait_until(lambda: os.sched_getaffinity(orphans[0]) == os.sched_getaffinity(0), 2, "all processors")
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


# Where the kernel does not let the new master take the socket over (Yama, a container's seccomp filter).

NO_GETFD = """\
#!{python}
import ctypes, os, struct, sys
code = struct.pack("HBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 1, 438, 6, 0, 0, 0x50001, 6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_char_p(program)) == 0
os.execv({fcgipool!r}, [{fcgipool!r}] + sys.argv[1:])
"""


# socket(AF_INET6, ...) is not supported.
NO_IPV6 = """\
#!{python}
import ctypes, os, struct, sys
code = struct.pack("HBBIHBBIHBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 3, 41, 0x20, 0, 0, 16, 0x15, 0, 1, 10,
                   6, 0, 0, 0x50000 + 97, 6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxQ", 6, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_char_p(program)) == 0
os.execv({fcgipool!r}, [{fcgipool!r}] + sys.argv[1:])
"""


def behind(filter, directory):
    """fcgipool behind a seccomp filter."""
    path = directory / "fcgipool"
    path.write_text(filter.format(python=sys.executable, fcgipool=build.fcgipool()))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def confined(directory):
    """fcgipool, not allowed to get descriptors of other processes."""
    return behind(NO_GETFD, directory)


@pytest.mark.parametrize("listen", ["unix", "v4", "v6", "any"])
def test_confined_start_under_load(listen, confined, directory, make_pool, make_load):
    """A second socket is opened at the address, which gets all that is new; the orphans serve the old queue."""
    address = listens(listen, directory)
    pool = make_pool(listen=address, workers=2, binary=confined, graceful_timeout=60).up()
    load = make_load(target(address), clients=12, mix=MIX)
    load.wait_ok(40)
    for turn in range(build.count(2, 20)):
        orphans = slay(pool)
        load.wait_ok(20)
        assert revive(pool) < 10000
        pool.wait_ready()
        assert "finish what they have" in pool.log()
        wait_retired(pool, orphans)
        load.wait_ok(30)
    result = load.stop()
    assert_none_lost(result, 100)
    assert result.refused == 0 or listen == "unix", result
    pool.stop()


def test_confined_start_at_another_path(confined, directory, make_pool):
    """The old path goes at once, and its lock."""
    pool = make_pool(listen=f"unix:{directory}/a.sock", workers=1, binary=confined).up()
    request = InHand(pool, 3000)
    orphans = slay(pool)
    pool.write(listen=f"unix:{directory}/b.sock")
    revive(pool)
    pool.wait_ready()
    assert living(orphans) and not list(directory.glob("a.sock*"))
    assert request.answered()
    wait_retired(pool, orphans)
    pool.stop()


def test_confined_start_that_fails_leaves_orphans_serving(confined, directory, make_pool):
    """Their socket cannot be taken over, but its path is not taken away either."""
    pool = make_pool(binary=confined).up()
    orphans = slay(pool)
    pool.write(pidfile=str(directory / "nowhere" / "pid"))
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 70 and "nowhere" in answer.stderr, answer
    assert pool.request().pid in orphans
    assert not Path(pool.control_path + ".state.new").exists()
    pool.write(pidfile=None)
    pool.up()
    wait_retired(pool, orphans)
    pool.stop()


def test_confined_start_at_an_abstract_address(confined, directory, make_pool):
    """It cannot be bound twice: not now, with the pids of those who have it."""
    pool = make_pool(listen=listens("abstract", directory), binary=confined).up()
    orphans = slay(pool)
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 75, answer
    assert all(str(pid) in answer.stderr for pid in orphans) and "former master" in answer.stderr, answer
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not living(orphans), 5, "end of the orphans")
    pool.up()
    pool.stop()


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter knows its system calls by number")
def test_any_address_without_ipv6(directory, make_pool):
    pool = make_pool(binary=behind(NO_IPV6, directory), listen=listens("any", directory)).up()
    orphans = slay(pool)
    pool.up()
    wait_retired(pool, orphans)
    assert fastcgi.request(target(pool.address)).pid in pool.serving()
    pool.stop()


# What else the dead may have left.

def garbage(path):
    path.write_bytes(os.urandom(700))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-20])


def header_only(path):
    path.write_bytes(path.read_bytes()[:384])


def huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)


def long_tail(path):
    with open(path, "ab") as file:
        file.write(b"x" * 100000)


STATES = {"missing": lambda path: path.unlink(), "empty": lambda path: path.write_bytes(b""), "garbage": garbage,
          "truncated": truncated, "header only": header_only, "huge": huge, "long tail": long_tail,
          "nuls": lambda path: path.write_bytes(b"\0" * 1000)}


@pytest.mark.parametrize("what", STATES)
def test_damaged_state_file(what, make_pool):
    """The next master serves; the old ones' socket is at its path no longer."""
    pool = make_pool().up()
    orphans = slay(pool)
    STATES[what](state_file(pool))
    pool.up()
    wait_retired(pool, orphans)  # those that are not recorded are found by what they hold
    assert pool.request().pid in pool.serving()
    if what not in ("missing", "header only"):
        pool.wait_log("state file .* is damaged")
    pool.stop()


def test_state_file_of_another_boot(make_pool):
    """The pids are somebody else's."""
    pool = make_pool().up()
    orphans = slay(pool)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    text = state_file(pool).read_text()
    assert boot in text
    state_file(pool).write_text(text.replace(boot, "00000000-1111-2222-3333-444444444444"))
    pool.up()
    assert "2 workers of a former master" in pool.log()
    wait_retired(pool, orphans)  # found by the socket that they hold, which is not named in the file
    assert pool.request().pid in pool.serving()
    pool.stop()


def test_pids_that_are_somebody_elses_now(make_pool):
    """All that a recycled pid lacks is the start time."""
    pool = make_pool().up()
    slay(pool)
    born = max(int(line.split()[1], 16) for line in state_file(pool).read_text().splitlines()[2:])
    ticks = os.sysconf("SC_CLK_TCK")
    wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * ticks > born + 2, 5, "another moment")
    innocents = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2)]
    try:
        lines = state_file(pool).read_text().splitlines(True)
        records = 0
        for number, line in enumerate(lines[2:], 2):
            if re.match(r"[1-9]\d* ", line) and records < 2:
                pid, rest = line.split(" ", 1)
                lines[number] = f"{innocents[records].pid} {rest}"[:len(line) - 1].rstrip("\n").ljust(63)[:63] + "\n"
                records += 1
        assert records == 2
        state_file(pool).write_text("".join(lines))
        pool.up()
        pool.wait_log("workers of a former master have gone")
        assert all(each.poll() is None for each in innocents)
        pool.stop()
        assert all(each.poll() is None for each in innocents)
    finally:
        for each in innocents:
            each.kill()
            each.wait()


def become_directory(path):
    path.unlink()
    path.mkdir()


def become_link(path):
    shutil.move(path, f"{path}.real")
    path.symlink_to(f"{path}.real")


def become_fifo(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("what", ["directory", "link", "fifo", "hard link", "writable", "foreign"])
def test_state_file_that_is_not_ours_is_refused(what, make_pool):
    if what == "foreign" and os.geteuid() != 0:
        pytest.skip("needs root")
    pool = make_pool().up()
    orphans = slay(pool)
    path = state_file(pool)
    {"directory": become_directory, "link": become_link, "fifo": become_fifo,
     "hard link": lambda path: os.link(path, f"{path}.other"), "writable": lambda path: path.chmod(0o666),
     "foreign": lambda path: os.chown(path, 65534, 65534)}[what](path)
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 70 and str(path) in answer.stderr and answer.stderr.count("\n") == 1, answer
    assert pool.request().pid in orphans, "they serve on"
    if what == "directory":
        path.rmdir()
    else:
        path.unlink()
    pool.up()
    wait_retired(pool, orphans)
    assert pool.request().pid in pool.serving()
    pool.stop()


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"1\n", b"99999999999999999999\n", b"\0" * 5000])
def test_leftovers_of_other_files(content, directory, make_pool):
    """Pidfile and lock files with anything in them; the sockets were removed."""
    pidfile = directory / "pid"
    pool = make_pool(pidfile=str(pidfile)).up()
    orphans = slay(pool)
    for path in (pidfile, Path(pool.socket_path + ".lock"), Path(pool.control_path + ".lock")):
        path.write_bytes(content)
    os.unlink(pool.control_path)
    os.unlink(pool.socket_path)
    pool.up()
    assert pidfile.read_text() == f"{pool.pid}\n"
    wait_retired(pool, orphans)
    assert pool.request().pid in pool.serving()
    pool.stop()
    assert not pidfile.exists()


def test_start_that_fails_leaves_orphans_serving(directory, make_pool):
    """Nothing of theirs is taken away."""
    pool = make_pool().up()
    orphans = slay(pool)
    pool.write(pidfile=str(directory / "nowhere" / "pid"))
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 70 and "nowhere" in answer.stderr, answer
    assert pool.request().pid in orphans
    pool.write(pidfile=None)
    pool.up()
    wait_retired(pool, orphans)
    pool.stop()


def test_foreign_program_at_the_address(directory, make_pool):
    """Workers of ours are gone, and somebody else has taken the TCP address."""
    pool = make_pool(listen=listens("v4", directory)).up()
    address = pool.address
    for pid in slay(pool):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pool.tree.living(), 5, "end of the workers")
    other = make_pool(listen=address, name="other").up()
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 75 and address in answer.stderr, answer
    assert all(str(pid) in answer.stderr for pid in (other.pid, *other.serving())), answer
    assert other.request().status == 200


def test_tcp_without_state_file_names_the_holders(directory, make_pool):
    pool = make_pool(listen=listens("v4", directory)).up()
    orphans = slay(pool)
    state_file(pool).unlink()
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 75 and all(str(pid) in answer.stderr for pid in orphans), answer
    assert pool.request().pid in orphans
