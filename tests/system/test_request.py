"""`fcgipool request`, with FastCGI and SCGI: what it sends, and what it says of answers good and bad."""

import re
import socket
import struct
import threading

import pytest

from kit import fastcgi, kinds
from kit.pool import run

PAGE = b"Status: 201 Created\r\nContent-Type: text/plain\r\n\r\nhello"


def record(kind, content=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def end(protocol_status=0):
    return record(fastcgi.END_REQUEST, struct.pack(">IB3x", 0, protocol_status))


class Server:
    """Takes one connection, reads until `complete` is satisfied, sends `answer`, closes."""

    def __init__(self, path, complete, answer):
        self.address = f"unix:{path}"
        self.received = b""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(20)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, args=(complete, answer))
        self.thread.start()

    def _serve(self, complete, answer):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(20)
            while not complete(self.received):
                piece = connection.recv(65536)
                if not piece:
                    return
                self.received += piece
            connection.sendall(answer)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join()
        self.listener.close()


def scgi_complete(received):
    """A whole netstring, and as many bytes as its CONTENT_LENGTH says."""
    size, colon, rest = received.partition(b":")
    if not colon or len(rest) <= int(size):
        return False
    return len(rest) - int(size) - 1 >= int(rest.split(b"\0")[1])


def fastcgi_complete(received):
    return received.endswith(record(fastcgi.STDIN))


@pytest.fixture
def ask(directory):
    """ask(protocol, answer, *arguments): the finished command, and what the server received."""
    servers = []

    def make(protocol, answer, *arguments, **more):
        complete = scgi_complete if protocol == "scgi" else fastcgi_complete
        server = Server(directory / f"server{len(servers)}.sock", complete, answer)
        servers.append(server)
        command = run("request", "--to", server.address, *(["--scgi"] if protocol == "scgi" else []), *arguments,
                      **more)
        server.close()
        return command, server.received
    yield make
    for server in servers:
        server.close()


def variables_of(received):
    """Of a request over SCGI."""
    size, _, rest = received.partition(b":")
    words = rest[:int(size) - 1].decode().split("\0")
    variables = dict(zip(words[::2], words[1::2]))
    assert len(variables) * 2 == len(words), words
    return variables


def test_scgi_request_to_the_byte(ask):
    command, received = ask("scgi", PAGE, "--uri", "/a/b?c=d", "--param", "X=y", "--body", "-", stdin="12345")
    assert (command.returncode, command.stdout, command.stderr) == (0, "hello", "")
    assert received.endswith(b"\0,12345") and received.partition(b":")[2].startswith(b"CONTENT_LENGTH\x005\x00")
    variables = variables_of(received)
    assert variables["SCGI"] == "1" and variables["X"] == "y"
    assert variables["REQUEST_METHOD"] == "POST" and variables["REQUEST_URI"] == "/a/b?c=d"
    assert variables["SCRIPT_NAME"] == "/a/b" and variables["QUERY_STRING"] == "c=d"


def test_scgi_request_without_a_body_has_length_0(ask):
    _, received = ask("scgi", PAGE)
    assert received.partition(b":")[2].startswith(b"CONTENT_LENGTH\x000\x00")
    assert received.endswith(b"\0,")


def test_headers_of_a_client(ask):
    """As the variables that a web server makes of them; any method goes."""
    _, received = ask("scgi", PAGE, "--method", "PROPFIND", "--header", "X-Some-Thing: a: b", "--header", "Host:example.org",
                      "--header", "content-type: text/xml", "--header", "Empty:", "--header", "X-Real-IP: ::1",
                      "--header", "Cookie: a=b", "--header", "cookie: c", "--header", "X-Some-Thing:more")
    found = variables_of(received)
    assert found["REQUEST_METHOD"] == "PROPFIND" and found["HTTP_X_SOME_THING"] == "a: b, more"
    assert found["HTTP_X_REAL_IP"] == "::1" and found["HTTP_COOKIE"] == "a=b; c"
    assert found["HTTP_HOST"] == "example.org" and found["CONTENT_TYPE"] == "text/xml" and found["HTTP_EMPTY"] == ""
    for header in ("none", ":x", "Content-Length: 5", "A=B: c"):
        refused = run("request", "--to", "unix:/nobody", "--header", header)
        assert refused.returncode == 64 and "--header takes NAME:VALUE" in refused.stderr, refused


