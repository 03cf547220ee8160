"""Socket activation: the listening socket is somebody else's, who keeps it. Nobody is ever refused there, and of what is
at its path nothing is changed."""

import os
import signal
import socket
import subprocess

import pytest

from kit import build, fastcgi
from kit.activation import PASS, Held, activate
from kit.load import assert_all_right
from kit.nginx import free_port
from kit.processes import alive, children, descriptors
from kit.wait import wait_until

KINDS = ["unix", "abstract", "v4", "v6", "any"]
MIX = "GET:10?delay=15,POST:65536,GET:65536?slow=12,GET:10?delay=5,POST:300000?delay=3"


@pytest.fixture
def hold(directory):
    """hold(kind): a Held."""
    made = []

    def make(kind="unix", **more):
        made.append(Held(kind, directory, **more))
        return made[-1]
    yield make
    for held in made:
        held.close()


@pytest.fixture
def make_activated(make_pool):
    """make_activated(held, **settings): a Pool that has not been started yet."""
    def make(held, *, names=None, **settings):
        return activate(make_pool(**{"listen": "systemd", **settings}), held, names=names)
    return make


def answer(held, **more):
    return fastcgi.request(held.target, "GET", "/x?n=5", b"", **more)


def refusal(pool):
    """The pool does not start; what it says."""
    pool.start()
    assert pool.wait_exit() == 78, pool.log()
    assert not os.path.exists(pool.control_path) and len(pool.log().splitlines()) == 1
    return pool.log()


# What it serves.

@pytest.mark.parametrize("kind", KINDS)
def test_serves_and_tells_the_address(kind, hold, make_activated):
    held = hold(kind)
    pool = make_activated(held).up()
    assert answer(held).status == 200
    status = pool.status()
    assert status["listen"] == held.address and status["queue"]["limit"] == 512
    assert f"listens on {held.address}" in pool.log()
    asked = pool.command("request", "--uri", "/x?n=5")
    assert asked.returncode == 0 and asked.stdout.encode() == fastcgi.pattern(5), asked.stderr
    pool.stop()


def test_request_without_a_master(hold, make_activated):
    assert make_activated(hold()).command("request").returncode == 69


def test_workers_see_nothing_of_it(hold, make_activated):
    held = hold()
    make_activated(held, names="x", command=[build.worker("inspect")]).up()
    body = answer(held).body
    assert b"LISTEN_" not in body and b"environment" in body


@pytest.mark.parametrize("kind", KINDS)
def test_restarts_under_load_refuse_nobody(kind, hold, make_activated, make_load):
    """Who comes while nobody serves waits for the next start."""
    held = hold(kind)
    pool = make_activated(held, workers=3).up()
    load = make_load(held.target, clients=12, mix=MIX)
    for _ in range(build.count(3, 30)):
        load.wait_ok(60)
        pool.stop()
        pool.start()
    load.wait_ok(60)
    assert_all_right(load.stop(), 60)
    pool.stop()


@pytest.mark.parametrize("observe", ["auto", "kernel"])
def test_stop_finishes_what_is_in_hand_and_leaves_the_queue(observe, hold, make_activated, make_load):
    """But for a worker that is seen from outside only, which may go from one request to the next."""
    held = hold()
    pool = make_activated(held, workers=1, observe=observe).up()
    load = make_load(held.target, clients=6, requests=6, mix="GET:5?delay=700")
    wait_until(lambda: pool.status()["queue"]["now"] == 5, 10, "a queue")
    pool.stop()
    progress = load.progress()
    assert (progress.ok < 6 or observe == "kernel") and not progress.lost and not progress.refused, progress
    pool.start()
    assert_all_right(load.wait(), 6)


def test_quick_stop(hold, make_activated):
    held = hold()
    pool = make_activated(held, workers=2).up()
    pool.stop(signal.SIGINT)
    with fastcgi.connect(held.target):
        pass


def test_stop_of_a_pause_leaves_the_queue(hold, make_activated):
    held = hold()
    pool = make_activated(held, workers=2).up()
    assert pool.command("pause").returncode == 0
    with fastcgi.connect(held.target) as waiting:
        waiting.sendall(fastcgi.encode(uri="/x?n=5"))
        size = len(pool.log())
        pool.stop()
        assert "started" not in pool.log()[size:]
        pool.start()
        assert fastcgi.receive(waiting).body == fastcgi.pattern(5)


