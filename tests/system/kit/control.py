"""The control socket, spoken to directly."""

import json
import socket
import struct


class Control:
    """One client. Every call has a time limit, so that a master that hangs is a failure and no hang."""

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket that does not block would fail at once when many others knock; this one waits its turn.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout, 0))
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(timeout)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next message, or None when the master has closed."""
        while b"\n" not in self.rest:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def call(self, command, **args):
        """Sends a command; returns the last message, {"result":...} or {"error":...}."""
        self.send(json.dumps({"v": 1, "command": command, "args": args}).encode() + b"\n")
        while True:
            message = self.line()
            if message is None or "progress" not in message:
                return message
