"""reload_on_change: files whose replacement reloads the pool by itself."""

import os
import shutil
import time

import pytest

from kit import build
from kit.load import assert_all_right


def put(path, content=None):
    """A program that is moved to its place."""
    new = path.with_name("new")
    if content is None:
        shutil.copy(build.worker("echo_fcgx"), new)
    else:
        new.write_text(content)
    os.replace(new, path)


def wait_generation(pool, generation):
    status = pool.wait_status(lambda status: status["reload"] and status["reload"]["state"] == "done"
                              and status["generation"] >= generation, what=f"generation {generation}")
    assert status["generation"] == generation
    return status


@pytest.fixture
def program(directory):
    path = directory / "app"
    put(path)
    return path


def test_once_for_many_writes(program, directory, make_pool, make_load):
    """A program that is written piece by piece is tried when it is whole. Another file tells that it was tried once."""
    other = directory / "data"
    other.write_text("1")
    pool = make_pool(command=[str(program)], workers=2, reload_on_change=[str(program), str(other)]).up()
    load = make_load(pool.address, clients=4)
    whole = program.read_bytes()
    pieces = 20
    program.unlink()
    with program.open("wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o755)
        for i in range(pieces):
            file.write(whole[i * len(whole) // pieces:(i + 1) * len(whole) // pieces])
            time.sleep(0.15)  # a slow copy
    wait_generation(pool, 2)
    other.write_text("22")
    wait_generation(pool, 3)
    assert pool.log().count("has changed\n") == 2
    assert_all_right(load.stop(), 30)


def test_a_link_on_the_way(directory, make_pool):
    """As a deployment turns it."""
    for name in ("one", "two"):
        (directory / name).mkdir()
        put(directory / name / "app")
    current = directory / "current"
    current.symlink_to("one")
    pool = make_pool(command=["current/app"], chdir=str(directory), workers=1, reload_on_change=["current/app"]).up()
    (directory / "next").symlink_to("two")
    os.replace(directory / "next", current)
    pid = pool.serving(wait_generation(pool, 2))[0]
    assert os.readlink(f"/proc/{pid}/exe") == str(directory / "two" / "app")


def test_a_file_that_is_gone_holds_up_nobody(program, directory, make_pool):
    other = directory / "data"
    other.write_text("1")
    pool = make_pool(command=[str(program)], workers=1, reload_on_change=[str(program), str(other)]).up()
    other.unlink()
    put(program)
    wait_generation(pool, 2)
    other.write_text("2")
    wait_generation(pool, 3)


def test_what_is_broken_is_tried_once(program, make_pool, make_load):
    pool = make_pool(command=[str(program)], workers=2, start_timeout=5, reload_on_change=[str(program)]).up()
    load = make_load(pool.address, clients=4)
    before = sorted(pool.serving())
    put(program, "no program")
    pool.wait_log("everything stays as it was")
    time.sleep(2.5)  # two looks
    put(program)
    wait_generation(pool, 2)
    assert pool.log().count("has changed\n") == 2 and not set(before) & set(pool.serving())
    assert_all_right(load.stop(), 1)


def test_what_changes_in_a_pause_waits_for_its_end(program, make_pool):
    pool = make_pool(command=[str(program)], workers=1, reload_on_change=[str(program)]).up()
    assert pool.command("pause").returncode == 0
    put(program)
    time.sleep(3.5)  # three looks
    assert pool.status()["state"] == "paused"
    assert pool.command("resume").returncode == 0
    wait_generation(pool, 2)