# What is done to it: nothing but what workers need.

def test_the_path_is_left_alone(hold, make_activated):
    held = hold()
    held.path.chmod(0o612)
    before = held.path.stat()
    pool = make_activated(held, listen_mode="0660").up()
    assert "warning: listen_mode: has no effect" in pool.log()
    pool.stop()
    after = held.path.stat()
    assert (after.st_ino, after.st_mode, after.st_ctime_ns) == (before.st_ino, before.st_mode, before.st_ctime_ns)
    assert not os.path.exists(f"{held.path}.lock")


def test_a_socket_that_does_not_block_is_made_to(hold, make_activated):
    """NonBlocking=yes; libfcgi leaves at once then."""
    held = hold()
    held.socket.setblocking(False)
    pool = make_activated(held, workers=2).up()
    pids = pool.serving()
    assert answer(held).status == 200
    held.socket.setblocking(True)  # Python's own flag
    assert pool.serving() == pids and "unasked" not in pool.log()


def test_backlog(hold, make_activated):
    """The keeper's, unless the control file has one; a reload that fails leaves it as it was."""
    pool = make_activated(hold(backlog=77), workers=1).up()
    assert pool.status()["queue"]["limit"] == 77
    pool.write(backlog=33, command=["/bin/false"])
    assert pool.command("reload").returncode == 70
    assert pool.status()["queue"]["limit"] == 77
    pool.write(command=[build.worker("echo_fcgx")])
    assert pool.command("reload").returncode == 0
    assert pool.status()["queue"]["limit"] == 33


def test_reload_under_load(hold, make_activated, make_load):
    held = hold()
    pool = make_activated(held, workers=3).up()
    load = make_load(held.target, clients=8, mix=MIX)
    for turn in range(build.count(3, 30)):
        pool.write(env={"TURN": str(turn)}, listen_mode="0600")
        load.wait_ok(40)
        assert pool.command("reload").returncode == 0
    assert "without a restart" not in pool.log()
    assert_all_right(load.stop(), 60)


def test_reload_with_another_address(directory, hold, make_activated):
    """It stays as it is."""
    held = hold()
    pool = make_activated(held).up()
    pool.write(listen=f"unix:{directory}/own.sock")
    pool.command("reload")
    pool.wait_log("listen.* restart")
    assert answer(held).status == 200 and pool.status()["listen"] == held.address
    assert not (directory / "own.sock").exists()


def test_allowed_clients(hold, make_activated):
    held = hold("v4")
    pool = make_activated(held, allowed_clients=["10.0.0.0/8"]).up()
    with pytest.raises(fastcgi.Refused):
        fastcgi.connect(held.target, 1)
    pool.write(allowed_clients=None)
    assert pool.command("reload").returncode == 0
    assert answer(held).status == 200


def test_allowed_clients_of_a_unix_socket_are_warned_of(hold, make_activated):
    pool = make_activated(hold(), allowed_clients=["10.0.0.0/8"]).up()
    assert "warning allowed_clients has no effect" in pool.log()


# Which one it is.

def test_the_one_that_is_named_like_the_pool(directory, hold, make_pool):
    others = [hold("v4"), hold("abstract")]
    held = hold()
    pool = activate(make_pool(listen="systemd", name="shop"), others[0], held, others[1], names="a:shop:shop.socket").up()
    assert answer(held).status == 200 and pool.status()["listen"] == held.address
    inodes = {f"socket:[{os.fstat(each.socket.fileno()).st_ino}]" for each in others}
    for pid in (pool.pid, *children(pool.pid)):
        assert not inodes & set(descriptors(pid).values())


@pytest.mark.parametrize("names", [None, "a:b", "pool:pool", "pool.socket:x", "x"])
def test_several_and_not_one_is_named_like_it(names, hold, make_pool):
    said = refusal(activate(make_pool(listen="systemd"), hold(), hold("v4"), names=names))
    assert 'listen: 2 sockets were passed' in said and '"pool"' in said and "FileDescriptorName=" in said
    assert ("and 2 of them" if names == "pool:pool" else "and 0 of them") in said


def test_none_was_passed(make_pool):
    said = refusal(make_pool(listen="systemd"))
    assert "pool.json:2:13: listen: no socket was passed" in said


def test_it_was_passed_to_somebody_else(hold, make_pool):
    pool = activate(make_pool(listen="systemd"), hold(), environment={"LISTEN_PID": "1"})
    assert "passed to process 1 (LISTEN_PID)" in refusal(pool)


