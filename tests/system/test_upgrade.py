"""Upgrade: another master from the program that is on disk now takes the place of the one that runs; or it does not come
up, and nothing has happened."""

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from kit import build, kinds
from kit.control import Control
from kit.idle import settle, sleeps
from kit.load import assert_all_right, assert_none_lost
from kit.processes import alive, command_line, descriptors
from kit.wait import wait_until


@pytest.fixture
def deployed(make_pool):
    """deployed(**settings): a pool whose program lies in a directory of its own, as `pool.binary`."""
    def make(**settings):
        pool = make_pool(**{"pidfile": "pid", **settings})
        home = pool.directory / "deploy"
        home.mkdir()
        for each in (build.fcgipool(), build.library()):
            shutil.copy(each, home)
        pool.binary = str(home / Path(build.fcgipool()).name)
        return pool
    return make


def replace(pool, text, mode=0o755):
    """Another program in the place of the pool's."""
    new = Path(pool.binary + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(pool.binary)


def restore(pool):
    Path(pool.binary).parent.mkdir(exist_ok=True)
    for each in (build.fcgipool(), build.library()):
        shutil.copy(each, Path(pool.binary).parent / "new")
        (Path(pool.binary).parent / "new").rename(Path(pool.binary).parent / Path(each).name)


def upgrade(pool):
    before = pool.pid
    done = pool.command("upgrade", binary=build.fcgipool())
    assert done.returncode == 0, done.stderr + pool.log()
    pool.follow()
    assert pool.pid != before
    return pool


def second(pool):
    """The status of the new master, while the former one is there; None when nobody answers."""
    try:
        with Control(pool.control_path + ".2", 10) as control:
            return control.call("status")["result"]
    except OSError:
        return None


def both(pool):
    """USR2: two masters. Returns the status of the new one, which has all its workers."""
    pool.send_signal(signal.SIGUSR2)
    pool.wait_status(lambda status: status["upgrade"] and status["upgrade"]["state"] == "settled", what="a second master")
    return second(pool)


def files(pool):
    return {each.name for each in pool.directory.iterdir() if not each.is_dir()}


def kinds_of_descriptors(pool):
    return Counter(re.sub(r"\d+", "N", path) for path in descriptors(pool.pid).values())


def assert_alone(pool, workers):
    """One master and its workers, and no file of another one."""
    def alone():
        names = sorted(command_line(pid) for pid in pool.tree.living())
        assert len(names) == 1 + workers and sum("fcgipool" in name for name in names) == 1, names
        return True
    wait_until(alone, 20, "one master")
    assert not [name for name in files(pool) if ".2" in name], files(pool)
    assert (pool.directory / "pid").read_text() == f"{pool.pid}\n"
    assert pool.status()["pid"] == pool.pid


# ---- good ones ----

def test_all_that_matters_goes_along(deployed):
    """The number set by hand, the generation, what was counted; and the pool can be stopped as before."""
    pool = deployed(workers=2).up()
    for _ in range(5):
        assert pool.request().status == 200
    assert pool.command("scale", "3").returncode == 0
    pool.write(env={"TURN": "1"})
    assert pool.command("reload").returncode == 0
    before = pool.status()
    upgrade(pool)
    assert pool.request().status == 200
    status = pool.status()
    assert status["floor"] == status["wanted"] == len(pool.serving(status)) == 3
    assert {worker["generation"] for worker in status["workers"]} == {before["generation"] + 1} == {status["generation"]}
    assert status["requests"] == before["requests"] + 1 == 6
    assert status["counters"]["spawned"] == before["counters"]["spawned"] + 3
    assert status["counters"]["retired"] == status["counters"]["spawned"] - 3
    assert status["upgrade"] is None and status["listen"] == before["listen"]
    assert_alone(pool, 3)
    assert pool.command("reload").returncode == 0
    pool.stop()
    assert files(pool) == {"pool.json", "master.log"}


def test_the_file_is_read_anew(deployed):
    """Also what a reload cannot change."""
    pool = deployed(workers=1).up()
    log = pool.directory / "other.log"
    pool.write(workers=3, log={"file": str(log)})
    upgrade(pool)
    assert len(pool.serving()) == 3 and "takes its place" in log.read_text()
    pool.stop()


def test_another_address(deployed, make_load):
    """The former one is served until nothing waits there."""
    pool = deployed(workers=2).up()
    old = pool.socket_path
    busy = make_load(pool.address, clients=2, requests=2, mix="GET:5?delay=500")
    busy.wait_in_hand(pool, 2)
    pool.write(listen=f"unix:{pool.directory}/other.sock")
    upgrade(pool)
    assert_all_right(busy.wait(), 2)
    assert pool.request().status == 200 and not Path(old).exists() and not Path(old + ".lock").exists()
    pool.stop()


def test_in_the_background(deployed):
    """Started with -d, by a name that was found in PATH."""
    pool = deployed(workers=1, log={"file": "log"})
    path = f"{Path(pool.binary).parent}:{os.environ['PATH']}"
    pool.environment["PATH"] = path
    assert pool.detach(binary="fcgipool").returncode == 0
    upgrade(pool)
    assert os.path.realpath(f"/proc/{pool.pid}/exe") == os.path.realpath(pool.binary)
    assert pool.request().status == 200
    pool.stop()


def test_workers_know_nothing_of_it(deployed):
    """Neither by environment nor by descriptors."""
    pool = upgrade(deployed(workers=1).up())
    worker = pool.serving()[0]
    assert b"FCGIPOOL_FDS" not in Path(f"/proc/{worker}/environ").read_bytes()
    assert not [path for fd, path in descriptors(worker).items() if fd > 2 and "memfd" not in path]
    pool.stop()


@pytest.mark.parametrize("listen", ["unix", "@", "tcp"])
def test_in_a_row_under_load(listen, deployed, make_load, record_property):
    """Good ones and broken ones: nothing is lost, and at the end there is one master that has open what the first had."""
    address = {"tcp": "127.0.0.1:0", "@": f"unix:@fcgipool-{os.getpid()}"}.get(listen)
    pool = deployed(workers=3, timeout=60, start_timeout=30, **({"listen": address} if address else {})).up()
    upgrade(pool)
    before = kinds_of_descriptors(pool)
    load = make_load(pool.status()["listen"], clients=4, mix="GET:0*4,POST:1,POST:65536,GET:10?delay=20,POST:20000?slow=8")
    upgrades = build.count(6, 50)
    for turn in range(upgrades):
        if turn % 2 == 0:
            upgrade(pool)
        elif turn % 4 == 1:
            shutil.rmtree(Path(pool.binary).parent)
            failed = pool.command("upgrade", binary=build.fcgipool())
            assert failed.returncode == 70 and "No such file" in failed.stderr, failed.stderr
            restore(pool)
        else:
            replace(pool, "#!/bin/sh\necho broken by the test >&2\nexit 3\n")
            failed = pool.command("upgrade", binary=build.fcgipool())
            assert failed.returncode == 70 and "broken by the test" in failed.stderr, failed.stderr
            restore(pool)
        assert_alone(pool, 3)
    result = load.stop()
    assert_all_right(result, 50)
    status = pool.status()
    assert status["counters"]["crashed"] == status["counters"]["cut"] == 0

    def as_before():
        now = kinds_of_descriptors(pool)
        assert not now - before, now - before
        return True
    wait_until(as_before, 10, "no more descriptors than before")
    record_property("upgrades", upgrades)
    record_property("requests answered right", result.ok)
    pool.stop()


# ---- by hand ----

def test_by_hand(deployed, make_load):
    """USR2, then TERM to one of the two: the other one goes on."""
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=4, mix="GET:0*4,POST:65536")
    first = pool.pid
    new = both(pool)
    assert new["upgrade"] == {"state": "second", "pid": first, "reason": None}
    assert (pool.directory / "pid.2").read_text() == f"{new['pid']}\n" and (pool.directory / "pid").read_text() == f"{first}\n"
    load.wait_ok(200)
    assert second(pool)["requests"] > 0
    os.kill(new["pid"], signal.SIGTERM)
    failed = pool.wait_status(lambda status: status["upgrade"]["state"] == "failed")
    assert "exited with code 0" in failed["upgrade"]["reason"] and pool.pid == first
    assert_alone(pool, 2)
    new = both(pool)
    pool.send_signal(signal.SIGTERM)
    pool.follow()
    assert pool.pid == new["pid"]
    pool.wait_log("takes its place")
    assert_alone(pool, 2)
    load.wait_ok(100)
    assert_all_right(load.stop(), 200)
    pool.stop()


