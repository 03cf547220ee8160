"""The kit, proven against spawn-fcgi: the workers keep the contract, and the load generator tells right answers,
refusals and losses apart."""

import os
import signal
import subprocess

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_all_right
from kit.processes import Tree, MARK, alive, descriptors
from kit.wait import wait_until

MIX = "GET:0,POST:1,GET:65536,POST:65536,GET:1000?slow=8,POST:100?delay=3,POST:0"


@pytest.fixture
def spawn(directory):
    """spawn(argv): one worker under spawn-fcgi in the foreground; its address and process."""
    started = []

    def start(argv):
        address = f"unix:{directory}/kit.sock"
        process = subprocess.Popen([build.installed("spawn-fcgi"), "-n", "-s", f"{directory}/kit.sock", "--", *argv],
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        started.append(process)

        def answers():
            try:
                fastcgi.connect(address).close()
                return True
            except fastcgi.Refused:
                return False
        wait_until(answers, 10, "spawn-fcgi")
        return address, process
    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


ALL = list(dict.fromkeys(kinds.REAL + kinds.ODD + kinds.PRELOAD + kinds.PRELOAD_ODD + kinds.UNOBSERVED
                         + list(kinds.SANITIZED) + ["valgrind"]))


@pytest.mark.parametrize("kind", ALL)
def test_worker_keeps_the_contract(kind, spawn, make_load):
    argv, script = kinds.command(kind)
    address, _ = spawn(argv)
    answer = fastcgi.request(address, uri="/x?n=100", params={"SCRIPT_FILENAME": script})
    assert (answer.status, answer.body, answer.app_status) == (200, fastcgi.pattern(100), 0)
    body = os.urandom(70000)
    assert fastcgi.request(address, "POST", "/x", body, params={"SCRIPT_FILENAME": script}).body == body
    result = make_load(address, clients=4, requests=70, mix=MIX, script=script).wait()
    assert_all_right(result, 70)
    assert len(result.pids) == 1 or kind in kinds.FORKING


def test_load_through_nginx(spawn, make_nginx, make_load):
    address, _ = spawn([build.worker("echo_fcgx")])
    nginx = make_nginx(address)
    for prefix in ("", "/stream"):
        assert_all_right(make_load(nginx.address, http=True, clients=4, requests=60, mix=MIX + ",POST:8388608",
                                   prefix=prefix).wait(), 60)


@pytest.mark.parametrize("kind", ["fcgx", "threads", "events", "plain", "php"])
def test_load_keeps_connections(kind, spawn, make_load):
    """Many requests a connection, by workers that serve as many at once as there are clients."""
    argv, script = kinds.command(kind)
    address, _ = spawn(argv)
    clients = 4 if kind in ("threads", "events") else 1
    result = make_load(address, clients=clients, requests=80, keep=True, mix=MIX, script=script).wait()
    assert_all_right(result, 80)
    assert (result.connections, result.stale, result.stale_posts) == (clients, 0, 0)


def test_load_sends_again_what_a_kept_connection_did_not_take(make_pool, make_load):
    """The worker leaves after a few requests, and another comes in its place."""
    pool = make_pool(command=[build.worker("bad"), "leave-after", "5"], workers=1).up()
    load = make_load(pool.address, clients=1, keep=True, mix="GET:10,POST:10")
    load.wait_ok(40)
    result = load.stop()
    assert_all_right(result, 40)
    assert result.stale and result.stale_posts and result.stale + result.stale_posts == result.connections - 1


def test_load_keeps_to_a_rate(spawn, make_load):
    address, _ = spawn([build.worker("echo_fcgx")])
    result = make_load(address, requests=100, rate=100, mix="GET:1").wait()
    assert_all_right(result, 100)
    assert result.elapsed_ms >= 980


def test_nginx_keeps_connections(spawn, make_nginx, make_load):
    address, worker = spawn([build.worker("echo_events")])
    nginx = make_nginx(address, keepalive=8)
    for prefix in ("", "/stream"):
        assert_all_right(make_load(nginx.address, http=True, requests=200, mix=MIX, prefix=prefix).wait(), 200)
    assert sum(link.startswith("socket:") for link in descriptors(worker.pid).values()) > 1


def test_load_counts_what_is_lost(spawn, make_load):
    """The worker dies with a request in hand, and with requests in the queue."""
    address, worker = spawn([build.worker("echo_fcgx")])
    load = make_load(address, clients=4, mix="GET:10?delay=50")
    load.wait_ok(5)
    worker.kill()
    worker.wait()
    result = load.stop()
    assert result.lost >= 1 and result.refused >= 1
    assert result.sent == result.ok + result.lost


def test_load_counts_what_is_refused(spawn, make_load):
    address, worker = spawn([build.worker("echo_fcgx")])
    worker.kill()
    worker.wait()
    result = make_load(address, requests=10).wait()
    assert (result.sent, result.lost, result.refused) == (0, 0, 10)
    assert result.failed == ["refused: connection refused (x10)"]


def test_load_knows_wrong_answers(spawn, make_load):
    """A worker that answers, but not what the contract says."""
    address, _ = spawn([build.worker("inspect")])
    result = make_load(address, requests=4, mix="GET:1,GET:100000").wait()
    assert result.lost == 4
    assert any("too long" in reason for reason in result.failed) and any("too short" in reason
                                                                          for reason in result.failed)


def test_tree_finds_and_ends_strangers(directory):
    """A process that went to the background and left its parent is found by its mark."""
    tree = Tree("kit-test-mark")
    subprocess.run(["setsid", "--fork", "sleep", "1000"], env={**os.environ, MARK: tree.mark}, check=True)
    pids = wait_until(tree.living, 5, "the stranger")
    tree.kill()
    assert not any(alive(pid) for pid in pids)
