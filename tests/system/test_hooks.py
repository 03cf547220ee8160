"""Hooks: programs that are told what happens in the pool. They are seen with what is documented of them, and whatever
they do, nobody waits for them but the very end, and that not for long."""

import json
import os
import re
import select
import shutil
import signal

import pytest

from kit import build, fastcgi
from kit.idle import settle
from kit.load import assert_all_right
from kit.nginx import free_port
from kit.processes import MARK, children, command_line, descriptors
from kit.wait import wait_until

WORKER_HOOKS = ["worker_spawned", "worker_ready", "worker_aborted", "worker_exited"]
HOOKS = ["on_starting", "when_ready", "on_reload", "workers_changed", "on_exit", *WORKER_HOOKS]


def shell(script):
    return ["/bin/sh", "-c", script]


HANG = shell("sleep 1000 & wait")


class Records:
    """What hooks leave: a file for each run, with its environment, there at once and in whole."""

    def __init__(self, directory):
        self.directory = directory / "records"
        self.directory.mkdir(mode=0o777)

    def hook(self, before=":"):
        """A hook that runs more commands before it leaves its record."""
        return shell(f"{before}\ncd {self.directory} && env -0 > new$$ && mv new$$ $FCGIPOOL_HOOK.$$")

    def all(self, name="*"):
        """The environments, the oldest first."""
        found = sorted(self.directory.glob(f"{name}.*"), key=lambda path: path.stat().st_mtime_ns)
        return [dict(line.split("=", 1) for line in path.read_text().split("\0") if line) for path in found]

    def wait(self, name, number=1):
        def there():
            found = self.all(name)
            assert len(found) >= number, [each["FCGIPOOL_HOOK"] for each in self.all()]
            return found
        return wait_until(there, 20, f"{number} runs of {name}")


@pytest.fixture
def records(directory):
    return Records(directory)


def told(record):
    """What it is told beside the pool."""
    names = {"SLOT", "INCARNATION", "PID", "GENERATION", "REASON", "EXIT", "WORKERS", "WORKERS_BEFORE", "SUCCESSOR"}
    return {name: record[f"FCGIPOOL_{name}"] for name in names if f"FCGIPOOL_{name}" in record}


def runs_of(pool, words):
    """The processes of the master that run a command with these words."""
    return [pid for pid in children(pool.pid) if words in command_line(pid)]


def wait_runs(pool, words, number):
    def there():
        runs = runs_of(pool, words)
        assert len(runs) == number, f"{len(runs)} run"
        return runs or True
    return wait_until(there, 20, f"{number} of {words}")


def hurry(pool, on_exit=None):
    """Stops a pool whose hooks hang: each further signal ends what is waited for, in the end this on_exit."""
    pool.send_signal(signal.SIGTERM)
    pool.wait_log("pool pool is stopped")
    if on_exit:
        assert not runs_of(pool, on_exit)
        pool.send_signal(signal.SIGTERM)
        wait_runs(pool, on_exit, 1)
    assert pool.alive()
    pool.send_signal(signal.SIGTERM)
    assert pool.wait_exit() == 0
    pool.wait_gone()


# ---- what they are told ----

def test_each_with_its_environment(make_pool, records):
    pool = make_pool(workers=2, hooks={name: records.hook() for name in HOOKS}).up()
    worker = pool.status()["workers"][0]
    os.kill(worker["pid"], signal.SIGKILL)
    pool.wait_status(lambda status: status["counters"]["crashed"] == 1)
    pool.wait_ready(2)
    assert pool.command("reload").returncode == 0
    status = pool.status()
    exited = records.wait("worker_exited", 3)
    pool.stop()
    for record in records.all():
        assert (record["FCGIPOOL_POOL"], record["FCGIPOOL_FILE"]) == (status["name"], str(pool.file))
        assert record["FCGIPOOL_MASTER_PID"] == str(pool.pid)

    crash, *retired = [told(record) for record in exited]
    identity = {"SLOT": "0", "INCARNATION": str(worker["incarnation"]), "PID": str(worker["pid"]), "GENERATION": "1"}
    assert crash == {**identity, "REASON": "", "EXIT": "signal 9"}
    assert {each["REASON"] for each in retired[:2]} == {"its generation is over"}
    assert {each["EXIT"] for each in retired} == {"exit 0"}

    spawned = [told(record) for record in records.all("worker_spawned")]
    assert {**identity, "REASON": "pool starts"} in spawned
    assert [each["REASON"] for each in spawned].count("replaces a worker that exited") == 1
    assert identity in [told(record) for record in records.all("worker_ready")]
    ready = {each["PID"] for each in map(told, records.all("worker_ready"))}
    assert ready == {each["PID"] for each in spawned} == {each["FCGIPOOL_PID"] for each in records.all("worker_exited")}
    assert sorted(each["GENERATION"] for each in spawned) == ["1", "1", "1", "2", "2"]

    for name, generation in (("on_starting", "1"), ("when_ready", "1"), ("on_reload", "2"), ("on_exit", "2")):
        assert [told(record) for record in records.all(name)] == [{"GENERATION": generation}]
    assert told(records.all("workers_changed")[-1])["WORKERS"] == "0"