def test_one_at_a_time(deployed):
    pool = deployed(workers=1).up()
    new = both(pool)
    again = pool.command("upgrade")
    assert again.returncode == 75 and f"pid {new['pid']}" in again.stderr, again.stderr
    its = pool.command("upgrade", "--control", pool.control_path + ".2")
    assert its.returncode == 75 and "former one is still there" in its.stderr, its.stderr
    for which in ([], ["--control", pool.control_path + ".2"]):
        reload = pool.command("reload", *which)
        assert reload.returncode == 75 and "upgrade is under way" in reload.stderr, reload.stderr
    os.kill(new["pid"], signal.SIGTERM)
    pool.wait_status(lambda status: status["upgrade"]["state"] == "failed")
    assert pool.command("pause").returncode == 0
    paused = pool.command("upgrade")
    assert paused.returncode == 75 and "paused" in paused.stderr, paused.stderr
    pool.stop()


def test_asked_of_the_former_one_meanwhile(deployed):
    """The number of workers, and log files that were renamed, are for both."""
    pool = deployed(workers=2, log={"file": "log"})
    pool.log_file = pool.directory / "log"
    pool.up()
    both(pool)
    assert pool.command("scale", "4").returncode == 0
    pool.log_file.rename(pool.directory / "old")
    assert pool.command("reopen").returncode == 0
    pool.send_signal(signal.SIGTERM)
    pool.follow()
    pool.wait_ready(4)
    assert pool.status()["floor"] == 4 and "takes its place" in pool.log()
    pool.stop()


