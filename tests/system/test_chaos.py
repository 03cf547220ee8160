"""Everything that may happen to a pool, at random and under load."""

import os
import random
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from kit import build
from kit.processes import descriptors
from kit.wait import wait_until

STEPS = build.count(60, 6000)  # a tenth of a second each, more or less
MIX = "GET:0*4,POST:1,POST:65536,GET:10?delay=20,GET:65536?slow=8,POST:20000?slow=8"
WORKERS = {"min": 2, "max": 6}
GOOD = [{"command": [build.worker("echo_threads")]}, {"command": [build.worker("echo_fcgx")]}, {"env": {"TURN": "1"}},
        {"env": {"TURN": "2"}}, {"timeout": 50, "max_requests": 300, "max_requests_jitter": 100}, {"max_requests": 0},
        {"listen_mode": "0666"}, {"listen_mode": "0660"}, {"workers": {"min": 1, "max": 8}}, {"workers": WORKERS}]
BROKEN = [{"command": ["/bin/false"]}, {"command": ["/bin/sleep", "1000"]}, {"timeout": "long"}, {"command": []}]


def held(pool):
    """What the master has open, without what is told apart by a number alone; and how many processes there are."""
    kinds = Counter(re.sub(r"\d+", "N", path) for path in descriptors(pool.pid).values())
    return kinds, len(pool.tree.living())


def memory_kb(pid):
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


class Chaos:
    """Does one thing or the other."""

    def __init__(self, pool, seed, kills, moves=()):
        self.kills = kills
        self.moves = bool(moves)
        self.changes = [*GOOD, *moves]
        self.pool = pool
        self.dice = random.Random(seed)
        self.good = dict(pool.settings)
        self.killed = 0
        self.under_way = []

    def signal(self, number):
        self.pool.send_signal(number)

    def kill_worker(self):
        if not self.kills:
            return
        pid = self.dice.choice(self.pool.serving() or [0])
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
                self.killed += 1
            except ProcessLookupError:
                pass

    def write(self, changes):
        self.pool.write(**{**self.good, **changes})

    def reload(self, changes, wait):
        self.write(changes)
        if wait == "signal":
            self.signal(signal.SIGHUP)
        elif wait == "command":
            assert self.pool.command("reload").returncode in (0, 70, 75, 78)
        else:  # its client gives up
            with self.pool.background("reload"):
                pass
        if self.dice.random() < 0.5:
            self.pool.write(**self.good)

    def upgrade(self, way):
        """Up to its end: by command, or by hand, and then one of the two masters leaves. Not to another address, where
        connections would wait for a master that may not come up."""
        if self.moves:
            self.write({"listen": self.pool.status()["listen"]})
        if way == "command":
            code = self.pool.command("upgrade").returncode
            assert code in (0, 70, 75, 78)
            if code == 0:
                self.pool.follow()
            return
        self.signal(signal.SIGUSR2)
        self.pool.status()
        status = self.pool.wait_status(
            lambda status: not status["upgrade"] or status["upgrade"]["state"] not in ("starting", "leaving"), 60)
        if status["upgrade"] and status["upgrade"]["pid"]:
            leaves = self.dice.choice([self.pool.pid, status["upgrade"]["pid"]])
            os.kill(leaves, signal.SIGTERM)
            if leaves == self.pool.pid:
                self.pool.follow()
            else:
                self.pool.wait_status(lambda status: not status["upgrade"]["pid"], 60, "the end of the new master")

    def command(self, *words):
        answer = self.pool.command(*words)
        assert answer.returncode in (0, 70, 75), answer

    def step(self):
        dice = self.dice
        way = dice.choice(["signal", "command", "abandoned"])
        dice.choice([
            lambda: self.signal(signal.SIGTTIN), lambda: self.signal(signal.SIGTTOU),
            lambda: self.signal(signal.SIGUSR1), lambda: self.upgrade(way),
            lambda: self.signal(signal.SIGCHLD), lambda: self.signal(signal.SIGHUP),
            lambda: (self.signal(signal.SIGWINCH), self.command("resume")),
            lambda: (self.command("pause"), self.signal(signal.SIGHUP)),
            lambda: self.command("scale", dice.choice(["3", "+1", "-1", "5"])), lambda: self.command("reopen"),
            lambda: self.reload(dice.choice(self.changes), way), lambda: self.reload(dice.choice(self.changes), way),
            lambda: self.reload(dice.choice(BROKEN), way), self.kill_worker, self.pool.status])()

    def mend(self):
        """The pool with the settings that it was made with."""
        self.pool.write(**self.good)
        self.command("resume")
        wait_until(lambda: self.pool.command("reload").returncode == 0, 60, "a reload that is done")

    def rest(self):
        """The pool as it was made."""
        self.mend()
        assert self.pool.command("scale", "2").returncode == 0

        def quiet(status):
            return len(status["workers"]) == 2 and status["state"] == "running"
        self.pool.wait_status(quiet, 60, "two workers and no other")


@pytest.mark.parametrize("kills, moves", [(True, False), (False, False), (False, True)])
def test_chaos(kills, moves, make_pool, make_nginx, make_load, record_property):
    """Without kills nothing at all is lost; with moves to another address, by who knows both."""
    pool = make_pool(workers=WORKERS, idle_timeout="500ms", start_timeout=1, failures=3, timeout=60,
                     backoff={"initial": "10ms", "max": "200ms"}, max_starting=9, log={"level": "info"}).up()
    other = f"unix:{pool.directory}/other.sock"
    chaos = Chaos(pool, 11, kills, [{"listen": other}] * 8 if moves else [])
    front = {"address": make_nginx([pool.address, other]).address, "http": True} if moves else {"address": pool.address}
    warm = make_load(**front, clients=8, requests=200, mix=MIX)
    warm.wait()
    chaos.rest()
    wait_until(lambda: held(pool)[1] == 3, 20, "the master and two workers")
    before, memory = held(pool), memory_kb(pool.pid)
    load = make_load(**front, clients=4, mix=MIX)
    for _ in range(STEPS):
        chaos.step()
        load.wait_ok(0)
    chaos.mend()
    result = load.stop()
    chaos.rest()
    # A worker that is killed has a request in hand, or one of each client in its threads; nobody else loses any.
    assert result.lost + result.refused <= 4 * chaos.killed, result.failed
    assert result.ok + result.lost == result.sent

    def nothing_left():
        files, processes = held(pool)
        assert not files - before[0] and processes <= before[1], (files - before[0], processes, before)
        return True
    wait_until(nothing_left, 20, "no more to be open and alive than before")
    record_property("steps", STEPS)
    record_property("requests answered right", result.ok)
    record_property("lost in workers that were killed", result.lost)
    record_property("workers killed", chaos.killed)
    record_property("memory of the master in kB, before and after", f"{memory}, {memory_kb(pool.pid)}")
    if not build.instrumented():
        assert memory_kb(pool.pid) < memory + 2048
    pool.stop()