def test_a_worker_that_is_aborted(make_pool, make_load, records):
    pool = make_pool(workers=1, timeout=1, graceful_timeout=1,
                     hooks={name: records.hook() for name in ("worker_aborted", "worker_exited")}).up()
    worker = pool.status()["workers"][0]
    load = make_load(pool.address, clients=1, requests=1, mix="GET:5?delay=60000")
    aborted, exited = told(records.wait("worker_aborted")[0]), told(records.wait("worker_exited")[0])
    assert aborted == {"SLOT": "0", "INCARNATION": str(worker["incarnation"]), "PID": str(worker["pid"]),
                       "GENERATION": "1", "REASON": "a request took longer than timeout"}
    assert exited == {**aborted, "EXIT": f"signal {int(signal.SIGABRT)}"}
    load.kill()


def test_they_are_what_the_master_is(directory, make_pool, records):
    """With its environment, whatever the workers have; with nothing of ours in it but what is documented."""
    program = shutil.copy(build.worker("echo_fcgx"), directory / "worker")
    pool = make_pool(command=[str(program)], workers=1, env={"OF_WORKERS": "1"}, clear_env=True, umask="0027",
                     chdir=str(directory), environment={"OF_MASTER": "1", "FCGIPOOL_SLOT": "77"},
                     hooks={"when_ready": records.hook('export FOUND="$(id -u) $(umask) $PWD"')})
    if os.geteuid() == 0:
        pool.write(user="nobody")
    pool.up()
    record = records.wait("when_ready")[0]
    assert record["FOUND"] == f"{os.geteuid()} 0027 {directory}"
    ours = {name for name in record if name.startswith("FCGIPOOL_")} - {MARK}
    assert ours == {f"FCGIPOOL_{name}" for name in ("HOOK", "POOL", "FILE", "MASTER_PID", "GENERATION")}
    # The shell has variables of its own.
    others = ours | {"FOUND", "FCGIPOOL_SLOT", "PWD", "OLDPWD", "SHLVL", "_"}
    assert {name: value for name, value in record.items() if name not in others} == \
        {name: value for name, value in pool.environment.items() if name not in others}


def test_they_have_no_descriptors_of_the_master(make_pool):
    """Nor its session; and what they write is in the log."""
    pool = make_pool(workers=2, hooks={"when_ready": ["ls", "-l", "/proc/self/fd"],
                                       "worker_ready": shell("echo $(cut -d' ' -f5,6 /proc/self/stat) $$")}).up()
    pool.wait_log(r"output hook when_ready pid \d+: .* 3 -> ")
    held = dict(re.findall(r"output hook when_ready pid \d+: .* (\d+) -> (\S+)", pool.log()))
    assert held.pop("0") == "/dev/null" and held.pop("1") == held.pop("2") and held.pop("3").endswith("/fd")
    assert not held
    found = pool.wait_log(r"output hook worker_ready pid (\d+): (\d+) (\d+) (\d+)$")
    assert len(set(found.groups())) == 1


def test_output_in_a_log_of_objects(make_pool):
    pool = make_pool(workers=1, log={"format": "json"}, worker_output="inherit",
                     hooks={"when_ready": shell("echo well; echo '\"ill\"' >&2")}).up()
    pool.wait_log("ill")
    lines = [json.loads(line) for line in pool.log().splitlines() if '"hook"' in line]
    assert [(line["level"], line["hook"], line["message"]) for line in lines] == \
        [("output", "when_ready", "well"), ("output", "when_ready", '"ill"')]
    assert lines[0]["pid"] > 0 and "worker" not in lines[0]


