"""A hostile local user: he has an account on the machine, and nothing else. He must not be able to talk to the master,
to make it follow a link of his, or to put something of his in the place of what is the master's."""

import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest

from kit import build, fastcgi
from kit.wait import wait_until

HOSTILE = 65534
ORDINARY = 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become others")

OWNERS = [None, ORDINARY]  # whom the pool belongs to; None: root
OWNER_NAMES = ["root", "ordinary"]


def as_user(user, function):
    """Runs `function` as another user. Returns None, or the name of what it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        word = ""
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            function()
        except BaseException as error:
            word = type(error).__name__
        os.write(writer, word.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        word = stream.read().decode()
    os.waitpid(pid, 0)
    return word or None


def talk(path):
    """Asks the master for its status; raises unless it answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(b'{"v":1,"command":"stop","args":{"quick":true}}\n')
        if not client.recv(4096):
            raise EOFError


# A pool that runs.

@pytest.mark.parametrize("owner", OWNERS, ids=OWNER_NAMES)
def test_nobody_else_talks_to_the_master(owner, make_pool):
    pool = make_pool(user=owner).up()
    assert os.stat(pool.directory).st_mode & 0o005 == 0o005, "he can get there"
    assert as_user(HOSTILE, lambda: talk(pool.control_path)) == "PermissionError"
    os.chmod(pool.control_path, 0o666)
    # Now the kernel lets him in, and the master looks who he is.
    assert as_user(HOSTILE, lambda: talk(pool.control_path)) in ("EOFError", "ConnectionResetError", "BrokenPipeError")
    assert pool.request().status == 200 and pool.alive()
    assert as_user(owner or 0, lambda: talk(pool.control_path)) is None
    assert pool.wait_exit() == 0


@pytest.mark.parametrize("owner", OWNERS, ids=OWNER_NAMES)
def test_other_users_workers_do_not_obey_him(owner, make_pool):
    pool = make_pool(user=owner).up()
    for pid in (pool.pid, *pool.serving()):
        for number in (signal.SIGKILL, signal.SIGUSR1):
            assert as_user(HOSTILE, lambda: os.kill(pid, number)) == "PermissionError"


@pytest.mark.parametrize("shared", [False, True], ids=["own directory", "sticky directory"])
@pytest.mark.parametrize("owner", OWNERS, ids=OWNER_NAMES)
def test_nothing_of_a_running_pool_can_be_replaced(owner, shared, directory, make_pool):
    """By an unlink, a rename over it, a write to it; in a directory of the pool's, or in one like /tmp."""
    place = directory / "place"
    place.mkdir()
    if owner:
        os.chown(place, owner, owner)
    if shared:
        os.chown(place, 0, 0)
        place.chmod(0o1777)
    pool = make_pool(user=owner, listen=f"unix:{place}/app.sock", control_socket=f"{place}/control.sock",
                     pidfile=f"{place}/pid", log={"file": f"{place}/log"}).up()
    names = {"app.sock", "app.sock.lock", "control.sock", "control.sock.lock", "control.sock.state", "pid", "log"}
    assert set(os.listdir(place)) == names
    before = {name: os.lstat(place / name).st_ino for name in names}
    (place / "his").touch()
    os.chown(place / "his", HOSTILE, HOSTILE)
    for name in names:
        assert as_user(HOSTILE, lambda: os.unlink(place / name)) == "PermissionError", name
        assert as_user(HOSTILE, lambda: os.rename(place / "his", place / name)) == "PermissionError", name
        assert as_user(HOSTILE, lambda: os.rename(place / name, place / "other")) == "PermissionError", name
        if "sock" not in name or name.endswith((".lock", ".state")):
            assert as_user(HOSTILE, lambda: open(place / name, "r+")) == "PermissionError", name
    assert {name: os.lstat(place / name).st_ino for name in names} == before
    (place / "his").unlink()
    pool.stop()
    assert os.listdir(place) == ["log"]


# What he has put in the way before the pool starts.

def link_to_victim(path, victim):
    as_user(HOSTILE, lambda: os.symlink(victim, path))


def link_to_nothing(path, victim):
    as_user(HOSTILE, lambda: os.symlink(f"{victim}.new", path))


def hard_link(path, victim):
    os.link(victim, path)  # a kernel with protected_hardlinks would not let him


def fifo(path, victim):
    as_user(HOSTILE, lambda: os.mkfifo(path, 0o666))


def folder(path, victim):
    as_user(HOSTILE, lambda: os.mkdir(path, 0o777))


def file_of_his(path, victim):
    as_user(HOSTILE, lambda: Path(path).write_text("his\n"))


def stale_socket(path, victim):
    def bind():
        with socket.socket(socket.AF_UNIX) as his:
            his.bind(str(path))
    as_user(HOSTILE, bind)


