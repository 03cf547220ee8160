"""The control socket: it serves its owner, and nobody can make it deaf."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from kit import build
from kit.pool import run
from kit.wait import wait_until


def quick_status(pool):
    """Asks for the status, and holds the master to a time."""
    limit = 30 if build.instrumented() else 1
    start = time.monotonic()
    assert pool.status()["state"] == "running"
    elapsed = time.monotonic() - start
    assert elapsed < limit, f"status took {elapsed:.1f} s"


def test_mode(make_pool):
    pool = make_pool().up()
    assert stat.S_IMODE(os.stat(pool.control_path).st_mode) == 0o600


BAD_REQUESTS = [b"garbage", b"", b"{", b"[]", b"1", b'"status"', b"{}", b'{"v":1}', b"\0\xff\xfe",
                b'{"v":1,"command":17}', b'{"v":1,"command":"nonsense","args":{}}',
                b'{"v":2,"command":"status","args":{}}', b'{"v":1,"command":"scale","args":[]}',
                b'{"v":1,"command":"scale","args":{"number":"x"}}',
                b'{"v":1,"command":"scale","args":{"number":1e99,"relative":false}}',
                b'{"v":1,"command":"scale","args":{"number":9223372036854775807,"relative":true}}',
                b'{"v":1,"command":"scale","args":{"number":-9223372036854775808,"relative":true}}',
                b'{"v":1,"v":1,"command":"status"}', b"[" * 30000,
                b'{"v":4294967297,"command":"status"}', b'{"v":1,"command":"status","args":[]}',
                # The answer is cut to its limit in the middle of a character.
                *(b'{"v":1,"command":"' + b"x" * skip + "\u20ac".encode() * 300 + b'"}' for skip in range(3))]


@pytest.mark.parametrize("line", BAD_REQUESTS, ids=lambda line: repr(line[:60]))
def test_bad_requests_are_told(line, make_pool):
    pool = make_pool().up()
    with pool.control() as control:
        control.send(line + b"\n")
        answer = control.line()
        assert set(answer) == {"error"}, answer
        assert answer["error"]["text"] and isinstance(answer["error"]["code"], int)
        assert control.call("status")["result"]["state"] == "running"
    assert len(pool.serving()) == 2


def test_line_that_is_too_long(make_pool):
    pool = make_pool().up()
    with pool.control() as control:
        try:
            for _ in range(64):
                control.send(b"x" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = control.line()
        assert answer is None or "error" in answer
        assert answer is None or control.line() is None
    quick_status(pool)


def test_request_in_pieces(make_pool):
    pool = make_pool().up()
    with pool.control() as control:
        control.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for byte in json.dumps({"v": 1, "command": "status", "args": {}}).encode() + b"\n":
            control.send(bytes([byte]))
        assert control.line()["result"]["pid"] == pool.pid


def test_several_requests_at_once(make_pool):
    pool = make_pool().up()
    with pool.control() as control:
        control.send(b'{"v":1,"command":"status","args":{}}\n' * 20)
        assert [control.line()["result"]["pid"] for _ in range(20)] == [pool.pid] * 20


def test_half_a_line_and_gone(make_pool):
    pool = make_pool().up()
    for _ in range(20):
        with pool.control() as control:
            control.send(b'{"v":1,"comm')
    quick_status(pool)


def test_client_that_leaves_while_its_command_runs(make_pool):
    """The command is carried out all the same."""
    pool = make_pool(command=[build.worker("bad"), "slow-start", "300"], workers=1).up()
    with pool.control() as control:
        control.send(b'{"v":1,"command":"scale","args":{"number":3,"relative":false}}\n')
        control.line()
    pool.wait_status(lambda status: len(pool.serving(status)) == 3, what="three workers")


def test_hundred_idle_clients(make_pool):
    pool = make_pool().up()
    clients = [pool.control() for _ in range(100)]
    try:
        for _ in range(10):
            quick_status(pool)
        assert pool.command("status").returncode == 0
    finally:
        for each in clients:
            each.close()
    quick_status(pool)


def test_slow_readers_delay_nobody(make_pool):
    """Clients that ask and ask and never read."""
    pool = make_pool(workers=8).up()
    request = b'{"v":1,"command":"status","args":{}}\n' * 100
    clients = [pool.control() for _ in range(8)]
    try:
        for each in clients:
            each.socket.setblocking(False)
        for _ in range(60):
            for each in clients:
                try:
                    each.send(request)
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    pass
            quick_status(pool)
    finally:
        for each in clients:
            each.close()
    quick_status(pool)
    with open(f"/proc/{pool.pid}/status") as stream:
        size_kb = int(next(line for line in stream if line.startswith("VmRSS")).split()[1])
    assert build.instrumented() or size_kb < 60000


def test_many_clients_in_a_row_leave_nothing(make_pool):
    pool = make_pool().up()
    quick_status(pool)
    before = len(os.listdir(f"/proc/{pool.pid}/fd"))
    for _ in range(build.count(300, 10000)):
        pool.status()
    wait_until(lambda: len(os.listdir(f"/proc/{pool.pid}/fd")) <= before, 5, "no more descriptors than before")


def test_work_goes_on_under_a_storm_of_clients(make_pool, make_load):
    pool = make_pool().up()
    load = make_load(pool.address, clients=2, mix="GET:10")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        clients = [pool.control() for _ in range(30)]
        for each in clients:
            each.send(b'{"v":1,"command":"status","args":{}}\n')
            each.close()
    load.wait_ok(50)
    result = load.stop()
    assert result.lost == result.refused == 0


def as_stranger(code, *arguments):
    """Runs a piece of Python as a user that is neither root nor ours."""
    return subprocess.run([sys.executable, "-I", "-c", code, *arguments], user=54321, group=54321, extra_groups=[],
                          capture_output=True, text=True, timeout=20)


def test_another_user_is_refused(make_pool):
    """By the socket's mode; and by who it is, even where the mode would let it in."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    pool = make_pool().up()
    code = ("import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.settimeout(10)\n"
            "s.connect(sys.argv[1])\n"
            "try:\n"
            "    s.sendall(b'{\"v\":1,\"command\":\"status\",\"args\":{}}\\n')\n"
            "    print('answer:', s.recv(65536).decode())\n"
            "except OSError as error:\n"
            "    print('answer:', error)\n")
    refused = as_stranger(code, pool.control_path)
    assert refused.returncode != 0 and "PermissionError" in refused.stderr, refused
    os.chmod(pool.control_path, 0o666)
    turned_away = as_stranger(code, pool.control_path)
    assert turned_away.returncode == 0 and "answer:" in turned_away.stdout, turned_away
    assert "result" not in turned_away.stdout and "workers" not in turned_away.stdout
    quick_status(pool)


