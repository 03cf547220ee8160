"""scripts/layers finds what protocol/, pool/ and the library inside the workers must not include or link."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNUSED = "int unused(void) { return 0; }"
FOLDERS = ("daemon", "pool", "protocol")


@pytest.fixture
def tree(tmp_path):
    """A copy of the rooms, to be spoilt."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def layers(tree, *arguments):
    return subprocess.run(
        [ROOT / "scripts/layers", *arguments],
        env={**os.environ, "ROOT": str(tree)},
        capture_output=True,
        text=True,
    )


def archive(tree, name, source):
    """An archive of one object, compiled from source."""
    (tree / f"{name}.c").write_text(source)
    subprocess.run(["gcc", "-c", "-O0", f"{name}.c", "-o", f"{name}.o"], cwd=tree, check=True)
    subprocess.run(["ar", "rcs", f"lib{name}.a", f"{name}.o"], cwd=tree, check=True)


def library(tree, source, *options):
    """The library inside the workers, of one source."""
    (tree / "library.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", "-nostdlib", "library.c", "-o", "libfcgipool_preload.so"]
    subprocess.run([*command, *options], cwd=tree, check=True)


def test_the_tree_as_it_is_passes(tree):
    result = layers(tree)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "file, include",
    [
        ("protocol/fcgi.c", '"pool/slot.h"'),
        ("protocol/fcgi.c", '"daemon/log.h"'),
        ("protocol/fcgi.c", "<unistd.h>"),
        ("pool/policy.c", '"protocol/fcgi.h"'),
        ("pool/policy.c", '"daemon/log.h"'),
        ("pool/policy.c", "<time.h>"),
        ("pool/policy.c", "<stdlib.h>"),
        ("pool/policy.h", "<ev.h>"),
        ("daemon/act.c", '"tests/tool.h"'),
        ("daemon/act.c", '"daemon/cmd/client.h"'),
        ("daemon/conf/conf.c", '"daemon/master.h"'),
        ("daemon/kernel/retire.c", '"daemon/conf/conf.h"'),
        ("daemon/kernel/retire.c", '"pool/policy.h"'),
        ("daemon/base/log.c", '"daemon/kernel/proc.h"'),
    ],
)
def test_a_forbidden_include_is_named(tree, file, include):
    path = tree / file
    path.write_text(f"#  include {include}\n" + path.read_text())
    result = layers(tree)
    assert result.returncode != 0
    assert file in result.stderr and include in result.stderr


def test_a_folder_without_a_rule_is_named(tree):
    (tree / "pool/attic").mkdir()
    (tree / "pool/attic/old.c").write_text("#include <unistd.h>\n")
    result = layers(tree)
    assert result.returncode != 0 and "pool/attic" in result.stderr


@pytest.mark.parametrize(
    "source, named",
    [
        ("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }", "malloc"),
        ("#include <time.h>\ntime_t f(void) { return time(0); }", "time"),
        ("int counter; int f(void) { return counter++; }", "counter"),
        ("int f(void) { static int hidden = 7; return hidden++; }", "hidden"),
    ],
)
@pytest.mark.parametrize("room", ["pool", "protocol"])
def test_impure_archives_are_named(tree, room, source, named):
    for name in ("pool", "protocol"):
        archive(tree, name, source if name == room else UNUSED)
    library(tree, UNUSED)
    result = layers(tree, str(tree))
    assert result.returncode != 0
    assert f"{room}: " in result.stderr and named in result.stderr


def test_pure_archives_pass(tree):
    source = """
    #include <string.h>
    static const char *const words[] = {"a", "b"};
    const char *f(int i, char *to) { memcpy(to, words[i], 2); return words[i]; }
    """
    for name in ("pool", "protocol"):
        archive(tree, name, source)
    library(tree, UNUSED)
    result = layers(tree, str(tree))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "source, options, named",
    [
        ("int printf(const char *, ...); int f(void) { return printf(\"\"); }", [], "uses printf"),
        ("int f(void) { return 0; }", ["-Wl,--no-as-needed", "-lc"], "needs a library"),
    ],
)
def test_a_library_that_is_not_for_every_libc_is_named(tree, source, options, named):
    for name in ("pool", "protocol"):
        archive(tree, name, UNUSED)
    library(tree, source, *options)
    result = layers(tree, str(tree))
    assert result.returncode != 0 and named in result.stderr
