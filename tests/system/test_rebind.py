"""Reload with another `listen`: the pool is whole at the new address before it leaves the old one, and nothing is lost at
either. What goes wrong with the new one changes nothing."""

import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.nginx import free_port
from kit.processes import alive, children
from kit.wait import wait_until

MIX = "GET:0*4,POST:1,POST:65536,GET:65536?slow=8,GET:10?delay=20,POST:20000?slow=8"


def unix(directory, name):
    return f"unix:{directory}/{name}.sock"


def tcp():
    return f"127.0.0.1:{free_port()}"


def addresses(kind, directory):
    """Two of them."""
    return {"unix": [unix(directory, "a"), unix(directory, "b")], "mixed": [unix(directory, "a"), tcp()],
            "tcp": [tcp(), tcp()], "v6": [f"[::1]:{free_port('::1')}", tcp()],
            "abstract": [f"unix:@fcgipool-rebind-{os.getpid()}", unix(directory, "b")]}[kind]


def refused(address):
    """Whether nobody can connect there."""
    try:
        fastcgi.connect(address, timeout=1).close()
        return False
    except fastcgi.Refused:
        return True


def traces(address):
    """The files that a listener there has."""
    path = address.removeprefix("unix:")
    return [each for each in (path, path + ".lock") if address.startswith("unix:/") and Path(each).exists()]


def assert_left(*past):
    for each in past:
        assert refused(each) and not traces(each), each


def assert_at(pool, address):
    """Nowhere else."""
    status = pool.status()
    assert (status["listen"], status["listen_besides"]) == (address, []), status
    assert pool.request().status == 200


def move(pool, address, **changes):
    pool.write(listen=address, **changes)
    done = pool.command("reload")
    assert done.returncode == 0, done.stderr


def serving(status, generation):
    return [each["pid"] for each in status["workers"]
            if each["state"] == "serving" and each["generation"] == generation]


class Gate:
    """Workers of whom the first accepts at once, the others when the gate is opened."""

    def __init__(self, pool, name="gate"):
        self.flag = pool.directory / name
        first = pool.directory / f"{name}.first"
        self.command = ["/bin/sh", "-c", f'mkdir {first} 2>/dev/null || while ! test -e {self.flag}; do sleep 0.05; done; '
                        'exec "$0"', build.worker("echo_fcgx")]

    def open(self):
        self.flag.touch()


def begin(pool, address, gate=None, **changes):
    """A move that goes on only when the gate is opened; without one, it is on trial and stays so."""
    generation = pool.status()["generation"] + 1
    pool.write(listen=address, command=gate.command if gate else ["/bin/sleep", "1000"], start_timeout=600, **changes)
    pool.send_signal(signal.SIGHUP)
    if gate:
        return pool.wait_status(lambda status: status["generation"] == generation and len(serving(status, generation)) == 1,
                                what="the first worker at the new address")
    return pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "trying", what="the trial")


# ---- forward ----

@pytest.mark.parametrize("kind", ["unix", "mixed", "tcp", "v6"])
def test_moves_under_load(kind, directory, make_pool, make_nginx, make_load, record_property):
    """There and back, with other changes, too. The web server names both addresses."""
    both = addresses(kind, directory)
    pool = make_pool(listen=both[0], workers=3, timeout=60).up()
    nginx = make_nginx(both)
    load = make_load(nginx.address, http=True, clients=4, mix=MIX)
    moves = build.count(6, 100)
    for turn in range(moves):
        load.wait_ok(5)
        move(pool, both[(turn + 1) % 2], env={"TURN": str(turn)}, listen_mode=("0660", "0666")[turn % 2],
             allowed_clients=["127.0.0.0/8", "::1"] if turn % 3 else None)
        assert_at(pool, both[(turn + 1) % 2])
        assert_left(both[turn % 2])
    result = load.stop()
    assert_all_right(result, 5 * moves)
    status = pool.status()
    assert status["generation"] == moves + 1 and len(status["workers"]) == 3
    assert status["counters"]["cut"] == status["counters"]["crashed"] == status["counters"]["start_failed"] == 0
    record_property("moves", moves)
    record_property("requests answered right", result.ok)
    record_property("slowest request in ms", result.slowest_ms)
    pool.stop()
    assert_left(*both)


