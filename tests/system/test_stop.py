"""Stopping: gracefully, quickly, by signal and by command; under load, and with workers that will not go."""

import os
import signal
import time

import pytest

from kit import build, fastcgi, kinds
from kit.load import assert_none_lost
from kit.processes import alive, state
from kit.wait import wait_until

HANG = "GET:10?delay=60000"


def assert_tidy(pool):
    """Nothing is left in the pool's directory but what was there before, and the log."""
    left = sorted(os.listdir(pool.directory))
    assert left == ["master.log", "pool.json", "runtime"], left


def hang_one(pool, make_load, clients=1):
    """A request that takes a minute, in the hands of a worker."""
    load = make_load(pool.address, clients=clients, requests=clients, mix=HANG)
    load.wait_in_hand(pool, clients)
    return load


def exit_time(pool, number=signal.SIGTERM, timeout=30):
    start = time.monotonic()
    pool.stop(number, timeout)
    return time.monotonic() - start


@pytest.mark.parametrize("kind, listen", [(kind, listen) for kind in kinds.REAL + kinds.ODD
                                          for listen in ("unix", "tcp")] + [("fcgx", "abstract")])
def test_graceful_stop_under_load(kind, listen, make_pool, make_load):
    """Every request that was accepted into the queue is answered; whoever comes later is refused."""
    command, script = kinds.command(kind)
    address = {"unix": None, "abstract": f"unix:@fcgipool-stop-{os.getpid()}", "tcp": "127.0.0.1:0"}[listen]
    pool = make_pool(command=command, workers=2, **({"listen": address} if address else {})).up()
    load = make_load(pool.status()["listen"], clients=24, script=script,
                     mix="GET:10?delay=15,POST:65536,GET:65536?slow=12,GET:10?delay=5,POST:300000?delay=3")
    load.wait_ok(40)
    pool.stop()
    wait_until(lambda: load.progress().refused, 10, "refusals after the stop")
    assert_none_lost(load.stop(), 40)
    assert_tidy(pool)


def test_stop_again_and_again_under_load(make_pool, make_load, record_property):
    """The same pool, stopped and started; the clients never pause."""
    rounds = build.count(5, 50)
    pool = make_pool(workers=3).up()
    load = make_load(pool.address, clients=16, mix="GET:0,POST:1,GET:10?delay=5,POST:65536")
    for turn in range(rounds):
        load.wait_ok(100)
        pool.stop()
        pool.start()
    pool.wait_ready()
    load.wait_ok(50)
    result = load.stop()
    assert_none_lost(result, 100 * rounds)
    record_property("stops", rounds)
    record_property("requests answered right", result.ok)
    record_property("lost", result.lost)
    pool.stop()
    assert_tidy(pool)


def test_idle_pool_stops_at_once(directory, make_pool):
    pool = make_pool(workers=4, pidfile=str(directory / "pid")).up()
    assert exit_time(pool) < 5
    assert_tidy(pool)
    assert not (directory / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop_waits_for_nobody(number, make_pool, make_load):
    pool = make_pool().up()
    hang_one(pool, make_load)
    assert exit_time(pool, number) < 3
    assert_tidy(pool)


def test_second_term_is_a_quick_stop(make_pool, make_load):
    pool = make_pool().up()
    hang_one(pool, make_load)
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["state"] == "stopping", what="state stopping")
    assert exit_time(pool) < 3


def test_queued_requests_are_answered_after_term(make_pool, make_load):
    """One worker, and twenty requests that were in the queue when the signal came."""
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=20, requests=20, mix="GET:10?delay=100")
    wait_until(lambda: load.progress() and load.progress().open == 20, 10, "twenty connections")
    pool.stop()
    result = load.wait()
    assert (result.ok, result.lost, result.refused) == (20, 0, 0), result.failed


def test_new_connections_are_refused_while_stopping(make_pool, make_load):
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=1, requests=1, mix="GET:10?delay=2000")
    load.wait_in_hand(pool, 1)
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["state"] == "stopping", what="state stopping")
    with pytest.raises(fastcgi.Refused):
        pool.request()
    assert pool.wait_exit() == 0
    assert load.wait().ok == 1


def test_stop_command_waits_until_it_is_done(make_pool, make_load):
    pool = make_pool(workers=2).up()
    load = make_load(pool.address, clients=8, mix="GET:10?delay=20,POST:65536")
    load.wait_ok(20)
    answer = pool.command("stop")
    assert answer.returncode == 0, answer
    assert not os.path.exists(pool.socket_path) and not os.path.exists(pool.control_path)
    assert pool.wait_exit(2) == 0
    pool.wait_gone()
    assert_none_lost(load.stop(), 20)
    assert_tidy(pool)
    assert pool.command("stop").returncode == 69


def test_second_stop_command_waits_too(make_pool, make_load):
    """A second TERM means "quick"; a second command does not: there is --quick for that."""
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=1, requests=1, mix="GET:10?delay=1500")
    load.wait_in_hand(pool, 1)
    pool.send_signal(signal.SIGTERM)
    pool.wait_status(lambda status: status["state"] == "stopping", what="state stopping")
    assert pool.command("stop").returncode == 0
    assert load.wait().ok == 1
    assert pool.wait_exit() == 0