def test_both_sleep(deployed):
    """While they wait for one of them to leave, neither has anything to do."""
    pool = deployed(workers=1).up()
    new = both(pool)
    settle(pool)
    wait_until(lambda: sleeps(new["pid"], 1.2), 20, "an idle second master")
    assert pool.command("stop").returncode == 0
    pool.wait_gone()


def test_an_idle_pool_on_demand(deployed):
    """Without workers, too, the new program has to prove itself."""
    pool = deployed(workers={"min": 0, "max": 2}).up(workers=0)
    pool.write(command=kinds.complaining(code=3), failures=2, backoff={"initial": "10ms", "max": "20ms"})
    failed = pool.command("upgrade")
    assert failed.returncode == 70 and kinds.COMPLAINT in failed.stderr, failed.stderr
    pool.write(command=[build.worker("echo_fcgx")])
    upgrade(pool)
    assert pool.request().status == 200
    pool.stop()


def test_another_control_socket(deployed):
    """Where nobody who knows the file would find the master."""
    pool = deployed(workers=1).up()
    before = pool.control_path
    pool.write(control_socket=str(pool.directory / "other.sock"))
    failed = pool.command("upgrade", "--control", before)
    assert failed.returncode == 78 and "stopped and started" in failed.stderr, failed.stderr
    pool.write(control_socket=before)
    assert_alone(pool, 1)
    pool.stop()


def test_pidfiles(deployed):
    """Another path, none, and one again."""
    pool = deployed(workers=1).up()
    for name in ("other", None, "pid"):
        pool.write(pidfile=name)
        upgrade(pool)
        assert files(pool) & {"pid", "other", "pid.2", "other.2"} == ({name} if name else set())
    assert_alone(pool, 1)
    pool.stop()


# ---- stops ----