def test_what_was_passed_to_somebody_else_does_not_matter(hold, make_pool):
    pool = activate(make_pool(), hold(), environment={"LISTEN_PID": "1"}).up()
    assert pool.request().status == 200


@pytest.mark.parametrize("listen", ["unix:PATH", "127.0.0.1:0", "fd:3"])
def test_another_address_beside_it(listen, directory, hold, make_pool):
    said = refusal(activate(make_pool(listen=listen.replace("PATH", f"{directory}/own.sock")), hold()))
    assert "listen: 1 socket was passed" in said and 'use "systemd"' in said


@pytest.mark.parametrize("count", ["2", "999999999"])
def test_more_are_told_of_than_there_are(count, hold, make_pool):
    held = hold()
    pool = activate(make_pool(listen="systemd"), held, names="x:pool", environment={"LISTEN_FDS": count})
    assert "descriptor 4 is not open" in refusal(pool)


@pytest.mark.parametrize("count", ["0", "-1", "one", "", "99999999999999999999"])
def test_a_count_that_is_none(count, hold, make_pool):
    assert "no socket was passed" in refusal(activate(make_pool(listen="systemd"), hold(), environment={"LISTEN_FDS": count}))


def test_what_cannot_be_listened_on(hold, make_pool):
    for more, said in (({"listens": False}, "does not listen"), ({"type": socket.SOCK_DGRAM, "listens": False}, "neither"),
                       ({"type": socket.SOCK_SEQPACKET}, "neither")):
        assert said in refusal(activate(make_pool(listen="systemd"), hold("abstract" if "type" in more else "unix", **more)))


# A descriptor by its number.

def test_a_descriptor(hold, make_pool):
    held = hold()
    pool = make_pool(listen=f"fd:{held.socket.fileno()}")
    pool.inherited = [held.socket.fileno()]
    pool.up()
    assert answer(held).status == 200 and pool.status()["listen"] == held.address
    pool.stop()
    assert held.path.exists()


def test_standard_input(directory, hold, make_pool):
    """As spawn-fcgi and inetd pass it."""
    held = hold()
    pool = make_pool(listen="fd:0")
    with open(pool.log_file, "ab") as log:
        pool.process = subprocess.Popen([pool.binary, "start", pool.file], stdin=held.socket, stdout=log, stderr=log,
                                        env=pool.environment, cwd=directory, start_new_session=True)
    pool.wait_ready()
    assert answer(held).status == 200
    assert descriptors(pool.pid)[0] == "/dev/null"
    pool.stop()
    assert held.path.exists()


@pytest.mark.parametrize("fd, said", [(0, "descriptor 0 is not a socket"), (77, "descriptor 77 is not open")])
def test_a_descriptor_that_is_none(fd, said, make_pool):
    assert said in refusal(make_pool(listen=f"fd:{fd}"))


def test_in_the_background(hold, make_pool):
    """The master is not the process that the sockets were passed to."""
    held, other = hold(), hold("v4")
    pool = make_pool(listen="systemd", name="shop", log={"file": "pool.log"})
    fds = [each.socket.fileno() for each in (other, held)]
    started = subprocess.run([*PASS, ",".join(map(str, fds)), pool.binary, "start", "-d", str(pool.file)], pass_fds=fds,
                             env={**pool.environment, "LISTEN_FDNAMES": "x:shop"}, timeout=60, capture_output=True,
                             text=True, cwd=pool.directory)
    assert started.returncode == 0, started.stderr
    pid = pool.status()["pid"]
    pool.tree.note(pid)
    assert answer(held).status == 200 and pool.status()["listen"] == held.address
    assert pool.command("stop").returncode == 0
    wait_until(lambda: not alive(pid), 10, "the end of the master")


# The death of the master.

def slay(pool):
    """Returns the workers that are left."""
    workers = pool.serving()
    pool.process.kill()
    pool.process.wait()
    return workers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("observe", ["auto", "kernel"])
