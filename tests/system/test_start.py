"""`fcgipool start`: the pool comes up, answers at its address, and hands workers what the control file says."""

import json
import os
import re
import signal
import socket
import stat

import pytest

from kit import build, fastcgi
from kit.nginx import free_port
from kit.pool import run
from kit.processes import alive, children, command_line, group, parent
from kit.wait import wait_until


def addresses(directory):
    return {"path": f"unix:{directory}/a.sock", "abstract": f"unix:@fcgipool-test-{os.getpid()}",
            "v4": f"127.0.0.1:{free_port()}", "v6": f"[::1]:{free_port('::1')}"}


@pytest.mark.parametrize("kind", ["path", "abstract", "v4", "v6"])
def test_answers_at_its_address(kind, directory, make_pool):
    pool = make_pool(listen=addresses(directory)[kind]).up()
    assert pool.request("/x?n=1000").body == fastcgi.pattern(1000)
    body = os.urandom(200000)
    assert pool.request("/x", "POST", body).body == body

    answer = pool.command("request", "--uri", "/x?n=10")
    assert (answer.returncode, answer.stdout) == (0, fastcgi.pattern(10).decode()), answer
    posted = pool.command("request", "--method", "POST", "--body", "-", "--uri", "/x", stdin="hello\n")
    assert (posted.returncode, posted.stdout) == (0, "hello\n"), posted
    elsewhere = run("request", "--to", pool.address, "--uri", "/x?n=3", env=pool.environment)
    assert (elsewhere.returncode, elsewhere.stdout) == (0, "abc"), elsewhere


def test_port_zero_is_told_by_status(make_pool):
    pool = make_pool(listen="127.0.0.1:0").up()
    address = pool.status()["listen"]
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", address)
    assert fastcgi.request(address, uri="/x?n=1").body == b"a"


def test_request_to_nobody_fails(directory):
    answer = run("request", "--to", f"unix:{directory}/nobody.sock")
    assert answer.returncode == 69 and answer.stderr


def test_status_tells_the_truth(make_pool):
    pool = make_pool(workers=3).up()
    answer = pool.command("status", "--json")
    assert answer.returncode == 0, answer
    status = json.loads(answer.stdout)
    assert (status["v"], status["name"], status["state"]) == (1, "pool", "running")
    assert (status["pid"], status["file"]) == (pool.pid, str(pool.file))
    assert (status["floor"], status["min"], status["max"]) == (3, 3, 3)
    assert status["queue"]["now"] == 0 and status["queue"]["limit"] > 0
    workers = status["workers"]
    assert sorted(children(pool.pid)) == sorted(each["pid"] for each in workers)
    assert sorted(each["slot"] for each in workers) == [0, 1, 2]
    assert len({each["incarnation"] for each in workers}) == 3
    assert all(each["state"] == "serving" and each["age_ms"] >= 0 for each in workers)
    text = pool.command("status")
    assert text.returncode == 0 and str(pool.pid) in text.stdout
    assert all(str(each["pid"]) in text.stdout for each in workers)


