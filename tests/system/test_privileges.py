"""Privileges and limits of workers: who they are, what they may, and that the master can still look after them."""

import errno
import grp
import json
import os
import pty
import pwd
import resource
import shutil
import signal

import pytest

from kit import build
from kit.load import assert_all_right, assert_none_lost
from kit.processes import alive
from kit.wait import wait_until

OTHER = 54321   # a user and a group that nobody has
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def make(directory, make_pool):
    """make(worker, *arguments, **settings): a pool of ours whose worker any user gets at. What a worker is given
    but for the library's sake (test_preload) is looked at here."""
    def pool(worker, *arguments, as_user=None, **settings):
        program = str(shutil.copy(build.worker(worker), directory / worker))
        made = make_pool(command=[program, *arguments], **({"user": as_user} if as_user else {}))
        made.write(**{"observe": "kernel", **settings})
        return made
    return pool


def inspect(pool):
    return json.loads(pool.request("/").body)


def ids(told, which):
    return [int(each) for each in told[which].split()]


# Who the workers are.

@needs_root
@pytest.mark.parametrize("user, group", [("nobody", None), (str(NOBODY), None), ("nobody", "users"),
                                         (str(OTHER), str(OTHER + 1)), ("www-data", "nogroup")])
def test_workers_are_the_user_asked_for(user, group, make):
    known = None if user.isdigit() and int(user) == OTHER else (
        pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user))
    uid = known.pw_uid if known else int(user)
    gid = known.pw_gid if group is None else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    pool = make("inspect", "way-back", workers=1, user=user, **({"group": group} if group else {})).up()
    told = inspect(pool)
    # Real, effective, saved, file system.
    assert ids(told, "Uid") == [uid] * 4
    assert ids(told, "Gid") == [gid] * 4
    assert set(ids(told, "Groups")) == (set(os.getgrouplist(known.pw_name, gid)) if known else {gid})
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(told[name], 16) == 0, name
    assert told["way_back"] and all(told["way_back"].values()), told["way_back"]
    assert told["way_back"]["setuid(0)"] == errno.EPERM
    # The rest is as for every worker.
    assert told["descriptors"] == [0, 1, 2] and told["group"] == told["pid"]
    assert int(told["SigBlk"], 16) == 0 and int(told["SigIgn"], 16) == 0
    # The master has stayed what it was.
    with open(f"/proc/{pool.pid}/status") as status:
        assert "Uid:\t0\t0\t0\t0\n" in status.read()
    assert os.stat(f"/proc/{pool.pid}").st_uid == 0
    pool.stop()


@needs_root
def test_group_alone(make):
    told = inspect(make("inspect", workers=1, group=str(OTHER)).up())
    assert ids(told, "Uid") == [0] * 4
    assert ids(told, "Gid") == [OTHER] * 4
    assert ids(told, "Groups") == [OTHER]


def test_without_user_nothing_changes(make):
    told = inspect(make("inspect", workers=1).up())
    assert ids(told, "Uid") == [os.getuid(), os.geteuid(), os.geteuid(), os.geteuid()]
    assert set(ids(told, "Groups")) == set(os.getgroups())


@needs_root
def test_worker_can_open_its_output(directory, make_pool):
    """/dev/stderr leads to a pipe that root has made."""
    worker = shutil.copy(build.worker("inspect"), directory / "inspect")
    pool = make_pool(command=["/bin/sh", "-c", f"echo opened > /dev/stderr && exec {worker}"], workers=1)
    pool.write(user=str(OTHER), group=str(OTHER))
    pool.up()
    assert pool.wait_log(r"worker 0 pid \d+: opened")


@pytest.mark.parametrize("user", [None, pytest.param(str(OTHER), marks=needs_root)])
def test_masters_terminal_is_out_of_reach(user, make):
    """What a worker could write into it, the master's shell would run."""
    pool = make("inspect", workers=1, **({"user": user, "group": user} if user else {}))
    master, slave = pty.openpty()
    try:
        pool.terminal = slave
        told = inspect(pool.up())
        with open(f"/proc/{pool.pid}/stat") as stat:
            assert int(stat.read().rsplit(") ")[-1].split()[4]) != 0, "the master has a terminal"
        with open(f"/proc/{told['pid']}/stat") as stat:
            group, session, terminal = map(int, stat.read().rsplit(") ")[-1].split()[2:5])
        assert group == session == told["session"] == told["pid"] and terminal == 0
        assert told["/dev/tty"] == errno.ENXIO
        pool.stop()
    finally:
        os.close(slave)
        os.close(master)


# Masters that are not root.

