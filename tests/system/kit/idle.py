"""Whether a master is idle: how often it has woken up."""

import os
import re
import time

from .wait import wait_until


def switches(pid):
    """How often the threads of a process have gone to sleep."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as stream:
            total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", stream.read(), re.M)[1])
    return total


def sleeps(pid, seconds):
    """Whether a process makes no wake-up for so long."""
    before, end = switches(pid), time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, 2 * seconds + 2)
    return switches(pid) == before


def settle(pool):
    """Waits until whatever watched the start has been put away; new workers are on probation for a second, and
    once a second a master looks at those that worked."""
    pool.wait_ready()
    pool.wait_status(lambda status: all(each["age_ms"] > 2000 for each in status["workers"]), what="some age")
    wait_until(lambda: sleeps(pool.pid, 1.2), 20, "an idle master")