def test_socket_mode(make_pool):
    pool = make_pool(listen_mode="0604").up()
    mode = os.stat(pool.socket_path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o604
    default = make_pool().up()
    assert stat.S_IMODE(os.stat(default.socket_path).st_mode) == 0o660


def test_socket_owner(make_pool):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    pool = make_pool(listen_owner="54321", listen_group="54322").up()
    info = os.stat(pool.socket_path)
    assert (info.st_uid, info.st_gid) == (54321, 54322)


def test_pidfile_and_titles(directory, make_pool):
    pool = make_pool(name="shop", pidfile=str(directory / "shop.pid")).up()
    assert (directory / "shop.pid").read_text() == f"{pool.pid}\n"
    wait_until(lambda: command_line(pool.pid) == "fcgipool: master shop", 5, "title of the master")
    pool.stop()
    assert not (directory / "shop.pid").exists()


def test_worker_gets_what_the_file_says(directory, make_pool):
    (directory / "app").mkdir()
    pool = make_pool(command=[build.worker("inspect"), "one", "two words"], umask="0027", chdir=str(directory / "app"),
                     env={"COLOUR": "green", "FCGIPOOL_TEST_INHERITED": "no"},
                     environment={"FCGIPOOL_TEST_INHERITED": "yes", "KEPT": "as it is"}, workers=1).up()
    told = json.loads(pool.request("/").body)
    assert told["arguments"] == [build.worker("inspect"), "one", "two words"]
    assert told["directory"] == str(directory / "app")
    assert told["umask"] == 0o027
    assert {"COLOUR=green", "FCGIPOOL_TEST_INHERITED=no", "KEPT=as it is"} <= set(told["environment"])
    assert "FCGIPOOL_TEST_INHERITED=yes" not in told["environment"]


def test_worker_starts_clean(make_pool):
    """No descriptor but 0, 1, 2; no signal blocked or ignored; leader of a process group of its own. (What the
    library needs goes with the first accept: test_preload.)"""
    pool = make_pool(command=[build.worker("inspect")], workers=1, observe="kernel").up()
    told = json.loads(pool.request("/").body)
    assert told["descriptors"] == [0, 1, 2]
    assert int(told["SigBlk"], 16) == 0 and int(told["SigIgn"], 16) == 0
    assert told["group"] == told["pid"] and told["parent"] == pool.pid
    assert group(told["pid"]) == told["pid"] and parent(told["pid"]) == pool.pid


def test_defaults_start_from_the_files_directory(make_pool):
    """A relative command and socket, and no chdir."""
    pool = make_pool(listen="unix:app.sock", command=["./worker"], workers=1)
    os.symlink(build.worker("inspect"), pool.directory / "worker")
    pool.up()
    told = json.loads(fastcgi.request(f"unix:{pool.directory}/app.sock").body)
    assert told["directory"] == str(pool.directory)


def test_command_is_looked_up_in_path(make_pool):
    pool = make_pool(command=["echo_fcgx"], environment={"PATH": str(build.directory() / "tests/workers")}).up()
    assert pool.request("/x?n=1").body == b"a"


def test_set_overrides_the_file(make_pool):
    pool = make_pool(workers=1, arguments=["--set", "workers=3", "--set", "name=other"]).up()
    status = pool.status()
    assert (status["name"], status["floor"], len(status["workers"])) == ("other", 3, 3)


def test_control_socket_by_default_is_in_the_runtime_directory(make_pool):
    user = 54321 if os.geteuid() == 0 else None
    pool = make_pool(control_socket=None, name="shop", user=user)
    pool.control_path = str(pool.directory / "runtime/fcgipool/shop.sock")
    pool.up()
    answer = pool.command("status", **({"user": user, "group": user, "extra_groups": []} if user else {}))
    assert answer.returncode == 0 and "shop" in answer.stdout, answer


def test_second_master_is_refused(make_pool):
    pool = make_pool(name="shop").up()
    second = pool.command("start", timeout=20)
    assert second.returncode == 75, second
    assert "shop" in second.stderr and "\n" == second.stderr[-1]
    assert pool.request().status == 200 and pool.alive()


def test_second_master_on_the_same_address_is_refused(make_pool):
    pool = make_pool().up()
    other = make_pool(name="other", listen=pool.address)
    second = other.command("start", timeout=20)
    assert second.returncode in (70, 75) and pool.socket_path in second.stderr, second
    assert pool.request().status == 200
    assert sorted(os.listdir(other.directory)) == ["pool.json", "runtime"]


def test_stale_sockets_are_replaced(directory, make_pool):
    """After kill -9 of the master and its workers nothing needs to be tidied up by hand."""
    pool = make_pool(pidfile=str(directory / "pid")).up()
    pool.tree.kill(pool.pid)
    pool.process.wait()
    assert os.path.exists(pool.socket_path) and os.path.exists(pool.control_path)
    pool.up()
    assert pool.request().status == 200
    assert (directory / "pid").read_text() == f"{pool.pid}\n"


def test_file_in_the_way_is_not_removed(make_pool):
    pool = make_pool()
    open(pool.socket_path, "w").write("precious")
    answer = pool.command("start", timeout=20)
    assert answer.returncode not in (0, 64) and pool.socket_path in answer.stderr
    assert open(pool.socket_path).read() == "precious"


def test_foreign_listener_is_not_replaced(make_pool):
    pool = make_pool()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(pool.socket_path)
        stranger.listen()
        answer = pool.command("start", timeout=20)
        assert answer.returncode not in (0, 64) and pool.socket_path in answer.stderr
        assert os.path.exists(pool.socket_path)


def test_too_long_a_path_is_refused(make_pool):
    pool = make_pool()
    pool.write(listen="unix:/tmp/" + "x" * 110)
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 78 and "listen" in answer.stderr, answer


@pytest.mark.parametrize("command", ["/nonexistent/worker", "./worker", "no-such-program-at-all"])
def test_command_that_is_not_there(command, make_pool):
    pool = make_pool(command=[command])
    answer = pool.command("start", timeout=20)
    assert answer.returncode == 78 and "command" in answer.stderr and command.removeprefix(".") in answer.stderr
    assert sorted(os.listdir(pool.directory)) == ["pool.json", "runtime"]


def test_files_that_are_none(directory):
    for name, text in {"missing": None, "empty": "", "half": '{"listen": "unix:a', "list": "[]"}.items():
        file = directory / f"{name}.json"
        if text is not None:
            file.write_text(text)
        answer = run("start", file, cwd=directory)
        assert answer.returncode == 78 and str(file) in answer.stderr, (name, answer)


def test_usage():
    for arguments in (["start", "--nonsense"], ["start", "a", "b"], ["nonsense"], []):
        answer = run(*arguments)
        assert answer.returncode == 64 and answer.stderr, arguments
    for command in ("start", "stop", "scale", "status", "check", "request", "version"):
        answer = run(command, "--help")
        assert answer.returncode == 0 and "usage" in answer.stdout.lower(), command
    version = run("version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+\.\d+", version.stdout)


def test_log_file(directory, make_pool):
    pool = make_pool(log={"file": str(directory / "pool.log")}).up()
    lines = wait_until(lambda: (directory / "pool.log").read_text().splitlines(), 5, "log lines")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \S+ \S", line) for line in lines), lines
    assert stat.S_IMODE(os.stat(directory / "pool.log").st_mode) & 0o007 == 0
    pool.stop()


def test_lines_of_the_log(make_pool):
    pool = make_pool().up()
    pool.stop(signal.SIGTERM)
    lines = pool.log().splitlines()
    assert lines and all(
        re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \S+ \S", line) for line in lines), pool.log()
    assert not alive(pool.pid)
