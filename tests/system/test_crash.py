"""What goes wrong while the pool runs: it is noticed, logged, survived and repaired."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time

import pytest

from kit import build, fastcgi
from kit.load import assert_all_right
from kit.pool import run
from kit.processes import alive, children, state
from kit.wait import wait_until


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stream:
        fields = stream.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(seconds, look, pause=0.02):
    """Calls look() again and again for a span of time that is itself the subject of the test."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        look()
        time.sleep(pause)


def copy_worker(name, path):
    shutil.copy(build.worker(name), path)
    return str(path)


def test_killed_worker_is_replaced_and_told(make_pool):
    """At once: a worker that has served for a while is no failed start, and there is no pause after it."""
    pool = make_pool(workers=3, backoff={"initial": "10s", "max": "30s"}).up()
    pool.wait_status(lambda status: all(each["age_ms"] > 1500 for each in status["workers"]), what="some age")
    victim = pool.status()["workers"][1]
    os.kill(victim["pid"], signal.SIGKILL)

    def replaced(status):
        pids = pool.serving(status)
        return len(pids) == 3 and victim["pid"] not in pids
    status = pool.wait_status(replaced, what="a replacement")
    heir = [each for each in status["workers"] if each["slot"] == victim["slot"]][0]
    assert heir["incarnation"] > victim["incarnation"]
    assert status["counters"]["crashed"] == 1
    line = pool.wait_log(rf"^.*\bpid {victim['pid']}\b.*signal 9.*$").group()
    assert "SIGKILL" in line and re.search(rf"worker {victim['slot']}\b", line)
    assert re.search(r"\d+(\.\d+)? ?(s|ms|seconds)\b", line)
    pool.stop()


def test_crash_in_a_request_hurts_only_that_request(make_pool, make_load):
    pool = make_pool(command=[build.worker("bad"), "crash-on-request"], workers=4).up()
    load = make_load(pool.address, clients=4, mix="GET:10,POST:1000,GET:5?delay=2")
    crashes = build.count(5, 100)
    for _ in range(crashes):
        load.wait_ok(20)
        with pytest.raises(fastcgi.Lost):
            pool.request("/x?crash")
    assert_all_right(load.stop())
    status = pool.wait_status(lambda status: len(pool.serving(status)) == 4, what="all four again")
    # One that dies in its first request may not have been seen to accept.
    assert status["counters"]["crashed"] + status["counters"]["start_failed"] == crashes
    assert pool.wait_log(r"signal 11.*SIGSEGV|SIGSEGV.*signal 11")


@pytest.mark.parametrize("mischief", [["exit", "1"], ["exit", "0"], ["crash"]])
def test_workers_that_die_at_once_do_not_storm(mischief, make_pool, record_property):
    """Four workers that never come up: a few starts, a short log, a master that answers, state failing."""
    seconds, limit = (20, 30) if build.FULL else (4, 20)
    pool = make_pool(command=[build.worker("bad"), *mischief], workers=4).start()
    pool.wait_status(lambda status: True, what="the first status")
    slowest = 0

    def look():
        nonlocal slowest
        start = time.monotonic()
        pool.status()
        slowest = max(slowest, time.monotonic() - start)
    watch(seconds, look)
    status = pool.status()
    record_property("seconds", seconds)
    record_property("spawns", status["counters"]["spawned"])
    record_property("log bytes", len(pool.log()))
    record_property("slowest status ms", round(1000 * slowest))
    assert status["counters"]["spawned"] < limit, status["counters"]
    assert slowest < 1
    assert len(pool.log()) < 20000
    assert pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    assert cpu_seconds(pool.pid) < seconds / 4
    told = pool.command("status")
    assert told.returncode == 0 and "failing" in told.stdout
    pool.stop()


def test_failing_pool_recovers(directory, make_pool):
    """The program is mended while the pool fails: the next probe brings all workers up."""
    program = copy_worker("bad", directory / "worker")
    pool = make_pool(command=[program, "exit", "1"], workers=4, failures=3,
                     backoff={"initial": "20ms", "max": "200ms"}).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    copy_worker("echo_fcgx", directory / "new")
    os.rename(directory / "new", program)
    pool.wait_ready(4)
    assert pool.request().status == 200