def test_workers_in_the_background_do_not_keep_the_address(make_pool):
    """They have left their process group, and hold the listener."""
    pool = make_pool(command=[build.worker("bad"), "daemonize"], workers=1, listen="127.0.0.1:0").start()
    address = pool.wait_status(lambda status: status["state"] == "failing", timeout=20, what="state failing")["listen"]
    pool.stop()
    pool.wait_gone()
    with pytest.raises(fastcgi.Refused):
        fastcgi.connect(address)


def test_start_right_after_the_stop_command(make_pool):
    """Who has the answer of `stop` can start the next master at once."""
    pool = make_pool().up()
    for _ in range(build.count(3, 30)):
        before = pool.process
        assert pool.command("stop").returncode == 0
        pool.up()
        assert before.wait(5) == 0


def test_quick_stop_command(make_pool, make_load):
    pool = make_pool().up()
    hang_one(pool, make_load)
    start = time.monotonic()
    assert pool.command("stop", "--quick").returncode == 0
    assert time.monotonic() - start < 3
    assert pool.wait_exit(2) == 0
    pool.wait_gone()


def test_hung_worker_is_cut_after_graceful_timeout(make_pool, make_load):
    pool = make_pool(workers=2, graceful_timeout=1).up()
    load = hang_one(pool, make_load)
    assert 1 <= exit_time(pool) < 4
    assert pool.wait_log(r"graceful_timeout")
    assert load.wait().lost == 1
    assert_tidy(pool)


def test_hung_worker_is_cut_when_scaled_away(make_pool, make_load):
    """graceful_timeout holds for every retirement; the cut is logged with the pid, and counted."""
    pool = make_pool(workers=2, graceful_timeout=1).up()
    before = set(pool.serving())
    hang_one(pool, make_load, clients=2)
    assert pool.command("scale", "1", timeout=20).returncode == 0
    gone = (before - set(pool.serving())).pop()
    assert pool.wait_log(rf"pid {gone}\b.*graceful_timeout")
    assert pool.status()["counters"]["cut"] == 1


@pytest.mark.parametrize("way", ["graceful", "quick"])
def test_worker_that_heeds_no_signal_gets_kill(way, make_pool, make_load):
    pool = make_pool(command=[build.worker("bad"), "ignore-signals"], workers=2, graceful_timeout=1,
                     abort_timeout="500ms").up()
    pids = pool.serving()
    hang_one(pool, make_load, clients=2)
    assert exit_time(pool, signal.SIGTERM if way == "graceful" else signal.SIGINT) < 5
    assert not any(alive(pid) for pid in pids)
    assert_tidy(pool)


def test_idle_worker_that_heeds_no_signal_does_not_delay_the_stop(make_pool):
    """It has no request in hand, so there is nothing to wait for."""
    pool = make_pool(command=[build.worker("bad"), "ignore-signals"], workers=2).up()
    assert exit_time(pool) < 8


def test_stop_while_starting(make_pool):
    pool = make_pool(command=[build.worker("bad"), "slow-start", "20000"], workers=2).start()
    pool.wait_status(lambda status: len(status["workers"]) == 2, what="two starting workers")
    assert exit_time(pool) < 10
    assert_tidy(pool)


def test_stop_right_after_start(make_pool):
    """A signal at any moment of the start leaves nothing behind."""
    for delay_ms in range(0, build.count(60, 600), 6):
        pool = make_pool().start()
        moment = time.monotonic() + delay_ms / 1000
        wait_until(lambda: time.monotonic() >= moment, 5, "the moment")
        pool.send_signal(signal.SIGTERM)
        assert pool.wait_exit() in (0, -signal.SIGTERM)
        pool.wait_gone()
        assert not os.path.exists(pool.socket_path) and not os.path.exists(pool.control_path), delay_ms


def test_stop_of_a_failing_pool(make_pool):
    pool = make_pool(command=[build.worker("bad"), "exit", "1"], failures=2).start()
    pool.wait_status(lambda status: status["state"] == "failing", what="state failing")
    assert exit_time(pool) < 3
    assert_tidy(pool)


def test_children_of_workers_go_with_them(make_pool):
    pool = make_pool(command=[build.worker("bad"), "fork-children", "2"], workers=2).up()
    wait_until(lambda: len(pool.tree.living(pool.pid)) == 7, 5, "master, two workers, four children")
    pool.stop()
    assert_tidy(pool)


def test_requests_that_nobody_takes_end_with_graceful_timeout(make_pool, make_load):
    pool = make_pool(workers=1, graceful_timeout=1).up()
    worker = pool.serving()[0]
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: state(worker) == "T", 5, "the halt")
    load = make_load(pool.address, clients=3, requests=3, mix="GET:1")
    pool.wait_status(lambda status: status["queue"]["now"] == 3, what="the queue")
    assert exit_time(pool) < 5
    result = load.wait()
    assert result.ok == 0 and result.lost == 3