def test_graceful_stop_in_an_upgrade_by_command(deployed, make_load):
    """TERM, when the new master serves and has not all of its workers: requests are answered, and it goes on."""
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=2, requests=2, mix="GET:5?delay=1500")
    load.wait_in_hand(pool, 2)
    pool.write(workers=3, command=kinds.only_one(pool.directory / "lock", [build.worker("echo_fcgx")],
                                                 kinds.waiting_for(pool.directory / "go")))
    with pool.background("upgrade") as command:
        pool.wait_status(lambda status: status["upgrade"] and status["upgrade"]["state"] == "ready")
        pool.send_signal(signal.SIGTERM)
        (pool.directory / "go").touch()
        assert command.wait(20) == 0
    assert_all_right(load.wait(), 2)
    pool.follow()
    pool.wait_ready(3)
    pool.stop()


def test_the_command_stop_is_for_both(deployed, make_load):
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=2, requests=2, mix="GET:5?delay=500")
    load.wait_in_hand(pool, 2)
    both(pool)
    assert pool.command("stop").returncode == 0
    assert_all_right(load.wait(), 2)
    pool.wait_gone()
    assert files(pool) == {"pool.json", "master.log"}


def test_both_are_told_to_stop(deployed, make_load):
    """The new one first: the pool stops as without it, and nothing is lost or left."""
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=4, mix="GET:0*4,GET:5?delay=100,POST:65536")
    new = both(pool)
    load.wait_ok(50)
    os.kill(new["pid"], signal.SIGTERM)
    pool.send_signal(signal.SIGTERM)
    wait_until(lambda: load.progress().refused, 20, "refusals")
    assert_none_lost(load.stop(), 50)
    assert pool.wait_exit() == 0
    pool.wait_gone()
    assert files(pool) == {"pool.json", "master.log"}


def test_the_new_one_dies_when_the_former_one_leaves(deployed, make_load):
    """Nobody is left to serve: connections are refused, and the exit code says that it was no stop as asked for."""
    pool = deployed(workers=1).up()
    load = make_load(pool.address, clients=1, requests=1, mix="GET:5?delay=1500")
    load.wait_in_hand(pool, 1)
    new = both(pool)
    pool.send_signal(signal.SIGTERM)
    pool.wait_log("takes the place of this one")
    os.kill(new["pid"], signal.SIGKILL)
    pool.wait_log("had begun to leave")
    assert_all_right(load.wait(), 1)
    assert pool.wait_exit() == 70
    pool.wait_gone()
    assert files(pool) == {"pool.json", "master.log"}


# ---- broken ones ----

def broken(pool):
    """What can go wrong by name: how to bring it about, the exit code, and what is said of it."""
    def directory_deleted():
        shutil.rmtree(Path(pool.binary).parent)

    return {
        "directory": (directory_deleted, 70, "No such file"),
        "program": (lambda: replace(pool, "#!/bin/sh\necho out of order\nexit 3\n"), 70, "exited with code 3.*out of order"),
        "garbage": (lambda: replace(pool, "\0\1\2"), 70, "Exec format"),
        "mode": (lambda: replace(pool, "", 0o644), 70, "Permission denied"),
        "killed": (lambda: replace(pool, "#!/bin/sh\nkill -9 $$\n"), 70, "killed by signal 9"),
        "hung": (lambda: (pool.write(start_timeout="100ms"), pool.command("reload", binary=build.fcgipool()),
                          replace(pool, "#!/bin/sh\nexec sleep 1000\n")), 70, "in time"),
        "file": (lambda: pool.file.write_text("{"), 78, "pool.json:1"),
        "key": (lambda: pool.write(workerz=3), 78, "workerz: unknown setting"),
        "socket": (lambda: pool.write(listen="unix:/nowhere/x.sock"), 70, "does not exist"),
        "workers": (lambda: pool.write(command=kinds.complaining(code=3)), 70, kinds.COMPLAINT),
    }


