"""max_lifetime: old workers are replaced, new before old, and nobody notices."""

import signal

from kit import build
from kit.load import assert_all_right


def watch(pool, until, wanted, most):
    """Looks at the pool until `until(status)`: always as many serve as are wanted, and never more than `most` live."""
    def look(status):
        assert wanted <= len(pool.serving(status)) and len(status["workers"]) <= most, status
        return until(status)
    return pool.wait_status(look, timeout=60, what="the end of the watch")


def replaced(number):
    return lambda status: status["counters"]["recycled_lifetime"] >= number


def test_old_workers_are_replaced_under_load(make_pool, make_load):
    pool = make_pool(workers=4, max_lifetime="500ms", max_lifetime_jitter="500ms", max_recycling=2).up()
    load = make_load(pool.address, clients=8)
    before = set(pool.serving())
    status = watch(pool, replaced(12), 4, 6)
    assert before.isdisjoint(pool.serving(status))
    result = load.stop()
    assert_all_right(result, 100)
    counters = pool.status()["counters"]
    assert counters["cut"] == counters["crashed"] == counters["killed"] == 0
    assert "max_lifetime is reached" in pool.log()


def test_one_at_a_time_unless_set(make_pool):
    pool = make_pool(workers=3, max_lifetime="200ms").up()
    watch(pool, replaced(9), 3, 4)


def test_scale_returns_while_workers_are_replaced(make_pool, make_load):
    pool = make_pool(workers=3, max_lifetime="100ms").up()
    load = make_load(pool.address, clients=4)
    pool.wait_status(replaced(1))
    for operand, expected in (("+2", 5), ("-3", 2), ("4", 4)):
        answer = pool.command("scale", operand)
        assert answer.returncode == 0, answer
        status = pool.status()
        assert status["floor"] == expected <= len(pool.serving(status)) and len(status["workers"]) <= expected + 1
    pool.wait_status(replaced(6))
    assert_all_right(load.stop(), 30)


def test_who_has_no_successor_stays(make_pool, make_load, directory):
    """While starts fail the old workers serve on, and are replaced as soon as it works again."""
    broken = directory / "broken"
    command = ["/bin/sh", "-c", f"[ ! -e {broken} ] || exit 3; exec {build.worker('echo_fcgx')}"]
    pool = make_pool(command=command, workers=3, failures=2, backoff={"initial": "10ms", "max": "100ms"},
                     max_lifetime="1s").up()
    load = make_load(pool.address, clients=4)
    broken.touch()
    failing = pool.wait_status(lambda status: status["state"] == "failing", what="failing")
    before, failed = pool.serving(failing), failing["counters"]["start_failed"]
    status = pool.wait_status(lambda status: status["counters"]["start_failed"] > failed + 2, what="more of it")
    assert pool.serving(status) == before and len(before) == 3
    broken.unlink()
    status = pool.wait_status(lambda status: not set(before) & set(pool.serving(status)), what="successors")
    assert status["state"] == "running" and len(pool.serving(status)) >= 3
    assert_all_right(load.stop(), 30)


def test_a_reload_lifts_and_sets_the_limit(make_pool):
    pool = make_pool(workers=2).up()
    before = set(pool.serving())
    pool.write(max_lifetime="100ms")
    pool.send_signal(signal.SIGHUP)
    pool.wait_status(lambda status: before.isdisjoint(pool.serving(status)), what="other workers")
    pool.write(max_lifetime=0)
    pool.send_signal(signal.SIGHUP)
    pool.wait_log("max_lifetime is in effect(.|\n)*max_lifetime is in effect(.|\n)*reload: done")
    status = pool.wait_status(lambda status: len(status["workers"]) == 2, what="the end of the last replacement")
    spawned = status["counters"]["spawned"]
    assert pool.command("scale", "3").returncode == 0 and pool.status()["counters"]["spawned"] == spawned + 1
