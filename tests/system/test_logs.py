"""Log files: their formats, workers' output in a file of its own, and that rotation loses no line."""

import fcntl
import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from kit import build
from kit.load import assert_all_right
from kit.processes import descriptors
from kit.wait import wait_until

LINE = re.compile(rb"line (\d+) (\d+) (x*) end|done (\d+) (\d+)")


def json_lines(path):
    """Every line, parsed; one that is not JSON fails the test."""
    text = path.read_bytes()
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text[:-1].split(b"\n")]


def rest_of(path):
    return path.read_bytes() if path.exists() else b""


# The formats.

def test_json(make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=2, name='the "pool"',
                     log={"file": "pool.log", "format": "json"}).up()
    log = pool.directory / "pool.log"
    wait_until(lambda: rest_of(log).count(b"from stdout") == 2, 5, "the lines of both workers")
    lines = json_lines(log)
    assert all(line["pool"] == 'the "pool"' for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", line["time"]) for line in lines)
    assert any(line["level"] == "info" and "listens on" in line["message"] for line in lines)
    assert not rest_of(pool.log_file)
    for each in pool.status()["workers"]:
        own = [line["message"] for line in lines if line["level"] == "output"
               and (line["worker"], line["pid"]) == (each["slot"], each["pid"])]
        assert own[:4] == ["first line", "second line", "one half", ""]
        assert sum(message.count("L") for message in own) == 99999
        assert "binary \0 \1 \33[31m \ufffd end" in own


def test_level(make_pool):
    """A higher level leaves out what is below, but never the workers' lines."""
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=1,
                     log={"level": "error", "format": "json"}).up()
    wait_until(lambda: "from stdout" in pool.log(), 5, "the worker's lines")
    assert {line["level"] for line in json_lines(pool.log_file)} == {"output"}


# Where the workers' lines go.

def test_output_to_a_file_is_byte_for_byte(make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=1, worker_output="file",
                     worker_output_file="pool.out").up()
    out = pool.directory / "pool.out"
    wait_until(lambda: rest_of(out).endswith(b"from stdout\n"), 5, "the worker's lines")
    assert out.stat().st_mode & 0o7777 == 0o640
    os.kill(pool.serving()[0], signal.SIGKILL)
    wait_until(lambda: b"no end\n" in rest_of(out), 5, "its last words")
    first = rest_of(out).split(b"no end\n")[0]
    long_line = re.search(rb"(?:L+\n)+", first)[0]
    assert first.replace(long_line, b"<long>\n") == (
        b"first line\nsecond line\none half\n\n<long>\nbinary \0 \1 \33[31m \377 end\nfrom stdout\n")
    assert long_line.replace(b"\n", b"") == b"L" * 99999, "in pieces, and nothing is lost"
    assert "first line" not in pool.log()


def test_long_lines_are_cut_between_characters(make_pool):
    """Whoever puts the pieces together has the whole line again, in every format."""
    euros = "€" * 30000
    pool = make_pool(command=["/bin/sh", "-c", f'cat line >&2; exec "{build.worker("echo_fcgx")}"'], workers=1,
                     log={"format": "json"})
    (pool.directory / "line").write_text(f"begin {euros} end\n")
    pool.up()
    wait_until(lambda: "€ end" in pool.log(), 5, "the line")
    pieces = [line["message"] for line in json_lines(pool.log_file) if line["level"] == "output"]
    assert len(pieces) > 5 and "".join(pieces) == f"begin {euros} end"


def test_output_inherited(make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=1, worker_output="inherit",
                     log={"file": "pool.log"}).up()
    wait_until(lambda: "from stdout\n" in pool.log(), 5, "the worker's lines")
    assert pool.log().startswith("first line\nsecond line\none half\n\n")
    assert b"first line" not in rest_of(pool.directory / "pool.log")
    worker = pool.serving()[0]
    assert {os.readlink(f"/proc/{worker}/fd/{fd}") for fd in (1, 2)} == {str(pool.log_file)}
    assert not [name for name in descriptors(pool.pid).values() if name.startswith("pipe:")]
    os.kill(worker, signal.SIGKILL)
    pool.wait_status(lambda status: pool.serving(status) not in ([], [worker]), what="its successor")