@pytest.mark.parametrize("what", ["command", "directory"])
def test_what_the_workers_need_vanishes(what, directory, make_pool):
    """The others go on serving; when it is back, so are all workers."""
    home = directory / "app"
    home.mkdir()
    program = copy_worker("echo_fcgx", (home if what == "command" else directory) / "worker")
    pool = make_pool(command=[program], chdir=str(home), workers=3,
                     backoff={"initial": "20ms", "max": "200ms"}).up()
    if what == "command":
        os.unlink(program)
    else:
        shutil.rmtree(home)
    victim = pool.serving()[0]
    os.kill(victim, signal.SIGKILL)
    pool.wait_log(rf"({re.escape(program)}|{re.escape(str(home))}).*No such file|No such file.*")
    assert pool.request("/x?n=3").body == b"abc"
    assert len(pool.serving()) == 2
    home.mkdir(exist_ok=True)
    if what == "command":
        copy_worker("echo_fcgx", program)
    pool.wait_ready(3)


def test_control_file_vanishes(make_pool):
    """The master goes on; commands still find it."""
    user = 54321 if os.geteuid() == 0 else None
    pool = make_pool(control_socket=None, user=user).up()
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    os.unlink(pool.file)
    for arguments in ([], ["--control", pool.control_path]):
        answer = pool.command("status", *arguments, **as_user)
        assert answer.returncode == 0 and str(pool.pid) in answer.stdout, answer
    pool.file.write_text("{ broken")
    assert pool.command("status", **as_user).returncode == 0
    os.kill(pool.serving()[0], signal.SIGKILL)
    pool.wait_status(lambda status: status["counters"]["crashed"] == 1 and len(pool.serving(status)) == 2,
                     what="a replacement")
    assert pool.command("stop", **as_user).returncode == 0
    assert pool.wait_exit(2) == 0


def test_broken_control_file_still_names_its_master(make_pool):
    """`name` and `control_socket` are read even from a file that is not valid any more."""
    pool = make_pool(name="shop").up()
    text = pool.file.read_text()
    text = text.replace('"listen": "unix:', '"listen": "nonsense:')
    pool.file.write_text(text.replace('"workers": 2', '"workers": -2'))
    answer = pool.command("status")
    assert answer.returncode == 0 and "shop" in answer.stdout, answer


def test_control_option(make_pool, directory):
    pool = make_pool().up()
    for command in (["status"], ["scale", "3"], ["stop"]):
        answer = run(*command, "--control", pool.control_path, cwd=directory)
        assert answer.returncode == 0, answer
    assert pool.wait_exit() == 0


@pytest.mark.parametrize("mode", ["never-accept", "close-listener"])
def test_worker_that_never_accepts(mode, make_pool):
    pool = make_pool(command=[build.worker("bad"), mode], workers=2, start_timeout=1, abort_timeout="500ms",
                     failures=2).start()
    pool.wait_log(r"pid \d+\b.*start_timeout")
    status = pool.wait_status(lambda status: status["state"] == "failing", 20, "state failing")
    assert status["counters"]["start_failed"] >= 2 and not pool.serving(status)
    pool.stop()


def test_slow_starter_is_given_time(make_pool):
    pool = make_pool(command=[build.worker("bad"), "slow-start", "1500"], workers=2, start_timeout=10).start()
    status = pool.wait_status(lambda status: status["workers"], what="workers")
    assert status["state"] == "starting" and not pool.serving(status)
    pool.wait_ready()
    assert pool.status()["counters"]["start_failed"] == 0


def test_who_accepts_at_the_last_moment_keeps_its_request(make_pool, make_load):
    """Or start_timeout passes before, and the request waits for the next one."""
    command = f"exec {build.worker('bad')} slow-start $(shuf -i 930-995 -n 1)"
    pool = make_pool(command=["/bin/sh", "-c", command], workers=1, observe="kernel", start_timeout=1, failures=1000,
                     backoff={"initial": "10ms", "max": "10ms"})
    for _ in range(build.count(5, 50)):
        pool.start()
        pool.wait_status(lambda status: status["workers"], what="a worker that starts")
        load = make_load(pool.address, clients=1, requests=1, mix="GET:10?delay=200")
        assert_all_right(load.wait(60), 1)
        pool.stop()