def test_starting_comes_before_the_first_worker_and_ready_once(make_pool):
    pool = make_pool(workers=1, log={"level": "debug"}, hooks={name: ["true"] for name in ("on_starting", "when_ready")}).up()
    assert pool.command("pause").returncode == 0 and pool.command("resume").returncode == 0
    assert re.search(r"hook on_starting pid \d+ started(.|\n)*worker 0 pid \d+ started", pool.log())
    pool.wait_log(r"hook when_ready pid \d+ is done")
    assert len(re.findall(r"hook when_ready pid \d+ started", pool.log())) == 1


def test_the_number_of_workers(directory, make_pool):
    """One run at a time; what has changed meanwhile is told by the next one, the last state always."""
    gate, told_file = directory / "gate", directory / "told"
    gate.touch()
    script = f"""echo $FCGIPOOL_WORKERS_BEFORE $FCGIPOOL_WORKERS >> {told_file}
                 while [ -e {gate} ]; do sleep 0.01; done"""
    pool = make_pool(workers=1, hooks={"workers_changed": shell(script), "timeout": 600}).up()

    def lines():
        return told_file.read_text().splitlines() if told_file.exists() else []
    wait_until(lambda: lines() == ["0 1"])
    for number in ("5", "2", "4"):
        assert pool.command("scale", number).returncode == 0
    settle(pool)  # nothing else wakes it when the run ends
    assert lines() == ["0 1"] and len(runs_of(pool, str(told_file))) == 1
    gate.unlink()
    wait_until(lambda: lines() == ["0 1", "1 4"], what="the number")
    pool.stop()
    numbers = [line.split() for line in lines()]
    assert numbers[-1][1] == "0"
    assert [before for before, _ in numbers[1:]] == [now for _, now in numbers[:-1]]


def test_an_upgrade(make_pool, records):
    """Each of the two masters runs its own, and the former one says who takes its place."""
    names = ["on_starting", "pre_exec", "when_ready", "worker_exited", "on_exit"]
    pool = make_pool(workers=2, hooks={name: records.hook() for name in names}).up()
    former = str(pool.pid)
    records.wait("when_ready")
    done = pool.command("upgrade")
    assert done.returncode == 0, done.stderr
    new = str(pool.follow().pid)
    records.wait("when_ready", 2)
    masters = {name: [each["FCGIPOOL_MASTER_PID"] for each in records.all(name)] for name in names}
    assert masters == {"on_starting": [former, new], "pre_exec": [former], "when_ready": [former, new],
                       "worker_exited": [former, former], "on_exit": [former]}
    assert told(records.all("pre_exec")[0]) == {"GENERATION": "1"}
    assert told(records.all("on_exit")[0]) == {"GENERATION": "1", "SUCCESSOR": new}
    pool.stop()
    assert told(records.wait("on_exit", 2)[1]) == {"GENERATION": "2"}


# ---- that are no good ----

def test_those_that_fail_are_logged(make_pool, make_load):
    hooks = {name: shell("echo complaint >&2; exit 3") for name in HOOKS if name != "on_exit"}
    pool = make_pool(workers=2, hooks={**hooks, "on_exit": shell("kill -9 $$")}).up()
    load = make_load(pool.address, clients=4)
    assert pool.command("reload").returncode == 0
    assert pool.command("scale", "3").returncode == 0
    load.wait_ok(100)
    assert_all_right(load.stop(), 100)
    pool.stop()
    for name in set(HOOKS) - {"worker_aborted", "on_exit"}:
        assert re.search(rf"warning hook {name} pid \d+ failed after .*: exit 3$", pool.log(), re.M), name
    assert re.search(r"warning hook on_exit pid \d+ failed after .*: signal 9$", pool.log(), re.M)