def test_next_start_replaces_the_workers_of_a_dead_master(kind, observe, hold, make_activated, make_load):
    """And nobody else who has the socket."""
    held = hold(kind)
    bystander = subprocess.Popen(["sleep", "1000"], stdin=held.socket, start_new_session=True)
    try:
        pool = make_activated(held, workers=3, observe=observe).up()
        # Workers that are seen from outside only may not leave for long while all of them are busy.
        load = make_load(held.target, clients=8 if observe == "auto" else 2, mix=MIX)
        load.wait_ok(40)
        orphans = slay(pool)
        load.wait_ok(40)
        assert all(map(alive, orphans))
        pool.start()
        pool.wait_log("serve on until others do")
        pool.wait_log("all 3 workers of a former master have gone", 60)
        assert not any(map(alive, orphans)) and bystander.poll() is None
        load.wait_ok(40)
        assert_all_right(load.stop(), 100)
        pool.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_next_start_stops_with_orphans(hold, make_activated, make_load):
    """They, too, finish what they have in hand, and nobody is refused."""
    held = hold()
    pool = make_activated(held, workers=1).up()
    load = make_load(held.target, clients=5, requests=5, mix="GET:5?delay=1500")
    wait_until(lambda: pool.status()["queue"]["now"] == 4, 10, "a queue")
    orphans = slay(pool)
    pool.write(command=["/bin/sleep", "1000"])  # nobody takes the orphan's place
    pool.start()
    pool.wait_log("serve on until others do")
    pool.stop()
    assert not any(map(alive, orphans))
    progress = load.progress()
    assert not progress.lost and not progress.refused, progress
    pool.write(command=[build.worker("echo_fcgx")])
    pool.start()
    assert_all_right(load.wait(), 5)


@pytest.mark.parametrize("kind", ["unix", "abstract", "v4"])
def test_next_start_listens_elsewhere(kind, directory, hold, make_activated):
    """The socket that the workers of the dead master serve stays open for its keeper."""
    held = hold(kind)
    pool = make_activated(held, workers=2).up()
    orphans = slay(pool)
    pool.through, pool.inherited = [], []
    pool.write(listen=f"unix:{directory}/own.sock")
    pool.up()
    wait_until(lambda: not any(map(alive, orphans)), 30, "end of the orphans")
    assert pool.request().status == 200
    with fastcgi.connect(held.target) as client:
        client.sendall(fastcgi.encode(uri="/x?n=5"))
        held.socket.settimeout(10)
        held.socket.accept()[0].close()
    assert kind != "unix" or (held.path.exists() and not os.path.exists(f"{held.path}.lock"))


def test_a_keeper_that_has_begun_to_bind_it_itself(hold, make_activated):
    """While its keeper has it, the address is not ours to bind."""
    held = hold("v4")
    pool = make_activated(held, workers=1).up()
    slay(pool)
    pool.through, pool.inherited = [], []
    pool.write(listen=held.address)
    pool.start()
    assert pool.wait_exit() == 75 and "in use" in pool.log()
    held.socket.settimeout(0.2)
    with fastcgi.connect(held.target):
        pass


# Upgrade: the socket goes on from master to master.

@pytest.mark.parametrize("kind", KINDS)
def test_upgrades_under_load(kind, hold, make_activated, make_load):
    held = hold(kind)
    pool = make_activated(held, workers=3).up()
    load = make_load(held.target, clients=8, mix=MIX)
    for _ in range(build.count(2, 20)):
        load.wait_ok(40)
        done = pool.command("upgrade")
        assert done.returncode == 0, done.stderr
        pool.follow()
        assert pool.status()["listen"] == held.address
    orphans = pool.serving()
    os.kill(pool.pid, signal.SIGKILL)
    wait_until(lambda: not pool.running(), 10, "the end of the master")
    load.wait_ok(40)
    pool.start()
    wait_until(lambda: not any(map(alive, orphans)), 60, "end of the orphans")
    pool.stop()
    pool.start()
    load.wait_ok(40)
    assert_all_right(load.stop(), 100)


def test_upgrade_of_a_descriptor(hold, make_pool):
    held = hold()
    pool = make_pool(listen=f"fd:{held.socket.fileno()}")
    pool.inherited = [held.socket.fileno()]
    pool.up()
    assert pool.command("upgrade").returncode == 0
    pool.follow()
    assert answer(held).status == 200
    pool.stop()
    assert held.path.exists()


def test_upgrade_to_another_socket_of_others(hold, make_activated):
    """Nobody has passed it. The former master goes on."""
    held = hold()
    pool = make_activated(held).up()
    pool.write(listen="fd:0")
    failed = pool.command("upgrade")
    assert failed.returncode == 70 and '"fd:0" is another socket than that of the former master' in failed.stderr
    assert answer(held).status == 200 and pool.alive()


