"""SIGHUP: settings of reload class LIVE take effect at once, others are named, broken files change nothing."""

import json
import re
import signal

from kit import build
from kit.load import assert_all_right
from kit.processes import children


def hup(pool):
    """Sends HUP; returns what the log says of it."""
    before = len(pool.log())
    pool.send_signal(signal.SIGHUP)

    def end(status):
        return re.search(r"reload: (done|the control file is not valid)", pool.log()[before:])
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
    status = pool.wait_status(lambda status: status["counters"]["cut"] == 1, timeout=10, what="the cut")
    assert len(before) == 2 and len(status["workers"]) <= 2
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


def test_what_needs_more_is_named_and_stays(make_pool):
    pool = make_pool(workers=2, env={"COLOUR": "red"}).up()
    before = pool.serving()
    pool.write(workers=3, env={"COLOUR": "blue"}, umask="0077", listen=f"unix:{pool.directory}/other.sock", user="root")
    said = hup(pool)
    for name in ("env", "umask", "listen", "user"):
        assert re.search(rf"warning reload: {name} has changed, .*stays as it was", said), said
    assert "workers.min is in effect" in said
    status = pool.wait_ready(3)
    assert status["listen"] == f"unix:{pool.directory}/app.sock"
    assert set(before) < set(pool.serving()), "nobody was restarted"


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
    assert "0 settings changed" in hup(pool)
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
