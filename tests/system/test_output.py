"""What workers write to their standard error and output: line by line in the log, tagged, and never a burden."""

import socket
import subprocess
import os
import re
import signal
import time

from kit import build
from kit.wait import wait_until


def lines_of(pool, pid):
    """The log lines of one worker, with the texts that it wrote."""
    return re.findall(rf"^\S+ \S+ worker \d+ pid {pid}: (.*)$", pool.log(), re.M)


def test_lines_are_tagged(make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=2).up()
    for each in pool.status()["workers"]:
        wait_until(lambda: "from stdout" in lines_of(pool, each["pid"]), 5, "the lines of a worker")
        assert re.search(rf"worker {each['slot']} pid {each['pid']}: first line$", pool.log(), re.M)
        lines = lines_of(pool, each["pid"])
        assert lines[:2] == ["first line", "second line"]
        assert "one half" in lines, "a line that came in two pieces"
        assert sum(line.count("L") for line in lines) == 99999, "a very long line"


def test_line_without_an_end_is_kept(make_pool):
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=1).up()
    worker = pool.serving()[0]
    wait_until(lambda: "from stdout" in lines_of(pool, worker), 5, "its lines")
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: "no end" in lines_of(pool, worker), 5, "its last words")


def test_binary_does_no_harm(make_pool):
    """Control characters do not reach whoever reads the log, and what stands between them is not lost."""
    pool = make_pool(command=[build.worker("bad"), "stderr-lines"], workers=1).up()
    worker = pool.serving()[0]
    wait_until(lambda: "from stdout" in lines_of(pool, worker), 5, "its lines")
    raw = pool.log_file.read_bytes()
    assert re.search(rb"binary \? \? \?\[31m \? end$", raw, re.M)
    assert not any(byte in raw for byte in b"\0\1\33")


def test_flood_delays_nobody(make_pool):
    megabytes = build.count(16, 1024)
    pool = make_pool(command=[build.worker("bad"), "stderr-flood", str(megabytes)], workers=2,
                     start_timeout=300).start()
    pool.wait_status(lambda status: len(status["workers"]) == 2, what="the workers")
    slowest = 0
    while True:
        start = time.monotonic()
        status = pool.status()
        slowest = max(slowest, time.monotonic() - start)
        if len(pool.serving(status)) == 2:
            break
    assert slowest < 1
    assert pool.request().status == 200


def test_last_words_of_a_worker_that_cannot_start(make_pool):
    """Whoever reads the log sees why: the message comes before the verdict."""
    pool = make_pool(command=["/bin/sh", "-c", "echo cannot find the database >&2; exit 4"], workers=1).start()
    pool.wait_log(r"exited with code 4")
    assert pool.log().index("cannot find the database") < pool.log().index("exited with code 4")


def test_standard_error_that_nobody_reads(directory, make_pool):
    """A socket, as systemd gives; when it is full, lines are dropped, the master goes on, and says so later."""
    pool = make_pool(command=[build.worker("bad"), "stderr-flood", "8"], workers=2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        master = subprocess.Popen([build.fcgipool(), "start", str(pool.file)], stdin=subprocess.DEVNULL,
                                  stdout=theirs, stderr=theirs, env=pool.environment, start_new_session=True)
        try:
            pool.wait_status(lambda status: len(pool.serving(status)) == 2, timeout=20, what="two workers")
            assert pool.request().status == 200
            text = b""

            def told():
                nonlocal text
                try:
                    while piece := ours.recv(1 << 20):
                        text += piece
                except BlockingIOError:
                    pass
                return re.search(rb" warning (\d+) log lines were dropped", text)
            ours.setblocking(False)
            assert not told(), "there was no room for that"
            assert pool.command("scale", "3").returncode == 0
            assert int(wait_until(told, 5, "the number of dropped lines")[1]) > 10000
            assert pool.command("stop").returncode == 0
            assert master.wait(10) == 0
        finally:
            master.kill()
            master.wait()


def test_worker_outlives_a_closed_log(make_pool, make_load):
    """Killing the master does not break the standard error of workers that are busy."""
    pool = make_pool(workers=1).up()
    load = make_load(pool.address, clients=1, requests=1, mix="GET:10?delay=500")
    load.wait_in_hand(pool, 1)
    pool.send_signal(signal.SIGKILL)
    pool.process.wait()
    assert load.wait().ok == 1