@pytest.mark.parametrize("settings, named", [
    ({"log": {"file": "none/pool.log"}}, "log "),
    ({"worker_output": "file", "worker_output_file": "none/pool.out"}, "worker_output_file "),
    ({"worker_output": "file", "worker_output_file": "."}, "worker_output_file "),
])
def test_file_that_cannot_be_opened(settings, named, make_pool):
    pool = make_pool(**settings).start()
    assert pool.wait_exit() == 70
    assert re.search(rf"^{named}{pool.directory}\S*: (No such file|Is a directory)", pool.log(), re.M), pool.log()
    assert not Path(pool.socket_path).exists()


@pytest.mark.parametrize("path", ["/dev/stderr", "/dev/stdout"])
@pytest.mark.parametrize("settings, said", [
    ({"log": {"file": None}}, r'log\.file: {} is no file; the log goes to standard error when log\.file is left out'),
    ({"worker_output": "file", "worker_output_file": None}, r'worker_output_file: {} is no file; use worker_output "inh'),
])
def test_standard_streams_are_no_files(settings, said, path, make_pool):
    settings = json.loads(json.dumps(settings).replace("null", json.dumps(path)))
    pool = make_pool(**settings)
    answer = pool.command("check")
    assert answer.returncode == 78
    assert re.search(rf"^{pool.file}:\d+:\d+: {said.format(path)}", answer.stderr, re.M), answer.stderr


# Reopening.

@pytest.mark.parametrize("way", ["signal", "command"])
def test_reopen(way, make_pool):
    """Both files; the workers hear nothing of it."""
    pool = make_pool(command=[build.worker("bad"), "chatter", "1000"], log={"file": "pool.log"},
                     worker_output="file", worker_output_file="pool.out").up()
    log, out = pool.directory / "pool.log", pool.directory / "pool.out"
    before = pool.serving()
    for path in (log, out):
        path.rename(f"{path}.1")
    old = rest_of(Path(f"{out}.1"))
    wait_until(lambda: len(rest_of(Path(f"{out}.1"))) > len(old), 5, "lines in the renamed file")
    if way == "signal":
        pool.send_signal(signal.SIGUSR1)
    else:
        answer = pool.command("reopen")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    wait_until(lambda: b"was opened anew" in rest_of(log) and b"line " in rest_of(out), 5, "lines in the new files")
    size = os.path.getsize(f"{out}.1")
    wait_until(lambda: rest_of(out).count(b"\n") > 100, 5, "more lines")
    assert os.path.getsize(f"{out}.1") == size
    assert pool.serving() == before and pool.status()["counters"]["spawned"] == 2
    assert pool.request().status == 200


@pytest.mark.parametrize("which", ["log", "out"])
def test_failed_reopen_goes_on_with_the_old_file(which, make_pool):
    pool = make_pool(command=[build.worker("bad"), "chatter", "1000"], log={"file": "pool.log"},
                     worker_output="file", worker_output_file="pool.out").up()
    files = {name: pool.directory / f"pool.{name}" for name in ("log", "out")}
    path, old = files[which], pool.directory / "old"
    path.rename(old)
    path.mkdir()
    answer = pool.command("reopen")
    assert answer.returncode == 70
    what = "log" if which == "log" else "worker_output_file"
    assert f"{what} {path} cannot be opened anew: Is a directory" in answer.stderr
    told = old if which == "log" else files["log"]
    wait_until(lambda: b" error " + what.encode() in rest_of(told), 5, "the error in the log")
    size = old.stat().st_size
    pool.command("scale", "+1")
    wait_until(lambda: old.stat().st_size > size, 5, "more lines in the old file")
    path.rmdir()
    assert pool.command("reopen").returncode == 0
    wait_until(lambda: rest_of(path), 5, "lines in the new file")


def test_reopen_standard_error(make_pool):
    pool = make_pool().up()
    assert pool.command("reopen").returncode == 0
    pool.wait_log(r"info the log goes to standard error, which cannot be opened anew$")
    pool.stop()
    answer = pool.command("reopen")
    assert answer.returncode == 69 and "no master" in answer.stderr