def test_children_of_a_dead_worker_are_ended(make_pool):
    pool = make_pool(command=[build.worker("bad"), "fork-children", "3"], workers=1).up()
    worker = pool.serving()[0]
    offspring = wait_until(lambda: len(children(worker)) == 3 and children(worker), 5, "its children")
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in offspring), 5, "end of its children")
    pool.wait_status(lambda status: pool.serving(status) not in ([], [worker]), what="a replacement")
    assert pool.request().status == 200
    pool.stop()


def test_workers_that_go_to_the_background_do_not_storm(make_pool):
    pool = make_pool(command=[build.worker("bad"), "daemonize"], workers=2, failures=2).start()
    status = pool.wait_status(lambda status: status["state"] == "failing", 20, "state failing")
    assert status["counters"]["spawned"] < 20
    pool.send_signal(signal.SIGTERM)
    assert pool.wait_exit() == 0


def test_no_more_processes(make_pool):
    """fork fails for an ordinary user: told with the reason, survived, and made good when there is room. (The
    master counts as two.)"""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user with a limit of its own")
    user = 54321
    pool = make_pool(workers=4, user=user, limits={resource.RLIMIT_NPROC: 9},
                     backoff={"initial": "20ms", "max": "100ms"})
    others = [subprocess.Popen(["sleep", "1000"], user=user, group=user, extra_groups=[]) for _ in range(5)]
    try:
        pool.start()
        pool.wait_log(r"Resource temporarily unavailable")
        pool.wait_status(lambda status: len(pool.serving(status)) == 2, what="as many as there may be")
        assert pool.request().status == 200
    finally:
        for each in others:
            each.kill()
            each.wait()
    pool.wait_ready(4)
    assert len(pool.log()) < 20000


def test_no_more_descriptors(make_pool):
    """The master has room for a few workers only. It keeps those, does not spin, and can be told to have fewer."""
    pool = make_pool(workers=24, limits={resource.RLIMIT_NOFILE: 24}, backoff={"initial": "20ms", "max": "200ms"})
    pool.start()
    pool.wait_log(r"Too many open files")
    wait_until(lambda: pool.request("/x?n=2").body == b"ab", 5, "an answer")
    before = cpu_seconds(pool.pid)
    waiting = [fastcgi.connect(f"unix:{pool.control_path}") for _ in range(12)]
    watch(1.5, lambda: None)
    assert cpu_seconds(pool.pid) - before < 0.4, "the master spins"
    for each in waiting:
        each.close()
    assert len(pool.log()) < 20000
    assert pool.command("scale", "2").returncode == 0
    assert len(pool.serving()) == 2


def test_stopped_worker_is_not_taken_for_dead(make_pool):
    pool = make_pool(workers=2).up()
    victim = pool.serving()[0]
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: state(victim) == "T", 5, "the halt")
    for _ in range(4):
        assert pool.request().status == 200
    os.kill(victim, signal.SIGCONT)
    status = pool.status()
    assert victim in pool.serving(status) and status["counters"]["spawned"] == 2


def test_load_survives_a_massacre(make_pool, make_load):
    """All idle workers are killed at once, over and over: only requests in their hands are lost."""
    pool = make_pool(workers=4, backoff={"initial": "10ms", "max": "50ms"}).up()
    for _ in range(build.count(3, 30)):
        victims = pool.serving()
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        # One that is dying may still take a request into its hands.
        wait_until(lambda: not any(alive(pid) for pid in victims), 5, "the end of the victims")
        assert_all_right(make_load(pool.address, clients=4, requests=40, mix="GET:10,POST:1000").wait(), 40)
        pool.wait_status(lambda status: len(pool.serving(status)) == 4 and not set(victims) & set(pool.serving(status)),
                         what="four new ones")