def test_master_of_another_file_is_refused(make_pool, directory):
    """Two files with one name: a command for the one does not reach the master of the other."""
    pool = make_pool(name="shop").up()
    other = make_pool(name="shop", control_socket=pool.control_path)
    answer = other.command("stop")
    assert answer.returncode == 69 and str(pool.file) in answer.stderr and str(other.file) in answer.stderr, answer
    assert pool.alive() and pool.request().status == 200


def test_commands_do_not_pass_on_what_a_terminal_obeys(directory):
    """Who has got at the socket may say what he likes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "c.sock"))
        listener.listen()
        answers = [{"error": {"code": 70, "text": "\x1b]0;evil\x07 \x9b2J"}}, {"error": {"code": 256, "text": "x"}},
                   {"error": {}}, {"result": {"name": "\x1b[2J", "state": "\x9b1m"}}]
        for answer, code in zip(answers, (70, 70, 70, 0)):
            def serve():
                client, _ = listener.accept()
                with client:
                    client.recv(4096)
                    client.sendall(json.dumps(answer).encode() + b"\n")
            thread = threading.Thread(target=serve)
            thread.start()
            command = run("status", "--control", directory / "c.sock")
            thread.join()
            assert command.returncode == code, command
            assert not set("\x1b\x07\x9b") & set(command.stdout + command.stderr), command
            assert "null" not in command.stderr


def test_control_file_whose_path_is_no_text(directory):
    file = os.fsencode(directory) + b"/caf\xe9.json"
    with open(file, "w") as stream:
        stream.write('{"listen": "127.0.0.1:0", "command": ["/bin/true"]}')
    for command, code in (("check", 78), ("start", 78), ("status", 64), ("stop", 64)):
        answer = subprocess.run([build.fcgipool(), command, file], capture_output=True, timeout=20, check=False)
        assert answer.returncode == code and b"UTF-8" in answer.stderr, answer