# Rotation, as users have it.

class Rotation:
    """etc/logrotate/fcgipool for the files of one pool. Every file is held open, in the order of time, for
    logrotate packs and removes them."""

    def __init__(self, pool):
        self.pool = pool
        self.logs = pool.directory / "logs"
        self.config = pool.directory / "logrotate.conf"
        self.logs.mkdir(mode=0o755)
        text = (build.SYSTEM.parents[1] / "etc/logrotate/fcgipool").read_text()
        assert "/var/log/fcgipool" in text and "/etc/fcgipool" in text
        text = text.replace("/var/log/fcgipool", str(self.logs)).replace("/etc/fcgipool", str(pool.directory))
        self.config.write_text(text)
        self.config.chmod(0o644)
        # A pool that does not run is no reason to complain.
        idle = {**pool.settings, "name": "idle", "control_socket": "idle.sock"}
        (pool.directory / "idle.json").write_text(json.dumps(idle))
        self.history = {}  # name -> descriptors

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for each in sum(self.history.values(), []):
            os.close(each)

    def run(self):
        path = f"{Path(build.fcgipool()).parent}:{os.environ['PATH']}"
        return subprocess.run([build.installed("logrotate"), "-f", "-s", self.pool.directory / "logrotate.state",
                               self.config], env={**self.pool.environment, "PATH": path}, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=60)

    def rotate(self, *names):
        """Waits until there is something in each, for empty files are left alone."""
        wait_until(lambda: all(rest_of(self.logs / name) for name in names), 10, "something to rotate")
        answer = self.run()
        assert answer.returncode == 0 and not answer.stderr, answer
        for name in names:
            self.history.setdefault(name, []).append(os.open(self.logs / f"{name}.1", os.O_RDONLY))

    def text(self, name):
        """All that was ever written; what logrotate has packed must be the same."""
        history = [os.pread(each, os.fstat(each).st_size, 0) for each in self.history[name]]
        for number in range(2, min(len(history), 14) + 1):
            packed = gzip.decompress((self.logs / f"{name}.{number}.gz").read_bytes())
            assert packed == history[-number], f"{name}.{number}.gz"
        return b"".join(history) + rest_of(self.logs / name)