@pytest.mark.parametrize("what", ["directory", "program", "garbage", "mode", "killed", "hung", "file", "key", "socket", "workers"])
def test_broken(what, deployed, make_load):
    """Whoever asked is told why; master, workers, socket and pidfile stay as they were."""
    pool = deployed(workers=2, failures=2, backoff={"initial": "10ms", "max": "20ms"}).up()
    load = make_load(pool.address, clients=2)
    bring_about, code, complaint = broken(pool)[what]
    good = dict(pool.settings)
    bring_about()
    before = sorted(pool.serving())
    failed = pool.command("upgrade", "--control", pool.control_path, binary=build.fcgipool())
    assert failed.returncode == code, failed.stderr
    assert re.search(complaint, failed.stderr, re.S), failed.stderr
    pool.settings = good
    assert_alone(pool, 2)
    status = pool.status()
    assert sorted(pool.serving(status)) == before and status["state"] == "running"
    if status["upgrade"]:
        assert status["upgrade"]["state"] == "failed" and re.search(complaint, status["upgrade"]["reason"], re.S)
    load.wait_ok(20)
    assert_all_right(load.stop(), 20)
    restore(pool)
    pool.write()
    upgrade(pool)
    pool.stop()


# ---- disaster ----

def test_the_former_one_dies(deployed, make_load):
    """The new one takes its place, and lets the workers of the dead one finish what they have."""
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=4, mix="GET:0*4,GET:5?delay=100,POST:65536")
    new = both(pool)
    pool.process.kill()
    pool.process.wait()
    pool.wait_log("takes its place")
    pool.wait_log("all 2 workers of a former master have gone")
    pool.process.returncode = 0
    pool.follow()
    assert pool.pid == new["pid"]
    assert_alone(pool, 2)
    load.wait_ok(100)
    assert_all_right(load.stop(), 100)
    pool.stop()
    assert files(pool) == {"pool.json", "master.log"}


def test_the_new_one_dies(deployed, make_load):
    """The former one goes on, and lets the workers of the dead one finish what they have."""
    pool = deployed(workers=2).up()
    load = make_load(pool.address, clients=4, mix="GET:0*4,GET:5?delay=100,POST:65536")
    new = both(pool)
    os.kill(new["pid"], signal.SIGKILL)
    pool.wait_log("killed by signal 9")
    assert_alone(pool, 2)
    load.wait_ok(100)
    assert_all_right(load.stop(), 100)
    upgrade(pool)
    pool.stop()
    assert files(pool) == {"pool.json", "master.log"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("program", ["good", "broken"])
def test_stop_soon_after(number, program, deployed, record_property):
    """At whatever moment of an upgrade: the exit code is 0; who was ready by then goes on, and nothing else is left."""
    dice = random.Random(int(number))
    stops = build.count(4, 50)
    pool = deployed(workers=2)
    went_on = 0
    for _ in range(stops):
        pool.up()
        if program == "broken":
            replace(pool, "#!/bin/sh\nexec sleep 1000\n")
        pool.send_signal(signal.SIGUSR2)
        time.sleep(dice.uniform(0, 0.03))
        pool.send_signal(number)
        assert pool.wait_exit() == 0, pool.log()
        heirs = [pid for pid in pool.tree.living() if "fcgipool" in command_line(pid)]
        if heirs:
            went_on += 1
            pool.wait_log("takes its place")
            pool.follow()
            assert pool.request().status == 200
            pool.stop()
        pool.wait_gone()
        restore(pool)
        assert files(pool) == {"pool.json", "master.log"}, files(pool)
        pool.log_file.unlink()
    record_property("stops", stops)
    record_property("of them, with a new master that was ready", went_on)


def test_whoever_names_descriptors(make_pool):
    """And is no master: the pool starts as always."""
    pool = make_pool(environment={"FCGIPOOL_FDS": "link:0,listener:1"}).up()
    assert "is ignored" in pool.log()
    pool.stop()


def test_systemd_is_told(deployed, listener):
    """Who its main process is now, when the former one has nothing more to say; and that the pool is ready, not that it stops."""
    pool = deployed(workers=1, environment=listener.environment).up()
    listener.wait("READY", "1")
    first = pool.pid
    upgrade(pool)
    listener.wait("MAINPID", str(pool.pid))
    wait_until(lambda: len(listener.values("READY")) == 2, 10, "word from the new master")
    said = [(name, value) for _, name, value in listener.take().seen if name in ("MAINPID", "READY", "STOPPING")]
    assert said == [("READY", "1"), ("MAINPID", str(first)), ("MAINPID", str(pool.pid)), ("READY", "1"), ("MAINPID", str(pool.pid))]
    pool.stop()
    listener.wait("STOPPING", "1")