@pytest.mark.parametrize("kind", kinds.some(["fcgx", "php_children", "events"]) + ["go"])
@pytest.mark.parametrize("where", ["unix", "tcp", "abstract"])
def test_each_address_to_its_end(kind, where, directory, make_pool, make_load):
    """Clients of the old address are served until it refuses them, and all that were let in; of any kind of worker."""
    command, script = kinds.command(kind)
    old, new = addresses(where, directory)
    pool = make_pool(listen=old, command=command, workers=3).up()
    loads = [make_load(old, clients=6, script=script, mix=MIX, connect_ms=1000)]
    loads[0].wait_ok(20)
    move(pool, new)
    loads.append(make_load(new, clients=6, script=script, mix=MIX))
    loads[1].wait_ok(20)
    before, after = (load.stop() for load in loads)
    assert before.lost == 0 and before.ok == before.sent, before.failed
    assert_all_right(after, 20)
    assert pool.status()["counters"]["cut"] == 0
    pool.stop()
    assert_left(old, new)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_long_request(kind, directory, make_pool, make_load):
    """It is answered at the old address, which has refused others for long by then."""
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=2).up()
    load = make_load(old, clients=1, requests=1, mix="GET:5?delay=4000")
    load.wait_in_hand(pool, 1)
    pool.write(listen=new)
    with pool.background("reload") as reload:
        wait_until(lambda: refused(old), 15, "the end of the old address")
        pool.wait_log("retires: its address is given up")
        assert pool.request().status == 200 and load.progress().ok == 0
        _, said = reload.communicate(timeout=30)
        assert reload.returncode == 0, said
    assert_all_right(load.wait(), 1)
    assert_at(pool, new)
    assert not traces(old)


def test_whole_at_both(directory, make_pool):
    """Nobody at the old address is retired before all serve at the new one, and who is lost there is replaced."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers=4, max_recycling=4).up()
    gate = Gate(pool)
    status = begin(pool, new, gate)
    assert len(serving(status, 1)) == 4 and (status["listen"], status["listen_besides"]) == (new, [old])
    assert fastcgi.request(old).status == fastcgi.request(new).status == 200
    os.kill(serving(status, 1)[0], signal.SIGKILL)
    pool.wait_status(lambda now: len(set(serving(now, 1)) - set(serving(status, 1))) == 1 and len(serving(now, 1)) == 4,
                     what="another worker at the old address")
    gate.open()
    pool.wait_status(lambda status: status["reload"]["state"] == "done", what="the end of the move")
    assert_at(pool, new)
    assert_left(old)
    assert len(children(pool.pid)) == 4


def test_on_demand(directory, make_pool):
    """Where no worker runs, one is tried at the new address, and comes when it is needed."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers={"min": 0, "max": 2}, idle_timeout="100ms").start()
    pool.wait_status(lambda status: status["state"] == "running", what="running")
    move(pool, new)
    pool.wait_status(lambda status: not status["workers"], what="rest")
    assert_at(pool, new)
    assert_left(old)


@pytest.mark.parametrize("other", ["path", "link", "localhost", "same"])
def test_the_same_address_in_other_words(other, directory, make_pool):
    port = free_port()
    (directory / "link").symlink_to(directory)
    listen, again = {"path": (unix(directory, "a"), f"unix:{directory}/../{directory.name}/a.sock"),
                     "link": (unix(directory, "a"), f"unix:{directory}/link/a.sock"),
                     "localhost": (f"127.0.0.1:{port}", f"localhost:{port}"),
                     "same": ("127.0.0.1:0", "127.0.0.1:0")}[other]
    pool = make_pool(listen=listen, workers=1).up()
    before = pool.status()["listen"]
    move(pool, again)
    status = pool.status()
    assert (status["listen"], status["generation"]) == (before, 2) and "moves to" not in pool.log()
    assert fastcgi.request(before).status == 200


# ---- what changes nothing ----