def test_upgrade_to_a_socket_of_others(make_pool):
    pool = make_pool().up()
    address = pool.address
    pool.write(listen="systemd")
    assert pool.command("upgrade").returncode == 70
    assert fastcgi.request(address, "GET", "/x?n=5", b"").status == 200


def test_upgrade_to_an_address(directory, hold, make_activated):
    """The socket stays its keeper's, who can start the pool with it again."""
    held = hold()
    pool = make_activated(held).up()
    pool.write(listen=f"unix:{directory}/own.sock")
    done = pool.command("upgrade")
    assert done.returncode == 0, done.stderr
    pool.follow()
    assert pool.request().status == 200
    with fastcgi.connect(held.target) as waiting:
        waiting.sendall(fastcgi.encode(uri="/x?n=5"))
        pool.stop()
        pool.write(listen="systemd")
        pool.start()
        assert fastcgi.receive(waiting).body == fastcgi.pattern(5)


def test_both_masters_of_an_upgrade_leave(hold, make_activated, make_load):
    """The socket is none of theirs to close."""
    held = hold()
    pool = make_activated(held, workers=1).up()
    load = make_load(held.target, clients=1, requests=1, mix="GET:5?delay=4000")
    load.wait_in_hand(pool, 1)
    pool.send_signal(signal.SIGUSR2)
    status = pool.wait_status(lambda status: status["upgrade"] and status["upgrade"]["state"] == "settled", what="a new master")
    pool.send_signal(signal.SIGTERM)
    pool.wait_log("takes the place of this one")
    os.kill(status["upgrade"]["pid"], signal.SIGTERM)
    assert pool.wait_exit() == 0, pool.log()
    assert_all_right(load.wait(), 1)
    pool.start()
    assert answer(held).status == 200
    pool.stop()


# systemd.

def test_ready_at_once_without_workers(hold, make_activated, listener):
    held = hold()
    pool = make_activated(held, workers={"min": 0, "max": 2})
    pool.environment.update(listener.environment)
    pool.start()
    listener.wait("READY", "1")
    assert not children(pool.pid)
    assert answer(held).status == 200


ACTIVATE = "systemd-socket-activate"


@pytest.mark.parametrize("kind", ["unix", "tcp", "two", "inetd"])
def test_socket_activate(kind, directory, make_pool):
    """systemd's own tool: it listens, and executes the master for the first client."""
    where = {"unix": f"{directory}/a.sock", "inetd": f"{directory}/a.sock"}.get(kind, f"127.0.0.1:{free_port()}")
    address = where if where.startswith("127") else f"unix:{where}"
    pool = make_pool(listen="fd:0" if kind == "inetd" else "systemd", name="shop")
    pool.through = [build.installed(ACTIVATE), "-l", where]
    if kind == "two":
        pool.through += ["-l", f"{directory}/b.sock", "--fdname=shop:x"]
    if kind == "inetd":
        pool.through += ["--inetd"]
    for name in ("XDG_RUNTIME_DIR", "FCGIPOOL_TEST_TREE"):
        pool.through += ["-E", f"{name}={pool.environment[name]}"]
    pool.start()
    pool.wait_log("Listening on")
    assert fastcgi.request(address, "GET", "/x?n=5", b"").status == 200
    assert pool.status()["listen"] == address
    pool.stop()


def test_units(directory):
    """As they are installed, they are what systemd takes without a complaint."""
    done = subprocess.run([build.installed("cmake"), "--install", build.directory(), "--prefix", directory / "usr"],
                          env={**os.environ, "DESTDIR": ""}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    units = directory / "usr/lib/systemd/system"
    assert sorted(each.name for each in units.iterdir()) == ["fcgipool@.service", "fcgipool@.socket"]
    service = (units / "fcgipool@.service").read_text()
    prefix = build.cached("CMAKE_INSTALL_PREFIX")
    assert f"ExecStart={prefix}/bin/fcgipool start " in service and "@CMAKE" not in service
    (units / "fcgipool@.service").write_text(service.replace(prefix, f"{directory}/usr"))
    (units / "fcgipool@shop.socket").symlink_to("fcgipool@.socket")
    for name in ("fcgipool@shop.service", "fcgipool@shop.socket"):
        said = subprocess.run([build.installed("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no",
                               units / name], env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
                              capture_output=True, text=True, timeout=60)
        assert said.returncode == 0 and not said.stderr, said.stderr