def test_those_that_hang_delay_nothing(make_pool, make_load):
    pool = make_pool(workers=2, hooks={**{name: HANG for name in HOOKS}, "on_exit": ["sleep", "2000"], "timeout": 600}).up()
    load = make_load(pool.address, clients=4)
    before = pool.serving()
    os.kill(before[0], signal.SIGKILL)
    pool.wait_status(lambda status: before[0] not in pool.serving(status) and len(pool.serving(status)) == 2)
    assert pool.command("scale", "3").returncode == 0
    assert pool.command("reload").returncode == 0
    assert not set(before) & set(pool.serving())
    load.wait_ok(100)
    load.stop()
    hurry(pool, "sleep 2000")


def test_the_limit(make_pool):
    """For what a hook has started, too; and what it leaves behind goes with it."""
    family = "sleep 1001 & (sleep 1002 & sleep 1003) & "
    pool = make_pool(workers=1, hooks={"when_ready": shell(f"{family} sleep 1004"), "on_starting": shell(f"{family} exit 0"),
                                       "timeout": 1}).up()
    pool.wait_log(r"hook when_ready pid \d+ is killed after [12]\.\d+ s: hooks.timeout has passed")

    def gone():
        left = [pid for pid in pool.tree.living(pool.pid) if re.search("sleep 100[1-4]", command_line(pid))]
        assert not left, left
        return True
    wait_until(gone, 10, "their end")
    assert "hook on_starting" not in pool.log() and pool.request().status == 200


def test_a_program_that_has_gone(directory, make_pool):
    program = directory / "hook"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    pool = make_pool(workers=1, hooks={"worker_exited": [str(program)]}).up()
    program.unlink()
    os.kill(pool.serving()[0], signal.SIGKILL)
    pool.wait_log("hook worker_exited could not be started: finding the program: No such file")
    pool.wait_ready(1)


def test_a_storm_is_bounded(make_pool):
    """Eight run, 256 wait, the rest is left out; the pool goes on."""
    pool = make_pool(workers=20, backoff={"initial": "1ms", "max": "1ms"}, failures=1000, max_starting=20,
                     hooks={"worker_exited": HANG, "timeout": 600}).up()
    crashes = 0
    while crashes < 300:
        for pid in pool.serving():
            os.kill(pid, signal.SIGKILL)
            crashes += 1
        pool.wait_status(lambda status: status["counters"]["crashed"] == crashes and len(pool.serving(status)) == 20,
                         timeout=60)
        assert len(runs_of(pool, "sleep 1000")) <= 8
    wait_runs(pool, "sleep 1000", 8)
    pool.wait_log("hook worker_exited is left out: 256 runs of it wait already; 1 were left out so far")
    assert len(re.findall("hook worker_exited is left out", pool.log())) <= 20
    assert pool.request().status == 200
    hurry(pool)
    assert "hook worker_exited: 256 runs that wait still are left out: the master leaves" in pool.log()


def test_those_that_wait_get_their_turn(make_pool, records):
    """Each is run once, and nothing is left of it in the master."""
    pool = make_pool(workers=20, hooks={"worker_spawned": records.hook(), "worker_exited": records.hook("sleep 0.2")}).up()
    records.wait("worker_spawned", 20)
    wait_runs(pool, "FCGIPOOL_HOOK", 0)
    before = descriptors(pool.pid)
    pids = set(map(str, pool.serving()))
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    exited = records.wait("worker_exited", 20)
    assert len(exited) == 20 and {each["FCGIPOOL_PID"] for each in exited} == pids
    pool.wait_ready(20)
    records.wait("worker_spawned", 40)
    wait_runs(pool, "FCGIPOOL_HOOK", 0)
    wait_until(lambda: len(descriptors(pool.pid)) == len(before), what="as many descriptors as before")


# ---- the end ----

def test_the_end_waits_for_them(make_pool, records):
    """on_exit is the last, when all others have ended."""
    pool = make_pool(workers=12, hooks={"worker_exited": records.hook("sleep 0.3"),
                                        "on_exit": records.hook(f"sleep 0.3; export FOUND=$(ls {records.directory} | wc -l)")}).up()
    pool.stop()
    assert records.all("on_exit")[0]["FOUND"] == "12"


