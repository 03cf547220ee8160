"""Reload: a new generation of workers, or, where something is broken, everything as it was. Settings of reload class LIVE
take effect at once; what a reload cannot change is named."""

import json
import os
import pwd
import re
import signal
import stat
from pathlib import Path

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.processes import children


def hup(pool):
    """Sends HUP; returns what the log says of it."""
    before = len(pool.log())
    pool.send_signal(signal.SIGHUP)

    def end(status):
        return re.search(r"reload: (done|.*everything stays as it was|.*given up)", pool.log()[before:])
    pool.wait_status(end, what="the end of the reload")
    return pool.log()[before:]


def test_number_of_workers(make_pool, make_load):
    pool = make_pool(workers=2).up()
    load = make_load(pool.address, clients=4)
    for number in (5, 1, 3):
        pool.write(workers=number)
        assert f"{number} workers are wanted" in hup(pool)
        pool.wait_status(lambda status: status["min"] == status["floor"] == number
                         and len(status["workers"]) == len(children(pool.pid)) == number)
        load.wait_ok(10)
    assert_all_right(load.stop(), 30)


def test_number_set_by_hand_survives(make_pool):
    """Unless the file has changed it."""
    pool = make_pool(workers=2).up()
    assert pool.command("scale", "4").returncode == 0
    pool.write(failures=9)
    assert "failures is in effect" in hup(pool)
    assert pool.status()["floor"] == 4
    pool.write(workers=3)
    hup(pool)
    assert pool.status()["floor"] == 3


def test_graceful_timeout(make_pool, make_load):
    """For a retirement that is under way, too."""
    pool = make_pool(workers=2, graceful_timeout=600, timeout=600).up()
    load = make_load(pool.address, clients=2, requests=2, mix="GET:5?delay=60000")
    load.wait_in_hand(pool, 2)
    before = pool.serving()
    pool.send_signal(signal.SIGTTOU)
    pool.wait_status(lambda status: any(worker["state"] == "retiring" for worker in status["workers"]))
    pool.write(graceful_timeout="100ms")
    assert "graceful_timeout is in effect" in hup(pool)
    pool.wait_status(lambda status: not {each["pid"] for each in status["workers"]} & set(before), timeout=10, what="the cut")
    load.kill()


def test_log_level(make_pool):
    pool = make_pool(log={"level": "error"}).up()
    pool.write(log={"level": "info"})
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("reload: done")
    pool.write(log={"level": "error"})
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: True)
    size = len(pool.log())
    pool.send_signal(signal.SIGTTIN)
    pool.wait_ready(3)
    assert "TTIN" not in pool.log()[size:]


OWNER = {"listen_owner": "nobody", "listen_group": "7"} if os.geteuid() == 0 else {}


