"""Sockets that outlive the pool, as those of systemd do."""

import os
import socket
import sys

from .build import SYSTEM
from .nginx import free_port

PASS = [sys.executable, str(SYSTEM / "tools" / "pass_sockets.py")]


class Held:
    """A listening socket of ours: `address` is where, as the pool should tell it."""

    def __init__(self, kind, directory, *, backlog=512, type=socket.SOCK_STREAM, listens=True):
        self.path = None
        if kind == "unix":
            self.path = directory / "held.sock"
            self.address, where = f"unix:{self.path}", str(self.path)
        elif kind == "abstract":
            self.address, where = f"unix:@fcgipool-held-{os.getpid()}", f"\0fcgipool-held-{os.getpid()}"
        else:
            host = {"v4": "127.0.0.1", "v6": "::1", "any": "::"}[kind]
            port = free_port("127.0.0.1" if kind == "any" else host)
            self.address, where = {"v4": f"{host}:{port}", "v6": f"[{host}]:{port}", "any": f"*:{port}"}[kind], (host, port)
        family = socket.AF_UNIX if kind in ("unix", "abstract") else socket.AF_INET if kind == "v4" else socket.AF_INET6
        self.socket = socket.socket(family, type)
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, kind != "any")
        self.socket.bind(where)
        if listens:
            self.socket.listen(backlog)

    @property
    def target(self):
        """Where clients connect to."""
        return self.address.replace("*:", "127.0.0.1:")

    def close(self):
        self.socket.close()


def activate(pool, *held, names=None, environment=None):
    """The pool will be started as systemd starts it for these sockets."""
    pool.inherited = [each.socket.fileno() for each in held]
    pool.through = [*PASS, ",".join(map(str, pool.inherited))]
    pool.environment.update({"LISTEN_FDNAMES": names} if names else {})
    pool.environment.update(environment or {})
    return pool
