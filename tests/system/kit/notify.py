"""systemd's end of sd_notify."""

import socket
import time

from .wait import wait_until


class Listener:
    """A notify socket of ours: a path, or an abstract name."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.socket.setblocking(False)
        self.seen = []  # (time, variable, value)

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.name}

    def take(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except BlockingIOError:
                return self
            assert text.endswith("\n"), text
            self.seen += [(time.monotonic(), *line.split("=", 1)) for line in text.splitlines()]

    def values(self, variable):
        return [value for _, name, value in self.take().seen if name == variable]

    def wait(self, variable, value=None, timeout=20):
        def there():
            assert any(value is None or value == each for each in self.values(variable)), self.seen
            return True
        wait_until(there, timeout, f"{variable}={value}")