def test_mode_owner_and_backlog(make_pool, make_load):
    """Of the same socket: who is connected, or waits, does not notice. They come back with a generation that fails."""
    pool = make_pool(workers=2, listen_mode="0600", backlog=500, start_timeout=1).up()
    load = make_load(pool.address, clients=4)
    before = Path(pool.socket_path).stat()
    pool.write(listen_mode="0666", backlog=33, **OWNER)
    assert pool.command("reload").returncode == 0
    after = Path(pool.socket_path).stat()
    assert after.st_ino == before.st_ino and stat.S_IMODE(after.st_mode) == 0o666
    assert pool.status()["queue"]["limit"] == 33
    if OWNER:
        assert (after.st_uid, after.st_gid) == (pwd.getpwnam("nobody").pw_uid, 7)
    pool.write(listen_mode="0600", backlog=500, **dict.fromkeys(OWNER), command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    assert Path(pool.socket_path).stat()[:6] == after[:6] and pool.status()["queue"]["limit"] == 33
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert Path(pool.socket_path).stat()[:6] == before[:6] and pool.status()["queue"]["limit"] == 500
    assert_all_right(load.stop(), 30)


def test_a_socket_that_was_replaced_is_left_alone(make_pool):
    """Its path leads to a file of somebody else, and the reload is refused."""
    pool = make_pool(workers=1, listen_mode="0600", backlog=500).up()
    Path(pool.socket_path).unlink()
    Path(pool.socket_path).touch(mode=0o640)
    pool.write(listen_mode="0666", backlog=33)
    failed = pool.command("reload")
    assert failed.returncode == 70 and "not the socket of this pool any more" in failed.stderr, failed.stderr
    assert stat.S_IMODE(Path(pool.socket_path).stat().st_mode) == 0o640
    status = pool.status()
    assert status["queue"]["limit"] == 500 and generations(status) == {1}


def test_what_needs_a_restart_is_named_and_stays(make_pool):
    pool = make_pool(workers=2).up()
    pool.write(workers=3, name="other", user="root")
    said = hup(pool)
    for name in ("name", "user"):
        assert re.search(rf"warning reload: {name} has changed, .*stays as it was", said), said
    assert "workers.min is in effect" in said
    assert pool.wait_ready(3)["name"] == "pool"


# ---- a new generation ----

# Long enough on the way for somebody to look.
SLOW = ["/bin/sh", "-c", 'sleep 0.5; exec "$0"', build.worker("echo_fcgx")]


def generations(status):
    return {each["generation"] for each in status["workers"] if each["state"] == "serving"}


@pytest.mark.parametrize("kind", kinds.some(kinds.PRELOAD + ["go", "static"]))
def test_workers_are_renewed(kind, make_pool, make_load):
    """From the file as it is now, new before old, and nothing is lost."""
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=4).up()
    load = make_load(pool.address, clients=6, script=script, mix="GET:10,POST:10000,GET:10?delay=50")
    for turn in range(build.count(3, 20)):
        before = pool.serving()
        pool.write(env={"TURN": str(turn)})
        done = pool.command("reload")
        assert done.returncode == 0, done.stderr
        status = pool.status()
        assert generations(status) == {turn + 2} == {status["generation"]}
        assert status["reload"] == {"state": "done", "replaced": 4, "reason": None}
        assert len(pool.serving(status)) == 4 and not set(before) & set(pool.serving(status))
        pid = pool.serving(status)[0]
        assert f"TURN={turn}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert_all_right(load.stop(), 30)
    assert pool.status()["counters"]["crashed"] == 0


BROKEN = {"exits at once": (["/bin/false"], "exited with code 1"),
          "never accepts": (["/bin/sleep", "1000"], "start_timeout"),
          "is no program": (["/etc/passwd"], "command: /etc/passwd is not an executable file")}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_command_that_is_broken_changes_nothing(broken, make_pool, make_load):
    pool = make_pool(workers=3, start_timeout=1, max_starting=9).up()
    load = make_load(pool.address, clients=4)
    before = sorted(pool.serving())
    command, complaint = BROKEN[broken]
    pool.write(command=command, max_starting=7)
    failed = pool.command("reload")
    assert failed.returncode in (70, 78) and re.search(complaint, failed.stderr), failed.stderr
    status = pool.status()
    assert sorted(pool.serving(status)) == before and status["state"] == "running"
    assert status["reload"]["state"] == "failed" and status["reload"]["reason"] in failed.stderr
    assert_all_right(load.stop(), 1)
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert not set(before) & set(pool.serving())


