"""What each worker has of its own: values dealt out of lists, a processor, the number of its slot."""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from kit import build
from kit.processes import command_line

LISTS = {"GPU": ["0", "1"], "DISK": ["a", "b", "c"]}


def environment(pid):
    """That it was started with."""
    return dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry)


def spread(pool, lists=LISTS):
    """The largest difference between the uses of two values of a list."""
    found = [environment(pid) for pid in pool.serving()]
    uses = [Counter(each[name] for each in found) for name in lists]
    return max(max(use[value] for value in values) - min(use[value] for value in values)
               for use, values in zip(uses, lists.values()))


def settled(pool, workers):
    """All are there, and nobody is about to leave."""
    pool.wait_status(lambda status: [each["state"] for each in status["workers"]] == ["serving"] * workers, timeout=30,
                     what=f"{workers} workers at rest")


def test_dealt_evenly_whatever_happens(make_pool, record_property):
    """After crashes, replacements and changes of number, in any order."""
    pool = make_pool(workers=6, assign=LISTS, max_recycling=3, env={"GPU": "overridden"}, failures=1000,
                     backoff={"initial": "10ms", "max": "100ms"}).up()
    assert spread(pool) == 0
    dice, workers = random.Random(7), 6
    turns = build.count(15, 300)
    for turn in range(turns):
        what = dice.choice(["crash", "crash", "scale", "reload"])
        if what == "crash":
            killed = dice.sample(pool.serving(), dice.randint(1, workers))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            pool.wait_status(lambda status: not {each["pid"] for each in status["workers"]} & set(killed), what="their end")
        elif what == "scale":
            workers = dice.randint(1, 9)
            assert pool.command("scale", str(workers)).returncode == 0
        else:
            pool.write(env={"TURN": str(turn)})
            assert pool.command("reload").returncode == 0
        settled(pool, workers)
        assert spread(pool) <= 1, (what, workers)
    record_property("changes", turns)


def test_other_lists_by_a_reload(make_pool):
    pool = make_pool(workers=4, assign={"GPU": ["0", "1"]}).up()
    lists = {"GPU": ["0", "1", "2", "3"]}
    pool.write(assign=lists)
    assert pool.command("reload").returncode == 0
    settled(pool, 4)
    assert spread(pool, lists) == 0
    pool.write(assign=None)
    assert pool.command("reload").returncode == 0
    settled(pool, 4)
    assert not any("GPU" in environment(pid) for pid in pool.serving())


def test_slot(make_pool):
    """In arguments and environment, wherever it stands."""
    pool = make_pool(workers=3, command=["/bin/sh", "-c", 'exec "$0" "$@"', build.worker("echo_fcgx"), "x${slot}y${slot}"],
                     env={"LOG": "app.${slot}.log", "PLAIN": "${slots} $slot"}).up()
    for worker in pool.status()["workers"]:
        slot = worker["slot"]
        assert command_line(worker["pid"]).endswith(f"x{slot}y{slot}")
        found = environment(worker["pid"])
        assert (found["LOG"], found["PLAIN"]) == (f"app.{slot}.log", "${slots} $slot")


def test_processors(make_pool):
    ours = sorted(os.sched_getaffinity(0))
    pool = make_pool(workers=2 * len(ours), cpu_affinity="auto").up()
    uses = Counter()
    for pid in pool.serving():
        theirs = os.sched_getaffinity(pid)
        assert len(theirs) == 1
        uses.update(theirs)
    assert uses == {each: 2 for each in ours}
    pool.write(cpu_affinity="none")
    assert pool.command("reload").returncode == 0
    assert all(os.sched_getaffinity(pid) == set(ours) for pid in pool.serving())


@pytest.mark.parametrize("value, words", [({"GPU": []}, "expected a list of strings"), ({"GPU": "0"}, "expected a list of strings"),
                                          ({"GPU": ["0", 1]}, "expected a list of strings"), (["GPU"], "an object of lists"),
                                          ({"A=B": ["0"]}, "must not be empty nor contain '='")])
def test_bad_lists(value, words, make_pool):
    failed = make_pool(assign=value).command("check")
    assert failed.returncode == 78 and words in failed.stderr and "assign" in failed.stderr, failed.stderr
