"""A pool watched while something else happens: its status, again and again, in a thread of its own."""

import threading

from .wait import wait_until


class Watch:
    """`check(status)` asserts what must hold at every moment; its first failure is raised at the end of the block."""

    def __init__(self, pool, check, pause=0.005):
        self.pool, self.check, self.pause = pool, check, pause
        self.looks = 0
        self.failure = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.over.is_set():
                self.check(self.pool.status())
                self.looks += 1
                self.over.wait(self.pause)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.looks or self.failure, 10, "the first look")
        return self

    def __exit__(self, kind, *unused):
        self.over.set()
        self.thread.join(30)
        if self.failure and kind is None:
            raise self.failure