def test_limits_are_taken_back_with_the_generation(make_pool):
    pool = make_pool(workers=2, start_timeout=1).up()
    pool.write(workers=4, command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    status = pool.wait_status(lambda status: len(status["workers"]) == 2, what="as many as before")
    assert (status["min"], status["floor"]) == (2, 2) and generations(status) == {1}


def test_a_number_set_by_hand_comes_back(make_pool):
    pool = make_pool(workers=2, start_timeout=1).up()
    assert pool.command("scale", "5").returncode == 0
    pool.write(workers=4, command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    status = pool.wait_status(lambda status: len(status["workers"]) == 5, what="as many as before")
    assert (status["min"], status["floor"]) == (2, 5)


def test_the_number_of_each_generation_comes_back(make_pool):
    """Of the second when the third fails, and of the first when the second does."""
    pool = make_pool(workers=2, failures=2, backoff={"initial": "10ms", "max": "50ms"}).up()
    flag = pool.directory / "broken"
    pool.write(workers=4, max_recycling=1,
               command=["/bin/sh", "-c", f'test -e {flag} && exit 3; sleep 0.5; exec "$0"', build.worker("echo_fcgx")])
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "replacing", what="the others")
    pool.write(workers=6, command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    status = pool.status()
    assert (status["generation"], status["floor"]) == (2, 4)
    flag.touch()
    status = pool.wait_status(lambda status: status["generation"] == 1 and status["min"] == 2, what="the first generation")
    assert status["floor"] == 2 and generations(pool.wait_ready(2)) == {1}


def test_a_number_by_hand_above_a_lower_maximum_comes_back(make_pool):
    pool = make_pool(workers={"min": 1, "max": 9}).up()
    assert pool.command("scale", "7").returncode == 0
    pool.write(workers={"min": 1, "max": 3}, command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    pool.wait_status(lambda status: (status["floor"], status["max"]) == (7, 9), what="the number set by hand")


def test_a_pool_full_of_hung_starts_is_mended(make_pool):
    pool = make_pool(command=["/bin/sleep", "1000"], workers=3, max_starting=1, start_timeout=0).start()
    pool.wait_status(lambda status: len(status["workers"]) == 1, what="a start that hangs")
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert generations(pool.wait_ready(3)) == {2}


def test_an_unrelated_reload_leaves_the_socket_alone(make_pool):
    """Somebody else may have changed its mode, or taken its path away."""
    pool = make_pool(workers=1).up()
    path = Path(pool.socket_path)
    path.chmod(0o640)
    pool.write(env={"TURN": "1"})
    assert pool.command("reload").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.unlink()
    pool.write(env={"TURN": "2"})
    assert pool.command("reload").returncode == 0


def test_files_that_cannot_be_opened_change_nothing(make_pool):
    pool = make_pool(workers=1, slowlog={"threshold": 1}).up()
    for changes in ({"slowlog": {"threshold": 1, "file": "/nowhere/slow"}},
                    {"slowlog": None, "worker_output": "file", "worker_output_file": "/nowhere/out"}):
        pool.write(**changes)
        failed = pool.command("reload")
        assert failed.returncode == 70 and "/nowhere" in failed.stderr, failed
        assert generations(pool.status()) == {1}


@pytest.mark.parametrize("listen", ["unix", "127.0.0.1:0"])
def test_a_stop_during_a_trial_refuses_at_once(listen, make_pool, make_load):
    """And goes on doing so, while a request is in hand."""
    where = {} if listen == "unix" else {"listen": listen, "allowed_clients": ["127.0.0.1"]}
    pool = make_pool(workers=1, **where).up()
    address = pool.status()["listen"]
    load = make_load(address, clients=1, requests=1, mix="GET:5?delay=1500")
    load.wait_in_hand(pool, 1)
    pool.write(command=["/bin/sleep", "1000"], start_timeout=600, listen_mode="0600",
               **({} if listen == "unix" else {"allowed_clients": ["127.0.0.0/8"]}))
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["reload"]["state"] == "failed", what="the end of the trial")
    pool.status()
    with pytest.raises(fastcgi.Refused):
        fastcgi.connect(address, timeout=1)
    assert load.wait().ok == 1
    assert pool.wait_exit() == 0
    assert "error" not in pool.log()


def test_a_reload_that_ends_the_one_before(make_pool):
    """By fewer workers, and by less patience with the first of them."""
    pool = make_pool(workers=4, start_timeout=600).up()
    pool.write(command=SLOW)
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "replacing", what="some of them")
    pool.write(workers=2, command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert generations(pool.status()) == {3}
    pool.write(command=["/bin/sleep", "1000"])
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"]["state"] == "trying" and any(
        each["state"] == "starting" and each["age_ms"] > 2000 for each in status["workers"]), what="a trial of 2 seconds")
    pool.write(command=[build.worker("echo_fcgx")], start_timeout=2)
    assert pool.command("reload").returncode == 0
    status = pool.status()
    assert generations(status) == {5} and status["reload"]["state"] == "done"


