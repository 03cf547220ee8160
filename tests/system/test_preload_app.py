"""preload_app: the application is loaded once, and workers are forked with it in their memory. They are workers like any
others."""

import os
import re
import signal
from pathlib import Path

import pytest

from kit import build
from kit.processes import alive, children, command_line, parent
from kit.wait import wait_until


def preloaded(make_pool, worker_class="sync", *, env=None, **settings):
    env = {"SLOT": "${slot}", **(env or {})}
    if build.instrumented():  # the host, too; the library that sees into it comes before the sanitizer's
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
    return make_pool(command=None, app=build.built("tests/workers/table_app.so"), worker_class=worker_class, preload_app=True,
                     env=env, **settings)


def templates(pool):
    return [pid for pid in children(pool.pid) if "--template" in command_line(pid) and pid not in pool.serving()]


def answers(pool, workers):
    """What each worker says of itself, by pid."""
    found = {}

    def ask():
        said = dict(line.split("=", 1) for line in pool.request().body.decode().split("\n") if line)
        found[int(said["pid"])] = said
        return len(found) == workers
    wait_until(ask, 30, f"an answer of each of {workers} workers")
    return found


@pytest.mark.parametrize("observe", ["auto", "kernel"])
@pytest.mark.parametrize("worker_class", ["sync", "threads", "async"])
def test_loaded_once(worker_class, observe, make_pool):
    pool = preloaded(make_pool, worker_class, workers=3, observe=observe, env={"TABLE_MB": "1"}, assign={"VALUE": ["a", "b", "c"]})
    status = pool.up().status()
    [template] = templates(pool)
    found = answers(pool, 3)
    assert sorted(found) == sorted(pool.serving(status))
    assert {said["loader"] for said in found.values()} == {str(template)}
    assert {said["right"] for said in found.values()} == {"256"}
    assert {(said["forks"], said["starts"]) for said in found.values()} == {("2", "1")}
    assert sorted(said["slot"] for said in found.values()) == ["0", "1", "2"]
    assert sorted(said["value"] for said in found.values()) == ["a", "b", "c"]
    assert {said["preload"] for said in found.values()} == {""}
    assert all(parent(pid) == pool.pid and os.getpgid(pid) == pid for pid in found)
    assert {worker["observe"] for worker in pool.status()["workers"]} == {"kernel" if observe == "kernel" else "preload"}
    assert pool.log().count("the table is loaded") == 1
    pool.stop()
    assert "unasked" not in pool.log()


def test_file_output(directory, make_pool):
    """What the template has written, and the workers, ends up in the file; the pool ends as ever."""
    output = directory / "output"
    pool = preloaded(make_pool, workers=2, worker_output="file", worker_output_file=str(output)).up()
    assert len(answers(pool, 2)) == 2
    wait_until(lambda: "the table is loaded" in output.read_text(), 10, "the line")
    pool.stop()


def test_given_up_and_wanted_again(make_pool):
    """While the application loads, workers are scaled away and called back."""
    pool = preloaded(make_pool, workers=3, env={"LOAD_MS": "3000"})
    pool.start()
    pool.wait_log("template pid [0-9]+ started")
    for number in [signal.SIGTTOU] * 2 + [signal.SIGTTIN] * 4:
        floor = pool.status()["floor"]
        pool.send_signal(number)
        pool.wait_status(lambda status: status["floor"] == floor + (1 if number == signal.SIGTTIN else -1), what="the change")
    pool.wait_ready(5)
    assert len(answers(pool, 5)) == 5
    log = pool.log()
    assert log.count("the table is loaded") == 1 and "is given up, which its template has not forked yet" in log
    pool.stop()


def test_without_it_each_worker_loads(make_pool):
    pool = preloaded(make_pool, workers=2)
    pool.write(preload_app=False)
    pool.up()
    found = answers(pool, 2)
    assert all(said["loader"] == str(pid) and said["forks"] == "0" for pid, said in found.items())
    pool.stop()


def test_memory_is_shared(make_pool, record_property):
    """Of a table of 200 MB that ten workers have, not much more than one is there."""
    pool = preloaded(make_pool, workers=10, env={"TABLE_MB": "200"}).up(timeout=60)
    assert len(answers(pool, 10)) == 10

    def kilobytes(pid):
        return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
    total = sum(kilobytes(pid) for pid in [*pool.serving(), *templates(pool)]) / 1024
    record_property("MB of all ten and the template", round(total))
    assert total < 300
    pool.stop()