@needs_root
@pytest.mark.parametrize("uid", [NOBODY, OTHER])
def test_ordinary_master_may_name_itself(uid, make):
    pool = make("inspect", as_user=uid, workers=1)
    pool.write(user=str(uid), group=str(uid))
    told = inspect(pool.up())
    assert ids(told, "Uid") == [uid] * 4 and ids(told, "Gid") == [uid] * 4
    pool.stop()


@needs_root
@pytest.mark.parametrize("settings, words", [({"user": "root"}, ["user", '"root"']),
                                             ({"user": str(OTHER + 1), "group": str(OTHER + 1)}, ["user"]),
                                             ({"group": "root"}, ["group", '"root"'])])
def test_ordinary_master_may_not_name_others(settings, words, make):
    pool = make("inspect", as_user=OTHER)
    pool.write(**settings)
    pool.start()
    assert pool.wait_exit() == 78
    assert all(word in pool.log() for word in [*words, "only root can", f"{pool.file}:"]), pool.log()
    assert "Traceback" not in pool.log() and len(pool.log().splitlines()) == 1


@needs_root
@pytest.mark.parametrize("settings, words", [({"user": "root"}, "only root can run workers as another user"),
                                             ({"nice": -1}, "only root can go below"),
                                             ({"rlimits": {"nofile": 4001}}, "only root can raise it")])
def test_check_judges_the_file_and_not_the_caller(settings, words, directory, make):
    """What root may start is valid, whoever looks at it."""
    pool = make("inspect", as_user=OTHER)
    pool.write(**settings)
    os.chmod(directory, 0o755)
    def become():
        resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
    answer = pool.command("check", user=OTHER, group=OTHER, extra_groups=[], preexec_fn=become)
    assert answer.returncode == 0, answer.stderr
    assert "warning: " in answer.stderr and words in answer.stderr


@needs_root
def test_reload_leaves_the_user(make):
    """Of the workers of today and of those to come."""
    pool = make("inspect", workers=1, user=str(OTHER), group=str(OTHER)).up()
    for changes in ({"user": "root", "group": "root"}, {"user": "no-such-user"}, {"user": None, "group": None}):
        pool.settings.update(changes)
        pool.settings = {name: value for name, value in pool.settings.items() if value is not None}
        pool.write(failures=pool.settings.get("failures", 5) + 1)
        pool.send_signal(signal.SIGHUP)
        pool.wait_log(f"reload: failures is in effect(.|\n)*reload: done")
        victim = inspect(pool)["pid"]
        os.kill(victim, signal.SIGKILL)
        pool.wait_status(lambda status: pool.serving(status) not in ([], [victim]), what="another worker")
        told = inspect(pool)
        assert told["pid"] != victim and ids(told, "Uid") == [OTHER] * 4 and ids(told, "Gid") == [OTHER] * 4
    pool.stop()


@needs_root
def test_environment_is_the_users(make):
    daemon = pwd.getpwnam("daemon")
    pool = make("inspect", workers=1, user="daemon", env={"SHELL": "/bin/mine"}).up()
    told = dict(each.split("=", 1) for each in inspect(pool)["environment"])
    assert told["HOME"] == daemon.pw_dir and told["USER"] == told["LOGNAME"] == "daemon"
    assert told["SHELL"] == "/bin/mine" and "XDG_RUNTIME_DIR" not in told and told["PATH"] == pool.environment["PATH"]


def test_unknown_names_are_refused(make_pool):
    pool = make_pool()
    pool.write(user="no-such-user", group="no-such-group")
    answer = pool.command("check")
    assert answer.returncode == 78
    assert 'user: there is no user "no-such-user"' in answer.stderr
    assert 'group: there is no group "no-such-group"' in answer.stderr


# What goes wrong at the start is told by its step.

@needs_root
def test_directory_that_the_user_cannot_enter(directory, make):
    (directory / "closed").mkdir(mode=0o700)
    pool = make("inspect", user=str(OTHER), group=str(OTHER), chdir=str(directory / "closed"))
    answer = pool.command("check")
    assert answer.returncode == 0
    assert f"cannot enter {directory}/closed" in answer.stderr and "chdir" in answer.stderr
    pool.start()
    assert pool.wait_log(r"worker \d could not be started: chdir: Permission denied")


@needs_root
def test_program_that_the_user_cannot_execute(directory, make):
    pool = make("inspect", user=str(OTHER), group=str(OTHER))
    os.chmod(directory / "inspect", 0o700)
    answer = pool.command("check")
    assert answer.returncode == 0
    assert f"cannot execute {directory}/inspect" in answer.stderr and "command" in answer.stderr
    pool.start()
    assert pool.wait_log(r"worker \d could not be started: exec: Permission denied")
    os.chmod(directory / "inspect", 0o755)
    assert "cannot" not in pool.command("check").stderr


# Limits, priority, environment.