def test_another_reload_takes_the_place_of_one_under_way(make_pool):
    pool = make_pool(workers=2).up()
    pool.write(command=["/bin/sleep", "1000"], start_timeout=600)
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert generations(pool.status()) == {3}


def test_a_broken_file_leaves_the_reload_under_way_alone(make_pool):
    pool = make_pool(workers=2).up()
    pool.write(command=["/bin/sleep", "1000"], start_timeout=600)
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")
    pool.write(workers="many")
    failed = pool.command("reload")
    assert failed.returncode == 78 and "workers" in failed.stderr, failed.stderr
    status = pool.status()
    assert status["reload"]["state"] == "trying" and status["min"] == 2


def test_back_over_several_generations(make_pool):
    """To the last one that worked, and not to one whose control file is forgotten."""
    pool = make_pool(workers=2, start_timeout=1).up()
    for turn in range(3):
        pool.write(env={"TURN": str(turn)})
        assert pool.command("reload").returncode == 0
    for _ in range(2):
        pool.write(command=["/bin/false"])
        assert pool.command("reload").returncode == 70
    assert generations(pool.status()) == {4}
    assert pool.command("scale", "3").returncode == 0
    pids = pool.serving(pool.wait_ready(3))
    assert all(b"TURN=2" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in pids)


def test_the_reason_is_the_new_workers(make_pool, make_load):
    """What others write meanwhile is not part of it."""
    pool = make_pool(command=[build.worker("bad"), "stderr-each", "1"], workers=2).up()
    load = make_load(pool.address, clients=2)
    pool.write(command=kinds.complaining(code=3))
    failed = pool.command("reload")
    assert failed.returncode == 70
    assert kinds.COMPLAINT in failed.stderr and "eeee" not in failed.stderr, failed.stderr
    assert_all_right(load.stop(), 1)


def test_a_pause_gives_up_the_trial(make_pool):
    pool = make_pool(workers=2, env={"TURN": "1"}).up()
    pool.write(command=["/bin/sleep", "1000"], start_timeout=600, workers=3)
    with pool.background("reload") as reload:
        pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")
        assert pool.command("pause").returncode == 0
        _, said = reload.communicate(timeout=20)
        assert reload.returncode == 70 and "paused" in said, said
    assert pool.command("resume").returncode == 0
    status = pool.wait_ready(2)
    assert generations(status) == {1} and status["min"] == 2 and status["reload"]["state"] == "failed"


def test_a_pause_while_the_others_follow(make_pool):
    """They follow when it has ended."""
    pool = make_pool(workers=4).up()
    pool.write(command=SLOW)
    with pool.background("reload") as reload:
        pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "replacing", what="the others")
        assert pool.command("pause").returncode == 0
        _, said = reload.communicate(timeout=20)
        assert reload.returncode == 70 and "paused" in said, said
    assert pool.command("resume").returncode == 0
    status = pool.wait_ready(4)
    assert generations(status) == {2}
    pool.wait_status(lambda status: status["reload"]["state"] == "done", what="the end of the reload")


def test_a_stop_ends_it(make_pool):
    pool = make_pool(workers=2).up()
    pool.write(command=["/bin/sleep", "1000"], start_timeout=600)
    with pool.background("reload") as reload:
        pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")
        pool.stop()
        _, said = reload.communicate(timeout=20)
        assert reload.returncode == 70 and "stop" in said, said