def check_lines(lines, writers):
    """Lines of `chatter`: every one whole, and none missing, of each writer. Returns how many."""
    numbers, last = {}, {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, f"torn: {line}"
        if match[4]:
            last[match[4]] = int(match[5])
        else:
            numbers.setdefault(match[1], []).append(int(match[2]))
            assert len(match[3]) == int(match[2]) % 97
    assert len(last) == writers
    for writer, count in last.items():
        assert numbers[writer] == list(range(1, count + 1)), "lines are missing or out of order"
    return sum(last.values())


@pytest.mark.parametrize("kind", ["text", "json", "file"])
def test_rotation_loses_nothing(kind, make_pool, make_load, record_property):
    rotations, lines = build.count(5, 50), build.count(100, 1000)
    pool = make_pool(command=[build.worker("bad"), "chatter", "5000"], workers=2,
                     log={"file": "logs/pool.log", "format": "json" if kind == "json" else "text"},
                     worker_output="file" if kind == "file" else "log",
                     worker_output_file="logs/out.log" if kind == "file" else None)
    with Rotation(pool) as rotation:
        pool.up()
        before = pool.serving()
        name = "out.log" if kind == "file" else "pool.log"
        names = {"pool.log", name}
        load = make_load(pool.address, clients=2, mix="GET:10")
        start = time.monotonic()
        for _ in range(rotations):
            wait_until(lambda: rest_of(rotation.logs / name).count(b"\n") > lines, 10, "lines to rotate")
            rotation.rotate(*names)
        seconds = time.monotonic() - start
        (pool.directory / "enough").touch()
        wait_until(lambda: len(re.findall(rb"\bdone \d+ \d+", rest_of(rotation.logs / name))) == 2, 60, "the last lines")
        assert_all_right(load.stop())
        assert pool.serving() == before and pool.status()["counters"]["spawned"] == 2
        text, log = rotation.text(name), rotation.text("pool.log")

    lines = text.splitlines()
    if kind == "text":
        found = [re.fullmatch(rb"\S+ (\w+) (?:worker \d+ pid \d+: )?(.*)", line) for line in lines]
        assert all(found)
        lines = [match[2] for match in found if match[1] == b"output"]
    elif kind == "json":
        parsed = map(json.loads, lines)
        lines = [each["message"].encode() for each in parsed if each["level"] == "output"]
    count = check_lines(lines, 2)
    assert log.count(b"was opened anew") == rotations * len(names)
    record_property("rotations", rotations)
    record_property("lines", count)
    record_property("lines a second", round(count / seconds))


def test_rotation_finds_the_master_of_another_user(make_pool):
    """Its control socket is where root does not look for it."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a master as another user")
    pool = make_pool(user=54321, control_socket=None, log={"file": "logs/pool.log"}, worker_output="file",
                     worker_output_file="logs/out.log")
    pool.write(command=[pool.within_reach(build.worker("bad"), "bad"), "chatter", "1000"])
    with Rotation(pool) as rotation:
        pool.up()
        os.chown(rotation.config, 0, 0)
        assert pool.command("reopen").returncode == 69, "root finds it: this test says nothing"
        rotation.rotate("out.log", "pool.log")
        wait_until(lambda: b"was opened anew" in rest_of(rotation.logs / "pool.log")
                   and rest_of(rotation.logs / "out.log").count(b"\n") > 10, 10, "lines in the new files")
        rotation.rotate("out.log", "pool.log")
        wait_until(lambda: rest_of(rotation.logs / "out.log"), 10, "lines in the new file")
        (pool.directory / "enough").touch()
        wait_until(lambda: rest_of(rotation.logs / "out.log").count(b"done ") == 2, 10, "the last lines")
        pool.stop()
        check_lines(rotation.text("out.log").splitlines(), 2)


def test_rotation_tells_what_went_wrong(make_pool):
    """A pool that cannot open its file anew fails the rotation, by name, and serves on."""
    pool = make_pool(log={"file": "logs/pool.log"})
    with Rotation(pool) as rotation:
        pool.up()
        script = rotation.config.read_text()
        assert "failed=0\n" in script
        rotation.config.write_text(script.replace("failed=0\n", f"failed=0\nmkdir {rotation.logs}/pool.log\n"))
        answer = rotation.run()
        assert answer.returncode != 0
        assert f"{pool.file}: fcgipool: log {rotation.logs}/pool.log cannot be opened anew: Is a dir" in answer.stderr
    assert b"cannot be opened anew" in rest_of(rotation.logs / "pool.log.1")
    assert pool.request().status == 200


# More than anybody takes.

def test_a_worker_that_floods_slows_nobody(make_pool, make_load, record_property):
    megabytes = build.count(20, 1024)
    pool = make_pool(command=[build.worker("bad"), "flood-on-request"], workers=3, timeout=0, log={"file": "pool.log"}).up()
    load = make_load(pool.address, clients=1, mix="GET:10")
    load.wait_ok(50)
    answers, took = [], []
    flood = threading.Thread(target=lambda: answers.append(pool.request(f"/x?n=5&flood={megabytes}", timeout=300)))
    start = time.monotonic()
    flood.start()
    served = load.progress().ok
    while flood.is_alive() or len(took) < 100:
        asked = time.monotonic()
        with pool.control() as control:
            assert "result" in control.call("status")
        took.append(1000 * (time.monotonic() - asked))
    seconds = time.monotonic() - start
    flood.join()
    load.wait_ok(10)
    served = load.progress().ok - served
    result = load.stop()
    assert_all_right(result, 60)
    assert answers[0].status == 200
    log = pool.directory / "pool.log"
    expected = megabytes * 8192

    def whole():
        count = 0
        with open(log, "rb") as stream:
            last = b""
            while piece := stream.read(1 << 24):
                count += (last + piece).count(b"f\n")
                last = piece[-1:]
        return count == expected
    wait_until(whole, 60, "every line in the log")
    took.sort()
    p99 = took[len(took) * 99 // 100]
    record_property("megabytes", megabytes)
    record_property("MB a second", round(megabytes / seconds))
    record_property("status p99 ms", round(p99, 1))
    record_property("slowest status ms", round(took[-1], 1))
    record_property("requests answered right meanwhile", served)
    record_property("slowest request ms", result.slowest_ms)
    assert p99 < (50 if build.FULL else 500)


def readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


def test_pipe_that_nobody_reads(make_pool):
    """Lines are dropped, none is torn, and afterwards the log says how many."""
    pool = make_pool(command=[build.worker("bad"), "stderr-flood", "4"], workers=2, log={"file": "fifo"})
    os.mkfifo(pool.directory / "fifo")
    reader = os.open(pool.directory / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    text = b""

    def read():
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return text
    try:
        pool.up()
        assert pool.request().status == 200
        wait_until(lambda: b"fff" in read(), 5, "the first lines")
        wait_until(lambda: not readable(reader) or not read(), 5, "an empty pipe")
        assert pool.command("scale", "3").returncode == 0

        def told():
            return re.search(rb"warning (\d+) log lines were dropped", read())
        wait_until(told, 5, "how many were dropped")
        pool.stop()
        while readable(reader) and (piece := os.read(reader, 1 << 20)):
            text += piece
    finally:
        os.close(reader)
    lines = text.splitlines()
    floods = [line for line in lines if b" output " in line]
    assert all(re.fullmatch(rb"\S+ output worker \d pid \d+: f{127}", line) for line in floods)
    assert all(re.fullmatch(rb"\S+ (info|warning|output) [^\n]*", line) for line in lines)
    dropped = sum(int(count) for count in re.findall(rb"warning (\d+) log lines were dropped", text))
    assert dropped > 10000


@pytest.mark.parametrize("user", [None, 54321])
def test_terminal_that_nobody_reads(user, make_pool):
    """`su app -c 'fcgipool start'` from root's terminal: the master cannot open it anew for itself, and must not
    make it non-blocking for whoever shares it. It never waits for it."""
    if user and os.geteuid() != 0:
        pytest.skip("only root can start a master as another user")
    ours, theirs = pty.openpty()
    pool = make_pool(user=user, workers=2)
    pool.write(command=[pool.within_reach(build.worker("bad"), "bad"), "chatter", "2000"])
    pool.stderr = theirs
    text = b""

    def read():
        nonlocal text
        text += os.read(ours, 1 << 16)
        return text
    try:
        pool.up()
        assert not fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK
        assert os.ttyname(theirs) in descriptors(pool.pid).values()
        over = time.monotonic() + 2
        while time.monotonic() < over:  # a terminal is full after 100 ms of that
            assert pool.request().status == 200 and pool.status()["state"] == "running"
        wait_until(lambda: re.search(rb"warning \d+ log lines were dropped", read()), 20, "how many were dropped")
        pool.stop()
        while readable(ours):
            read()
    finally:
        os.close(ours)
        os.close(theirs)
    whole = re.compile(rb"\S+ (info|warning|output) [^\n]*")
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    assert len(lines) > 100 and all(whole.fullmatch(line) for line in lines[:-1])
    outputs = [line for line in lines[:-1] if b" output " in line]
    assert all(re.search(rb"(line \d+ \d+ x* end|done \d+ \d+)$", line) for line in outputs)


@pytest.mark.parametrize("settings", [
    {"log": {"file": "/dev/full"}},
    {"worker_output": "file", "worker_output_file": "/dev/full"},
])
def test_full_disk(settings, make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-flood", "2"], workers=2, **settings).up()
    assert pool.request().status == 200
    assert pool.command("scale", "3").returncode == 0
    if "worker_output" in settings:
        pool.wait_log(r"error worker_output_file /dev/full: No space left on device; lines of the workers are dropped$")
    pool.stop()
    if "worker_output" in settings:
        dropped = re.findall(r"warning worker_output_file\S*: (\d+) lines of the workers were dropped$", pool.log(), re.M)
        assert sum(map(int, dropped)) == 3 * 2 * 8192