def test_reload_renews_the_template(make_pool):
    pool = preloaded(make_pool, workers=2, env={"VALUE": "old"}).up()
    [before] = templates(pool)
    pool.write(env={**pool.settings["env"], "VALUE": "new"})
    assert pool.command("reload").returncode == 0
    pool.wait_status(lambda status: len(status["workers"]) == 2, what="the end of the former workers")
    assert {said["value"] for said in answers(pool, 2).values()} == {"new"}
    wait_until(lambda: not alive(before), 10, "the end of the former template")
    wait_until(lambda: len(templates(pool)) == 1, 10, "the end of the former workers")
    pool.stop()


def test_template_dies(make_pool):
    """Workers serve on; the next one that is wanted comes from a new template."""
    pool = preloaded(make_pool, workers=2).up()
    [template] = templates(pool)
    workers = sorted(pool.serving())
    os.kill(template, signal.SIGKILL)
    pool.wait_log(f"template pid {template} was killed by signal 9")
    assert sorted(answers(pool, 2)) == workers
    os.kill(workers[0], signal.SIGKILL)
    pool.wait_status(lambda status: len(set(pool.serving(status)) - {workers[0]}) == 2, what="a new worker")
    assert {said["loader"] for pid, said in answers(pool, 2).items() if pid != workers[1]} == {str(templates(pool)[0])}
    pool.stop()


def test_load_fails(make_pool):
    """Of the first start, which says so; of a reload, which is rolled back."""
    pool = preloaded(make_pool, workers=2, failures=1)
    good = pool.settings["env"]
    pool.write(env={**good, "LOAD_FAILS": "7"})
    failed = pool.detach()
    assert failed.returncode == 70, failed
    words = "exited with code 4 (the application could not be loaded)"
    assert words in failed.stderr and "its load function has returned 7" in failed.stderr, failed.stderr
    pool.write(env=good)
    pool.up()
    before = sorted(pool.serving())
    pool.write(env={**good, "LOAD_FAILS": "7"})
    failed = pool.command("reload")
    assert failed.returncode == 70 and words in failed.stderr, failed.stderr
    assert sorted(pool.serving()) == before
    pool.stop()


def test_start_fails(make_pool):
    """Of what was forked: as the worker says it."""
    pool = preloaded(make_pool, workers=2, failures=1, env={"START_FAILS": "7"})
    failed = pool.detach()
    assert failed.returncode == 70, failed
    assert "exited with code 3 (the application could not start)" in failed.stderr, failed.stderr
    assert "its start function has returned 7" in failed.stderr, failed.stderr


def test_environment_too_large(make_pool):
    """More than an order can carry: said at once, for each worker."""
    pool = preloaded(make_pool, workers=3, failures=1, env={f"V{number}": "x" * 100000 for number in range(3)})
    failed = pool.detach()
    assert failed.returncode == 70 and "order to the template: Argument list too long" in failed.stderr, failed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else's master")
def test_another_user(make_pool):
    pool = preloaded(make_pool, workers=2)
    shared = Path(pool.directory) / "table_app.so"
    shared.write_bytes(Path(pool.settings["app"]).read_bytes())
    shared.chmod(0o755)
    pool.write(app=str(shared), user="nobody", listen_mode="0666")
    pool.up()
    found = answers(pool, 2)
    assert all(os.stat(f"/proc/{pid}").st_uid == 65534 for pid in [*found, *templates(pool)])
    pool.stop()


def test_load_takes_too_long(make_pool):
    """As with a command that does not come up: it is killed, and who waits is told."""
    pool = preloaded(make_pool, workers=2, failures=1, start_timeout="300ms", env={"LOAD_MS": "60000"})
    failed = pool.detach()
    assert failed.returncode == 70 and "is killed: start_timeout passed" in failed.stderr, failed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_stop_while_it_loads(number, make_pool):
    pool = preloaded(make_pool, workers=2, env={"LOAD_MS": "60000"})
    pool.start()
    pool.wait_log("template pid [0-9]+ started")
    pool.send_signal(number)
    assert pool.wait_exit(10) == 0
    wait_until(lambda: not pool.tree.living(), 10, "the end of all")


def test_master_dies(make_pool):
    """The template goes with it, the workers stay."""
    pool = preloaded(make_pool, workers=2).up()
    [template] = templates(pool)
    workers = pool.serving()
    pool.process.kill()
    pool.process.wait()
    wait_until(lambda: not alive(template), 10, "the end of the template")
    assert all(alive(pid) for pid in workers)
    assert pool.request().status == 200
    pool.start()
    pool.wait_ready()
    wait_until(lambda: not any(alive(pid) for pid in workers), 20, "the end of the orphans")
    pool.stop()