def test_a_paused_pool_whose_new_workers_fail(make_pool):
    """It runs again, with the workers it had."""
    pool = make_pool(workers=2, failures=2, backoff={"initial": "10ms"}).up()
    assert pool.command("pause").returncode == 0
    pool.write(command=["/bin/false"])
    failed = pool.command("reload")
    assert failed.returncode == 70 and "exited with code 1" in failed.stderr, failed.stderr
    assert generations(pool.wait_ready(2)) == {1}
    assert pool.request().status == 200


def test_a_pool_that_fails_is_mended(make_pool):
    pool = make_pool(command=["/bin/false"], failures=2, backoff={"initial": "10ms"}).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="failing")
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert pool.request().status == 200


def test_nobody_runs(make_pool):
    """Then one is tried all the same."""
    pool = make_pool(workers={"min": 0, "max": 2}).start()
    pool.wait_status(lambda status: status["state"] == "running", what="running")
    pool.write(command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    assert pool.request().status == 200


def test_name_stays_in_the_log(make_pool):
    pool = make_pool(name="one", log={"format": "json"}).up()
    pool.write(name="two")
    said = hup(pool)
    assert "name has changed" in said
    assert {json.loads(line)["pool"] for line in pool.log().splitlines()} == {"one"}


def test_pause_ends_with_the_new_number(make_pool):
    """And not by a file that is broken."""
    pool = make_pool(workers=6).up()
    assert pool.command("pause").returncode == 0
    good = pool.file.read_text()
    pool.file.write_text("{")
    hup(pool)
    assert pool.status()["state"] == "paused"
    pool.file.write_text(good)
    pool.write(workers=2)
    hup(pool)
    pool.wait_ready(2)
    assert pool.status()["counters"]["spawned"] == 8


def test_overrides_stay(make_pool):
    pool = make_pool(arguments=["--set", "workers=3"], workers=2).up()
    pool.write(workers=5)
    assert "0 settings have changed" in hup(pool)
    assert pool.status()["floor"] == 3


def test_broken_files_change_nothing(make_pool, make_load):
    """Each fault is named with its place; the pool is untouched."""
    pool = make_pool(workers=2).up()
    load = make_load(pool.address, clients=4)
    before = sorted(pool.serving())
    good = json.loads(pool.file.read_text())
    broken = {"": "is empty", "[]": "found an array", '{"listen": "unix:a"': "cut off",
              json.dumps({**good, "timout": 7}): r":1:\d+: timout: unknown setting; did you mean `timeout`",
              json.dumps({**good, "workers": 9999}): "out of range",
              json.dumps({**good, "listen_owner": "no-such-user"}): 'no user "no-such-user" in /etc/passwd',
              json.dumps({**good, "listen_group": "no-such-group"}): 'no group "no-such-group" in /etc/group',
              json.dumps({**good, "command": ["/nowhere/app"]}): "/nowhere/app does not exist"}
    for text, complaint in broken.items():
        pool.file.write_text(text)
        said = hup(pool)
        assert re.search(complaint, said) and str(pool.file) in said, said
        assert "everything stays as it was" in said
    pool.file.unlink()
    assert "No such file" in hup(pool)
    status = pool.status()
    assert sorted(pool.serving(status)) == before and status["state"] == "running" and status["min"] == 2
    assert_all_right(load.stop(), 1)


def test_reload_is_ignored_in_a_stop(make_pool, make_load):
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=1, requests=1, mix="GET:5?delay=500")
    load.wait_in_hand(pool, 1)
    pool.send_signal(signal.SIGTERM)
    pool.wait_log("is stopping")
    pool.write(workers=4)
    for _ in range(build.count(20, 200)):
        if pool.running():
            pool.send_signal(signal.SIGHUP)
    assert pool.wait_exit() == 0
    assert "SIGHUP" in pool.log() and "reload: " not in pool.log()
    pool.wait_gone()