def occupied(kind, directory, held):
    """An address that cannot be had, and what is said of it; `held` are open sockets."""
    path = directory / "other.sock"
    if kind == "no directory":
        return f"unix:{directory}/nowhere/app.sock", "directory does not exist"
    if kind == "a file":
        path.write_text("precious")
        return f"unix:{path}", "is not a socket"
    family, where = (socket.AF_INET, ("127.0.0.1", 0)) if kind == "tcp" else (socket.AF_UNIX, str(path))
    held.append(socket.socket(family))
    held[0].bind(where)
    held[0].listen()
    name = held[0].getsockname()
    return (f"127.0.0.1:{name[1]}" if kind == "tcp" else f"unix:{path}"), "in use by another"


@pytest.mark.parametrize("kind", ["no directory", "a file", "unix", "tcp"])
def test_an_address_that_cannot_be_had(kind, directory, make_pool, make_load):
    old, held = unix(directory, "a"), []
    pool = make_pool(listen=old, workers=2).up()
    load = make_load(old, clients=4)
    before = sorted(pool.serving())
    new, complaint = occupied(kind, directory, held)
    pool.write(listen=new)
    failed = pool.command("reload")
    assert failed.returncode == 70 and complaint in failed.stderr, failed.stderr
    status = pool.status()
    assert sorted(pool.serving(status)) == before and status["reload"]["state"] == "failed"
    assert (status["listen"], status["listen_besides"]) == (old, [])
    assert not Path(f"{directory}/other.sock.lock").exists()
    if kind == "a file":
        assert (directory / "other.sock").read_text() == "precious"
    pool.write(listen=old)
    assert pool.command("reload").returncode == 0
    assert_all_right(load.stop(), 1)
    for each in held:
        each.close()