def test_the_stop_command_waits_for_them(directory, make_pool):
    """One that comes late, too."""
    gate = directory / "gate"
    pool = make_pool(workers=1, hooks={"on_exit": shell(f"while [ ! -e {gate} ]; do sleep 0.01; done"), "timeout": 600}).up()
    with pool.background("stop") as first, pool.control(timeout=60) as second:
        pool.wait_log("pool pool is stopped")
        wait_runs(pool, str(gate), 1)
        second.send(b'{"v": 1, "command": "stop", "args": {}}\n')
        assert pool.status()["state"] == "stopped"
        assert first.poll() is None and not select.select([second.socket], [], [], 0)[0]
        gate.touch()
        assert first.wait(20) == 0 and "result" in second.line() and pool.wait_exit() == 0
    pool.wait_gone()


def test_who_connects_meanwhile_is_refused(make_pool):
    """At once, and does not hang with the hook."""
    address = f"127.0.0.1:{free_port()}"
    pool = make_pool(listen=address, workers=1, hooks={"on_exit": ["sleep", "2000"], "timeout": 600}).up()
    pool.send_signal(signal.SIGTERM)
    wait_runs(pool, "sleep 2000", 1)
    with pytest.raises(fastcgi.Refused, match="Connection refused"):
        fastcgi.connect(address)
    pool.send_signal(signal.SIGTERM)
    assert pool.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_does_not_wait_for_long(number, make_pool):
    pool = make_pool(workers=2, hooks={"worker_exited": HANG, "on_exit": HANG, "timeout": 1}).up()
    pool.stop(number)
    for name in ("worker_exited", "on_exit"):
        assert re.search(rf"hook {name} pid \d+ is killed after [12]\.\d+ s: hooks.timeout", pool.log()), name


def test_who_is_in_a_hurry_does_not_wait_at_all(make_pool):
    """A further signal ends what is waited for; on_exit is still run, and ended by the next one."""
    pool = make_pool(workers=1, hooks={"when_ready": HANG, "on_exit": ["sleep", "2000"], "timeout": 600}).up()
    wait_runs(pool, "sleep 1000", 1)
    hurry(pool, "sleep 2000")
    assert re.search(r"hook on_exit pid \d+ is killed after .*: the master leaves", pool.log())


# ---- reload ----

def test_a_reload_changes_them(make_pool, records):
    pool = make_pool(workers=1).up()
    pool.write(hooks={"on_reload": records.hook()})
    assert pool.command("reload").returncode == 0
    assert told(records.wait("on_reload")[0]) == {"GENERATION": "2"}
    assert "hooks.on_reload is in effect" in pool.log()
    pool.write(hooks={"worker_exited": records.hook(), "workers_changed": records.hook()})
    assert pool.command("reload").returncode == 0
    records.wait("worker_exited")
    assert len(records.all("on_reload")) == 1
    assert pool.command("scale", "2").returncode == 0
    number = told(records.wait("workers_changed")[-1])
    assert (number["WORKERS_BEFORE"], number["WORKERS"]) == ("1", "2")


def test_a_reload_takes_away_what_waits(directory, make_pool):
    gate = directory / "gate"
    script = shell(f"echo I have run; while [ ! -e {gate} ]; do sleep 0.01; done")
    pool = make_pool(workers=12, hooks={"worker_ready": script, "timeout": 600}).up()
    wait_runs(pool, str(gate), 8)
    pool.write(hooks=None)
    assert pool.command("reload").returncode == 0
    gate.touch()
    wait_runs(pool, str(gate), 0)
    settle(pool)
    assert pool.log().count("I have run") == 8 and pool.request().status == 200


@pytest.mark.parametrize("fault", ["file", "program", "workers"])
def test_a_reload_that_fails_does_not(fault, make_pool, records):
    pool = make_pool(workers=1, start_timeout=1, hooks={"worker_exited": records.hook()}).up()
    others = {"worker_exited": shell("echo the other one")}
    if fault == "file":
        pool.write(hooks=others, backlog="x")
    elif fault == "program":
        pool.write(hooks={**others, "on_reload": ["./nowhere"]})
    else:
        pool.write(hooks=others, command=["/bin/sleep", "1000"])
    failed = pool.command("reload")
    assert failed.returncode == (70 if fault == "workers" else 78)
    assert fault != "program" or "hooks.on_reload: " in failed.stderr and "nowhere does not exist" in failed.stderr
    pid = pool.serving()[0]
    before = len(pool.log())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: str(pid) in [each["FCGIPOOL_PID"] for each in records.all("worker_exited")])
    pool.wait_ready(1)
    assert "the other one" not in pool.log()[before:]