@pytest.mark.parametrize("protocol", ["fastcgi", "scgi"])
def test_times_are_told_when_asked_for(protocol, ask):
    answer = PAGE if protocol == "scgi" else record(fastcgi.STDOUT, PAGE) + end()
    told = ask(protocol, answer, "--verbose")[0]
    assert told.stdout == "hello"
    assert re.fullmatch(r"connected after [0-9.]+ ms, first byte after [0-9.]+ ms, end after [0-9.]+ ms, status 201, "
                        r"5 bytes of body\n", told.stderr), told.stderr


@pytest.mark.parametrize("protocol", ["fastcgi", "scgi"])
def test_header_is_shown_when_asked_for(protocol, ask):
    answer = PAGE if protocol == "scgi" else record(fastcgi.STDOUT, PAGE) + end()
    assert ask(protocol, answer)[0].stdout == "hello"
    assert ask(protocol, answer, "--include")[0].stdout.encode() == PAGE.replace(b"\r\n", b"\n")


BAD = [
    ("scgi", b"", "without a complete response header"),
    ("scgi", b"Content-Type: text/plain\r\n", "without a complete response header"),
    ("scgi", b"not a header\n\n", "response header line"),
    ("scgi", b"Status: 503 Busy\r\n\r\n", "status 503"),
    ("fastcgi", b"", "closed the connection before the end"),
    ("fastcgi", record(fastcgi.STDOUT, PAGE), "closed the connection before the end"),
    ("fastcgi", record(fastcgi.STDOUT, PAGE) + end(2), r"protocol status 2 (OVERLOADED)"),
    ("fastcgi", b"HTTP/1.1 400 Bad Request\r\n\r\n", "FastCGI version is not 1"),
    ("fastcgi", record(fastcgi.STDIN, b"x"), "(type 5, STDIN; request id 1; 1 bytes)"),
    ("fastcgi", record(fastcgi.STDOUT, b"Status: 503 Busy\r\n\r\n") + end(), "status 503"),
    ("fastcgi", end(), "without a complete response header"),
]


@pytest.mark.parametrize("protocol, answer, text", BAD)
def test_bad_answer_fails(protocol, answer, text, ask):
    command, _ = ask(protocol, answer)
    assert command.returncode == 70, command
    assert text in command.stderr, command.stderr


def test_scgi_answer_that_a_reset_cut_fails():
    """Over TCP, a worker that closes with the body unread resets the connection; what came before may not be all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"Content-Length: 1000\r\n\r\nhello")
        for _ in range(5):
            thread = threading.Thread(target=serve)
            thread.start()
            command = run("request", "--scgi", "--to", f"127.0.0.1:{listener.getsockname()[1]}", "--body", "-",
                          stdin="x" * 8000000)
            thread.join()
            assert command.returncode == 70 and "connection broke" in command.stderr, command.stderr


def test_what_scgi_cannot_say_is_refused(directory):
    for param in ("CONTENT_LENGTH=many", "CONTENT_LENGTH=", "SCGI=2"):
        command = run("request", "--scgi", "--to", f"unix:{directory}/nobody", "--param", param)
        assert command.returncode == 64 and param.partition("=")[0] in command.stderr, command


def test_control_file_says_the_protocol(make_pool):
    pool = make_pool(command=kinds.command("scgi")[0], protocol="scgi").up()
    answer = pool.command("request", "--uri", "/x?n=10")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "abcdefghij", "")
    body = "0123456789" * 100000
    assert pool.command("request", "--body", "-", stdin=body).stdout == body
    assert run("request", "--to", pool.address, "--scgi", "--uri", "/x?n=3").stdout == "abc"
    # The other protocol is no conversation: the worker hangs up.
    assert run("request", "--to", pool.address).returncode == 70
    refused = pool.command("request", "--scgi")
    assert refused.returncode == 64 and "--scgi" in refused.stderr


def test_nobody_listens(directory):
    assert run("request", "--scgi", "--to", f"unix:{directory}/nobody").returncode == 69