def test_addresses_that_overlap(make_pool):
    port = free_port()
    pool = make_pool(listen=f"127.0.0.1:{port}", workers=1).up()
    pool.write(listen=f"*:{port}")
    failed = pool.command("reload")
    assert failed.returncode == 70 and f"where the pool listens: it takes a restart" in failed.stderr, failed.stderr
    assert fastcgi.request(f"127.0.0.1:{port}").status == 200


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_first_worker_that_fails(kind, directory, make_pool, make_load):
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=2).up()
    load = make_load(old, clients=4)
    before = sorted(pool.serving())
    for command in (["/bin/false"], ["/bin/sleep", "1000"]):
        pool.write(listen=new, command=command, start_timeout="300ms")
        assert pool.command("reload").returncode == 70
        pool.wait_status(lambda status: not status["listen_besides"], what="the end of the new address")
        assert_left(new)
    assert sorted(pool.serving()) == before
    assert_all_right(load.stop(), 1)
    move(pool, new, command=[build.worker("echo_fcgx")], start_timeout=None)
    assert_at(pool, new)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_came_too_early(kind, directory, make_pool, make_load):
    """They wait at the new address for a worker that does not come: those of the generation before serve them."""
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=2).up()
    before = sorted(pool.serving())
    begin(pool, new)
    load = make_load(new, clients=5, requests=5, mix="GET:10,POST:20000")
    pool.wait_status(lambda status: status["queue"]["now"] == 5, what="connections that wait")
    pool.write(listen=old, command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert_all_right(load.wait(), 5)
    assert_left(new)
    assert not set(before) & set(pool.serving()) and pool.status()["generation"] == 3


def test_others_that_fail(directory, make_pool, make_load):
    """The first one serves at the new address, and may have requests, when the pool goes back to the old one."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers=3, failures=2, backoff={"initial": "10ms", "max": "50ms"}).up()
    before = sorted(pool.serving())
    load = make_load(old, clients=4)
    first = pool.directory / "first"
    pool.write(listen=new, command=["/bin/sh", "-c", f'mkdir {first} && exec "$0"', build.worker("echo_fcgx")])
    failed = pool.command("reload")
    assert failed.returncode == 70 and "fail to start" in failed.stderr, failed.stderr
    pool.wait_status(lambda status: not status["listen_besides"], what="the end of the new address")
    assert_left(new)
    assert sorted(pool.serving()) == before
    assert_all_right(load.stop(), 1)
    assert fastcgi.request(old).status == 200


# ---- something else in the middle ----

PHASES = ["trying", "replacing"]


def half_way(phase, directory, make_pool, kind="unix"):
    """A pool in a move that goes no further: (pool, old address, new address, gate)."""
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=3).up()
    gate = Gate(pool) if phase == "replacing" else None
    begin(pool, new, gate)
    return pool, old, new, gate


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop(phase, number, directory, make_pool, make_load):
    pool, old, new, _ = half_way(phase, directory, make_pool)
    loads = [make_load(each, clients=3) for each in ([old] if phase == "trying" else [old, new])]
    for load in loads:
        load.wait_ok(10)
    pool.stop(number)
    if number == signal.SIGTERM:
        assert all(result.lost == 0 and result.ok == result.sent for result in (load.stop() for load in loads))
        # Who finds an empty queue that refuses connections may leave by himself.
        assert not re.search(r"unasked", re.sub(r"exited with code 0 .*", "", pool.log()))
    assert_left(old, new)
    assert not Path(pool.control_path + ".state").exists()


def test_a_stop_while_the_old_address_is_drained(directory, make_pool, make_load):
    """What waits there is served first."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers=1).up()
    load = make_load(old, clients=6, requests=6, mix="GET:5?delay=400")
    pool.wait_status(lambda status: status["queue"]["now"] >= 4, what="a queue")
    pool.write(listen=new)
    pool.send_signal(signal.SIGHUP)
    wait_until(lambda: refused(old), 15, "the end of the old address")
    pool.send_signal(signal.SIGTERM)
    assert_all_right(load.wait(), 6)
    assert pool.wait_exit() == 0
    assert_left(old, new)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("phase", PHASES)
def test_the_masters_death(kind, phase, directory, make_pool, make_load):
    """All workers serve on at their addresses; the next master is at the new one, and nothing of the other is left."""
    pool, old, new, gate = half_way(phase, directory, make_pool, kind)
    pool.process.kill()
    pool.process.wait()
    orphans = [pid for pid in pool.tree.living() if alive(pid)]
    assert fastcgi.request(old).status == 200
    pool.write(command=[build.worker("echo_fcgx")])
    if gate:
        gate.open()
    pool.up()
    assert pool.request().status == 200
    wait_until(lambda: not [pid for pid in orphans if alive(pid)], 40, "the end of the orphans")
    assert_left(old)
    assert_at(pool, new)
    pool.stop()
    assert_left(old, new)


def test_a_pause(directory, make_pool):
    """Requests wait at both addresses, and are answered when it ends; then the move goes on."""
    pool, old, new, gate = half_way("replacing", directory, make_pool)
    assert pool.command("pause").returncode == 0
    answers = []
    threads = [threading.Thread(target=lambda each=each: answers.append(fastcgi.request(each, timeout=30)))
               for each in (old, new)]
    for thread in threads:
        thread.start()
    pool.wait_status(lambda status: status["queue"]["now"] == 2, what="two connections that wait")
    gate.open()
    assert pool.command("resume").returncode == 0
    for thread in threads:
        thread.join(30)
    assert [each.status for each in answers] == [200, 200]
    pool.wait_status(lambda status: status["reload"]["state"] == "done", what="the end of the move")
    assert_at(pool, new)
    assert_left(old)


def test_a_pause_ends_the_trial(directory, make_pool):
    pool, old, new, _ = half_way("trying", directory, make_pool)
    assert pool.command("pause").returncode == 0
    pool.wait_status(lambda status: not status["listen_besides"], what="the end of the new address")
    assert_left(new)
    assert pool.command("resume").returncode == 0
    assert fastcgi.request(old).status == 200


@pytest.mark.parametrize("phase", PHASES)
def test_a_third_address(phase, directory, make_pool, make_load):
    """It takes the place of the second, which is left as well."""
    pool, old, new, _ = half_way(phase, directory, make_pool)
    third = unix(directory, "c")
    loads = [make_load(old, clients=3), *([make_load(new, clients=2)] if phase == "replacing" else [])]
    for load in loads:
        load.wait_ok(10)
    move(pool, third, command=[build.worker("echo_fcgx")])
    assert_at(pool, third)
    assert_left(old, new)
    for load in loads:
        result = load.stop()
        assert result.lost == 0 and result.ok == result.sent, result.failed


@pytest.mark.parametrize("phase", PHASES)
def test_back_to_the_first(phase, directory, make_pool, make_load):
    """It was not refused yet, so it is the same socket, and nobody there notices."""
    pool, old, new, _ = half_way(phase, directory, make_pool)
    socket_file = Path(old.removeprefix("unix:")).stat()
    load = make_load(old, clients=4)
    move(pool, old, command=[build.worker("echo_fcgx")])
    assert_at(pool, old)
    assert_left(new)
    assert Path(old.removeprefix("unix:")).stat().st_ino == socket_file.st_ino
    assert_all_right(load.stop(), 1)
    assert len(children(pool.pid)) == 3


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_back_when_it_has_refused(kind, directory, make_pool, make_load):
    """While a worker still has a request there: then it is another socket."""
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=2).up()
    load = make_load(old, clients=1, requests=1, mix="GET:5?delay=5000")
    load.wait_in_hand(pool, 1)
    pool.write(listen=new)
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("retires: its address is given up")
    move(pool, old)
    assert_at(pool, old)
    assert_left(new)
    assert_all_right(load.wait(), 1)
    pool.stop()
    assert_left(old)


