"""The counted load generator (tests/system/tools/load.c) in the background."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass

from . import build
from .wait import wait_until


TAIL = 1 << 20  # bytes; no line is longer


@dataclass
class Result:
    open: int      # connected, not yet answered
    sent: int
    ok: int
    lost: int      # connected, no right answer
    refused: int   # never connected
    reasons: dict  # of what was lost and refused: how often by "what: why"
    answers: dict  # right ones by the worker's pid; of a load that has ended
    slowest_ms: int
    elapsed_ms: int
    stale: int        # GETs that met the end of a kept connection and were sent again
    stale_posts: int  # likewise
    connections: int
    done: bool

    @property
    def failed(self):
        """The same to read: "what: why (xN)"."""
        return [f"{what} (x{times})" for what, times in self.reasons.items()]

    @property
    def pids(self):
        """Of the workers that answered."""
        return list(self.answers)


class Load:
    def __init__(self, directory, number, address, *, http=False, scgi=False, clients=8, requests=None, seconds=None,
                 mix=None, prefix="", script="/x", keep=False, rate=None, timeout_ms=60000, connect_ms=10000,
                 times=False):
        wire = "--http" if http else "--scgi" if scgi else "--fastcgi"
        arguments = [build.built("tests/load"), wire, address,
                     "--clients", str(clients), "--prefix", prefix, "--script", script,
                     "--timeout-ms", str(timeout_ms), "--connect-ms", str(connect_ms)]
        if keep:
            arguments.append("--keep")
        if rate is not None:
            arguments += ["--rate", str(rate)]
        if requests is not None:
            arguments += ["--requests", str(requests)]
        if seconds is not None:
            arguments += ["--seconds", str(seconds)]
        if mix is not None:
            arguments += ["--mix", mix if isinstance(mix, str) else ",".join(mix)]
        self.times_file = directory / f"times.{number}"
        if times:
            arguments += ["--times", str(self.times_file)]
        self.output = directory / f"load.{number}"
        with open(self.output, "wb") as stream:
            self.process = subprocess.Popen(arguments, stdout=stream, stdin=subprocess.DEVNULL)

    def progress(self):
        """The counts of the last 50 ms; None before the first."""
        with open(self.output, "rb") as stream:
            stream.seek(max(0, os.stat(self.output).st_size - TAIL))
            lines = stream.read().split(b"\n")[:-1]
        if not lines:
            return None
        last = json.loads(lines[-1])
        last["answers"] = {int(pid): count for pid, count in last["answers"].items()}
        return Result(**last)

    def times(self):
        """After its end, of each right answer: the request's start since the load's, its latency, both in microseconds,
        and the worker's pid."""
        return [tuple(map(int, line.split())) for line in self.times_file.read_text().splitlines()]

    def wait_ok(self, more, timeout=60):
        """Returns when `more` further requests were answered."""
        first = self.progress()
        goal = (first.ok if first else 0) + more

        def enough():
            now = self.progress()
            assert self.process.poll() is None or (now and now.ok >= goal), f"the load has ended: {now}"
            return now and now.ok >= goal
        wait_until(enough, timeout, f"{more} more answers")

    def wait_in_hand(self, pool, count, timeout=10):
        """Returns when workers of `pool` have `count` requests in hand and none waits in the queue."""
        def in_hand():
            now = self.progress()
            return now and now.open == count and pool.status()["queue"]["now"] == 0
        wait_until(in_hand, timeout, f"{count} requests in the workers' hands")

    def wait(self, timeout=300):
        """The result of a load that ends by itself."""
        self.process.wait(timeout)
        result = self.progress()
        assert result and result.done, f"the load generator failed with {self.process.returncode}"
        return result

    def stop(self, timeout=90):
        """Lets each client finish its request; returns the result. Not before it is under way, and knows the signal."""
        wait_until(lambda: self.progress() or self.process.poll() is not None, timeout, "the begin of the load")
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def assert_all_right(result, at_least=1):
    """Every request that was sent has had its right answer, and nobody was turned away."""
    assert result.lost == 0 and result.refused == 0, f"{result.failed} of {result.sent}"
    assert result.ok == result.sent >= at_least, result


def assert_none_lost(result, at_least=1):
    """As above, but it may have been refused: the pool was stopping."""
    assert result.lost == 0, f"{result.failed} of {result.sent}"
    assert result.ok == result.sent >= at_least, result
