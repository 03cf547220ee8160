"""A small FastCGI client: one request at a time."""

import socket
import struct
from dataclasses import dataclass, field

BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7
PATTERN = b"abcdefghijklmnopqrstuvwxyz0123456789\n"


class Refused(Exception):
    """No connection came about."""


class Lost(Exception):
    """Connected, and no complete answer."""


@dataclass
class Answer:
    status: int
    headers: dict = field(repr=False)
    body: bytes = field(repr=False)
    errors: bytes
    app_status: int

    @property
    def pid(self):
        return int(self.headers["x-pid"])


def pattern(size):
    """The body that the echo contract gives for n=SIZE."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def connect(address, timeout=10):
    """A socket connected to "unix:PATH", "unix:@NAME", "HOST:PORT" or "[V6]:PORT"."""
    if address.startswith("unix:"):
        family, target = socket.AF_UNIX, address[5:]
        if target.startswith("@"):
            target = "\0" + target[1:]
    else:
        host, port = address.rsplit(":", 1)
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        target = (host.strip("[]"), int(port))
    connection = socket.socket(family, socket.SOCK_STREAM)
    # A socket that does not block would fail at once when the backlog is full.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout, 0))
    try:
        connection.connect(target)
    except OSError as error:
        connection.close()
        raise Refused(f"{address}: {error}") from error
    connection.settimeout(timeout)
    return connection


def _record(kind, content=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _stream(kind, content):
    pieces = [_record(kind, content[i:i + 65528]) for i in range(0, len(content), 65528)]
    return b"".join(pieces) + _record(kind)


def _length(size):
    return bytes([size]) if size < 128 else struct.pack(">I", size | 0x80000000)


def encode(method="GET", uri="/", body=b"", params=None, keep=False):
    """The request as bytes; with `keep` the connection is asked to stay open."""
    path, _, query = uri.partition("?")
    pairs = {"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "localhost",
             "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1", "REDIRECT_STATUS": "200", "REQUEST_METHOD": method,
             "REQUEST_URI": uri, "SCRIPT_NAME": path, "SCRIPT_FILENAME": path, "QUERY_STRING": query,
             "CONTENT_LENGTH": str(len(body)) if method == "POST" else ""}
    pairs.update(params or {})
    block = b""
    for name, value in pairs.items():
        name, value = name.encode(), value.encode()
        block += _length(len(name)) + _length(len(value)) + name + value
    return (_record(BEGIN_REQUEST, struct.pack(">HB5x", 1, keep)) + _stream(PARAMS, block) + _stream(STDIN, body))


def _exactly(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise Lost(f"closed after {len(data)} of {size} bytes of a record")
        data += piece
    return data


def receive(connection):
    """Reads one answer, up to its END_REQUEST."""
    out, errors = [], []
    try:
        while True:
            version, kind, number, size, padding = struct.unpack(">BBHHBx", _exactly(connection, 8))
            content = _exactly(connection, size + padding)[:size]
            if version != 1 or number != 1:
                raise Lost(f"record of version {version} for request {number}")
            if kind == STDOUT:
                out.append(content)
            elif kind == STDERR:
                errors.append(content)
            elif kind == END_REQUEST:
                app_status, protocol_status = struct.unpack(">IB3x", content)
                if protocol_status != 0:
                    raise Lost(f"protocol status {protocol_status}")
                break
    except OSError as error:
        raise Lost(str(error)) from error
    head, mark, body = b"".join(out).partition(b"\r\n\r\n")
    if not mark:
        raise Lost("headers have no end")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(headers.get("status", "200").split()[0]), headers, body, b"".join(errors), app_status)


def request(address, method="GET", uri="/", body=b"", params=None, timeout=10):
    """One request; returns the Answer, or raises Refused or Lost."""
    with connect(address, timeout) as connection:
        try:
            connection.sendall(encode(method, uri, body, params))
        except OSError as error:
            raise Lost(str(error)) from error
        return receive(connection)


class Kept:
    """A connection for many requests, and the means to begin one and leave it at that."""

    def __init__(self, address, timeout=20):
        self.connection = connect(address, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.connection.close()

    def begin(self, uri="/x?n=5", method="GET", body=b"", params=None, keep=True):
        try:
            self.connection.sendall(encode(method, uri, body, params, keep))
        except OSError as error:
            raise Lost(str(error)) from error

    def answer(self):
        return receive(self.connection)

    def ask(self, *args, **more):
        self.begin(*args, **more)
        return self.answer()

    def wait_end(self):
        """Returns when the other side has closed, whatever it sent before."""
        try:
            while self.connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