@pytest.mark.parametrize("kind", ["tcp", "abstract"])
def test_back_while_what_waits_is_served(kind, directory, make_pool, make_load):
    """What has no path can be had again only then; it is said why."""
    old, new = addresses(kind, directory)
    pool = make_pool(listen=old, workers=1).up()
    load = make_load(old, clients=8, requests=8, mix="GET:5?delay=400")
    pool.wait_status(lambda status: status["queue"]["now"] == 7, what="a queue")
    pool.write(listen=new)
    pool.send_signal(signal.SIGHUP)
    pool.wait_log(f"new connections at {old} are refused")
    pool.write(listen=old)
    failed = pool.command("reload")
    assert failed.returncode == 70 and "try again when they are served" in failed.stderr, failed.stderr
    assert_all_right(load.wait(), 8)
    pool.write(listen=new)
    assert_at(pool, new)


def test_what_waits_for_too_long_is_given_up(directory, make_pool, make_load):
    """And it is said how much that was."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers=1, graceful_timeout=1).up()
    load = make_load(old, clients=4, requests=4, mix="GET:5?delay=600000")
    pool.wait_status(lambda status: status["queue"]["now"] == 3, what="a queue")
    move(pool, new)
    wait_until(lambda: not pool.status()["listen_besides"], 15, "the end of the old address")
    assert f"3 connections that wait at {old} are given up" in pool.log()
    assert load.wait().lost == 4
    assert_at(pool, new)


# ---- and upgrades ----

def test_an_upgrade_after_a_move(directory, make_pool, make_load):
    """The new master takes over the address in effect, and can leave it as well."""
    old, new = addresses("unix", directory)
    pool = make_pool(listen=old, workers=2).up()
    move(pool, new)
    load = make_load(new, clients=3)
    load.wait_ok(10)
    assert pool.command("upgrade").returncode == 0
    pool.follow()
    load.wait_ok(10)
    assert_all_right(load.stop(), 20)
    assert_at(pool, new)
    move(pool, old)
    assert_at(pool, old)
    assert_left(new)
    pool.stop()
    assert_left(old)


def test_an_upgrade_half_way(directory, make_pool):
    """One after the other."""
    pool, old, new, gate = half_way("replacing", directory, make_pool)
    refused_upgrade = pool.command("upgrade")
    assert refused_upgrade.returncode == 75 and "reload is under way" in refused_upgrade.stderr, refused_upgrade
    gate.open()
    pool.wait_status(lambda status: status["reload"]["state"] == "done", what="the end of the move")
    assert_at(pool, new)