LIMITS = {"as": "1G", "core": 0, "cpu": 600, "data": "900M", "fsize": "64M", "memlock": "64K", "nofile": 77,
          "nproc": 900, "stack": "4M"}
IN_BYTES = {"as": 1 << 30, "core": 0, "cpu": 600, "data": 900 << 20, "fsize": 64 << 20, "memlock": 64 << 10, "nofile": 77,
            "nproc": 900, "stack": 4 << 20}


@pytest.mark.parametrize("user", [None, pytest.param(str(OTHER), marks=needs_root)])
def test_limits_and_priority(user, make):
    pool = make("inspect", workers=1, rlimits=LIMITS, nice=7, umask="0077",
                **({"user": user, "group": user} if user else {})).up()
    told = inspect(pool)
    assert told["limits"] == {name: [value, value] for name, value in IN_BYTES.items()}
    assert (told["nice"], told["umask"]) == (7, 0o077)
    assert os.getpriority(os.PRIO_PROCESS, pool.pid) == 0
    assert resource.prlimit(pool.pid, resource.RLIMIT_CORE) == resource.getrlimit(resource.RLIMIT_CORE)


@needs_root
def test_root_raises_before_the_drop(make):
    """An ordinary user could not have this priority."""
    told = inspect(make("inspect", workers=1, nice=-5, user=str(OTHER), group=str(OTHER)).up())
    assert told["nice"] == -5 and ids(told, "Uid") == [OTHER] * 4


def test_descriptors_are_the_masters_unless_set(make):
    """The master raises its own soft limit; select() in a worker does not know more than 1024."""
    pool = make("inspect", workers=1).up()
    assert inspect(pool)["limits"]["nofile"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


@needs_root
@pytest.mark.parametrize("settings, text", [
    ({"rlimits": {"nofile": 4001}}, "rlimits.nofile: 4001 is more than the hard limit, which is 4000"),
    ({"nice": -1}, "nice: -1 is less than 0")])
def test_ordinary_master_cannot_give_more_than_it_has(settings, text, make):
    pool = make("inspect", as_user=OTHER)
    pool.limits = {resource.RLIMIT_NOFILE: 4000}
    pool.write(**settings)
    pool.start()
    assert pool.wait_exit() == 78 and text in pool.log() and "only root can" in pool.log(), pool.log()


def test_cleared_environment(make):
    pool = make("inspect", workers=1, clear_env=True, env={"ONLY": "this"}).up()
    assert inspect(pool)["environment"] == ["ONLY=this"]
    pool.stop()
    pool.write(env={})
    assert inspect(pool.up())["environment"] == []


# The master looks after workers of another user.

def others(make, worker="echo_fcgx", *arguments, **settings):
    return make(worker, *arguments, user=str(OTHER), group=str(OTHER), **settings)


@needs_root
@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("worker", ["echo_fcgx", "echo_static"])
def test_scale_down_and_stop_lose_nothing(listen, worker, make, make_load):
    pool = others(make, worker, workers=4, **({"listen": "127.0.0.1:0"} if listen == "tcp" else {})).up()
    load = make_load(pool.status()["listen"], clients=16, mix="GET:10?delay=5,POST:65536,GET:65536?slow=12")
    load.wait_ok(40)
    for _ in range(build.count(3, 30)):
        assert pool.command("scale", "1", timeout=30).returncode == 0
        load.wait_ok(20)
        assert pool.command("scale", "4", timeout=30).returncode == 0
        load.wait_ok(20)
    so_far = load.progress()
    assert so_far.lost == 0 and so_far.refused == 0, so_far
    assert pool.status()["counters"]["cut"] == 0
    pool.stop()
    assert_none_lost(load.stop(), 100)


@needs_root
def test_crashes_are_replaced(make, make_load):
    pool = others(make, workers=3).up()
    for _ in range(build.count(5, 50)):
        victim = pool.serving()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not alive(victim), 5, "the end of the worker")
        pool.wait_status(lambda status: len(pool.serving(status)) == 3 and victim not in pool.serving(status),
                         what="a replacement")
    assert_all_right(make_load(pool.address, clients=4, requests=40, mix="GET:10").wait(), 40)


@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_that_heed_nothing_are_ended(number, make):
    pool = others(make, "bad", "ignore-signals", workers=2, graceful_timeout=1, abort_timeout="500ms").up()
    pids = pool.serving()
    pool.stop(number)
    assert not any(alive(pid) for pid in pids)


@needs_root
def test_idle_pool_of_others_stops_at_once(make):
    """It is seen that they have nothing to do."""
    pool = others(make, workers=4).up()
    pool.stop(timeout=5)
    assert "cut" not in pool.log() and "graceful_timeout" not in pool.log()