TRAPS = [link_to_victim, link_to_nothing, hard_link, fifo, folder, file_of_his, stale_socket]
PLACES = {"app.sock": "listen", "app.sock.lock": None, "control.sock": None, "control.sock.lock": None,
          "control.sock.state": None, "control.sock.state.new": None, "pid": None, "log": None}


@pytest.mark.parametrize("owner", OWNERS, ids=OWNER_NAMES)
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
@pytest.mark.parametrize("where", PLACES)
def test_traps_in_a_shared_directory(where, trap, owner, directory, make_pool):
    """The master refuses and names the file, or it is not affected; what the trap leads to stays as it was."""
    place = directory / "place"
    place.mkdir()
    place.chmod(0o1777)
    victim = directory / "victim"
    victim.write_text("precious\n")
    if owner:
        os.chown(victim, owner, owner)  # it is the master whom he wants to do what he may not
    victim.chmod(0o644)
    trap(place / where, victim)
    found = os.lstat(place / where)
    pool = make_pool(user=owner, listen=f"unix:{place}/app.sock", control_socket=f"{place}/control.sock",
                     pidfile=f"{place}/pid", log={"file": f"{place}/log"}).start()
    wait_until(lambda: not pool.running() or pool.try_status(), 20, "an end or a beginning")
    if pool.running():
        pool.wait_ready()
        assert pool.request().status == 200
        for path, mode in ((pool.socket_path, stat.S_ISSOCK), (pool.control_path, stat.S_ISSOCK)):
            assert mode(os.lstat(path).st_mode) and os.lstat(path).st_uid == (owner or 0)
        pool.stop()
    else:
        assert pool.process.returncode in (70, 75)
        lines = pool.log().splitlines()
        assert len(lines) == 1 and str(place / where) in lines[0], lines
        assert os.lstat(place / where).st_ino == found.st_ino
    now = os.lstat(victim)
    assert victim.read_text() == "precious\n"
    assert (now.st_uid, stat.S_IMODE(now.st_mode)) == (owner or 0, 0o644)
    assert not os.path.lexists(f"{victim}.new")


@pytest.mark.parametrize("owner", OWNERS, ids=OWNER_NAMES)
def test_somebody_elses_listening_socket_is_refused(owner, directory, make_pool):
    """He listens at the address already: clients would talk to him."""
    place = directory / "place"
    place.mkdir()
    place.chmod(0o1777)
    for name in ("app.sock", "control.sock"):
        with socket.socket(socket.AF_UNIX) as his:
            his.bind(str(place / name))
            his.listen()
            pool = make_pool(user=owner, listen=f"unix:{place}/app.sock", control_socket=f"{place}/control.sock").start()
            assert pool.wait_exit() in (70, 75)
            assert str(place / name) in pool.log()
        os.unlink(place / name)


@pytest.mark.parametrize("how", ["directory of another", "link", "open to all", "file"])
def test_runtime_directory_in_tmp(how, directory, make_pool):
    """/tmp/fcgipool-UID, for users without XDG_RUNTIME_DIR."""
    user = 54000 + os.getpid() % 1000
    path = Path(f"/tmp/fcgipool-{user}")
    assert not os.path.lexists(path)
    (directory / "trap").mkdir()
    os.chown(directory / "trap", user, user)
    try:
        if how == "directory of another":
            as_user(HOSTILE, lambda: os.mkdir(path, 0o777))
        elif how == "link":
            as_user(HOSTILE, lambda: os.symlink(directory / "trap", path))
        elif how == "file":
            as_user(HOSTILE, path.touch)
        else:
            path.mkdir()
            os.chown(path, user, user)
            path.chmod(0o777)
        pool = make_pool(user=user, control_socket=None, environment={"XDG_RUNTIME_DIR": ""}).start()
        assert pool.wait_exit() == 70
        assert str(path) in pool.log() and pool.log().count("\n") == 1
        assert os.listdir(directory / "trap") == []
        assert not path.is_dir() or os.listdir(path) == []
    finally:
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


# A worker of another user, which lies to the next master.

def test_worker_cannot_lie_about_its_socket(directory, make_pool):
    """A dead master's worker has another listening socket in the place of the pool's: it is not taken over."""
    pool = make_pool(command=[build.worker("bad"), "other-listener", str(directory / "his.sock")], workers=1).start()
    wait_until(lambda: (directory / "his.sock").exists(), 10, "the other socket")
    pool.wait_status(lambda status: status["workers"], what="the worker in the books")
    pool.process.kill()
    pool.process.wait()
    pool.write(command=[build.worker("echo_fcgx")])
    pool.up()
    assert pool.request().status == 200
    # It is ended like any other worker, and its socket with it.
    wait_until(lambda: as_user(0, lambda: fastcgi.connect(f"unix:{directory}/his.sock").close()) == "Refused", 10,
               "end of the other socket")
    pool.stop()
