"""Waiting with a deadline, never for a fixed time."""

import time


def wait_until(predicate, timeout=15, what="the condition"):
    """Returns the first true value of predicate(); fails after `timeout` seconds. An AssertionError of the
    predicate counts as "not yet" and is shown when the time is over."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        last = None
        try:
            value = predicate()
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s") from last
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
