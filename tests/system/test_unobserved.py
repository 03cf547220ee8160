"""Programs that no library can see into: the kernel way, said once, and beside others on the same listener."""

import os
import pwd
import re
import shutil

import pytest

from kit import build, kinds
from kit.kinds import only_one
from kit.load import assert_all_right
from kit.processes import command_line
from kit.watch import Watch

MIX = "GET:0*4,POST:1,POST:65536,GET:65536?slow=5,GET:10?delay=5,POST:500000"


@pytest.mark.parametrize("kind", kinds.UNOBSERVED)
def test_status_and_log_say_so(kind, make_pool, make_load):
    command, script = kinds.command(kind)
    pool = make_pool(command=command, workers=4).up()
    assert_all_right(make_load(pool.address, requests=100, script=script).wait(), 100)
    for each in pool.status()["workers"]:
        assert each["observe"] == "kernel" and each["requests"] is each["current"] is each["connections"] is None
    for operand in ("8", "2", "6"):
        assert pool.command("scale", operand).returncode == 0
    lines = [line for line in pool.log().splitlines() if re.search(r"kernel way|libfcgipool_preload|observe", line)]
    assert len(lines) == 1, lines
    assert "kernel" in pool.command("status").stdout


def test_program_that_changes_its_user(directory, make_pool, make_load):
    """The loader gives it no library of ours."""
    if os.geteuid() != 0:
        pytest.skip("only root may give a program away")
    program = shutil.copy(build.worker("echo_fcgx"), directory)
    nobody = pwd.getpwnam("nobody")
    os.chown(program, nobody.pw_uid, nobody.pw_gid)
    os.chmod(program, 0o4755)
    pool = make_pool(command=[program]).up()
    assert {each["observe"] for each in pool.status()["workers"]} == {"kernel"}
    assert_all_right(make_load(pool.address, requests=100).wait(), 100)
    assert pool.command("scale", "1").returncode == 0
    pool.stop()


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", kinds.UNOBSERVED)
def test_drains_lose_nothing(kind, listen, make_pool, make_load, record_property):
    changes = build.count(10, 100)
    command, script = kinds.command(kind)
    where = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    pool = make_pool(command=command, workers=4, **where).up()
    load = make_load(pool.status()["listen"], clients=8, script=script, mix=MIX)
    for _ in range(changes):
        load.wait_ok(15)
        assert pool.command("scale", "-1").returncode == 0
        assert pool.command("scale", "+1").returncode == 0
    result = load.stop()
    assert_all_right(result, 15 * changes)
    record_property("drains", changes)
    record_property("requests answered right", result.ok)
    counters = pool.status()["counters"]
    assert counters["cut"] == counters["crashed"] == 0, counters
    pool.stop()


@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("kind", ["fcgx", "threads", "perl", "php", "php_children", "plain"])
def test_beside_a_worker_that_does_not_block(kind, listen, directory, make_pool, make_load, record_property):
    """Go makes the listener that all share not block: nobody exits for it, and nothing is lost."""
    go, _ = kinds.command("go")
    command, script = kinds.command(kind)
    where = {"listen": "127.0.0.1:0"} if listen == "tcp" else {}
    pool = make_pool(command=only_one(directory / "lock", go, command), workers=4, **where).up()
    pool.wait_status(lambda status: any(command_line(each["pid"]).endswith("echo_go") for each in status["workers"]))
    before = set(pool.serving())

    def check(status):
        assert set(pool.serving(status)) == before, "somebody has left"
        ways = sorted(each["observe"] for each in status["workers"])
        assert ways == ["kernel", "preload", "preload", "preload"], ways
    load = make_load(pool.status()["listen"], clients=8, script=script, mix=MIX)
    with Watch(pool, check, pause=0.02):
        load.wait_ok(build.count(300, 20000), timeout=600)
        result = load.stop()
    assert_all_right(result, 300)
    record_property("requests answered right", result.ok)
    counters = pool.status()["counters"]
    assert counters["left"] == counters["crashed"] == counters["start_failed"] == 0, counters
    pool.stop()


def test_drains_of_a_mixed_pool(directory, make_pool, make_load, record_property):
    """Both ways in one pool, a Go worker among them that comes and goes. It accepts as many connections as come,
    so it is without one only where the others have places left."""
    changes = build.count(10, 100)
    pool = make_pool(command=only_one(directory / "lock", kinds.command("go")[0], kinds.command("fcgx")[0]),
                     workers=4).up()
    load = make_load(pool.address, clients=2, mix=MIX)
    for _ in range(changes):
        load.wait_ok(15)
        assert pool.command("scale", "-2").returncode == 0
        assert pool.command("scale", "+2").returncode == 0
    result = load.stop()
    assert_all_right(result, 15 * changes)
    record_property("drains", 2 * changes)
    record_property("requests answered right", result.ok)
    counters = pool.status()["counters"]
    assert counters["cut"] == counters["crashed"] == counters["left"] == 0, counters
    pool.stop()
