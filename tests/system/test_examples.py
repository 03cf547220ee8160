"""etc/examples: every one does what it says, with its own control file and its own snippet of nginx's configuration."""

import http.client
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kit import build
from kit.pool import run

EXAMPLES = Path(__file__).resolve().parents[2] / "etc/examples"
NAMES = sorted(file.parent.name for file in EXAMPLES.glob("*/pool.json"))
BODY = b"0123456789." * 1123  # whose length stands in no other part of an answer


@pytest.fixture
def serve(directory, make_pool, make_nginx):
    """serve(name): a copy of the example, its pool and its nginx, with every path in the test's directory."""
    def make(name):
        copy = shutil.copytree(EXAMPLES / name, directory / name)
        (directory / "run").mkdir()
        for file in (copy / "pool.json", copy / "nginx.conf"):
            text = file.read_text()
            assert "/run/fcgipool/" in text
            file.write_text(text.replace("/run/fcgipool", f"{directory}/run").replace(f"/srv/{name}", str(copy)))
        if name == "c":
            shutil.copy(build.built("fcgipool-demo"), copy / "hello")
        if name == "app":
            shutil.copy(build.built("fcgipool-demo-app.so"), copy / "wait.so")
        checked = run("check", copy / "pool.json")
        assert checked.returncode == 0, checked
        assert all("not yet in effect" in line for line in checked.stderr.splitlines()), checked

        pool = make_pool()
        pool.file = copy / "pool.json"
        pool.settings = json.loads(pool.file.read_text())
        pool.arguments = ["--set", f"control_socket={pool.control_path}"]
        if os.geteuid() != 0 and "listen_group" in pool.settings:
            pool.arguments += ["--set", f"listen_group={os.getegid()}"]
        pool.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # a sanitized host is seen into as well
        pool.up()
        return pool, make_nginx(snippet=copy / "nginx.conf"), copy
    return make


def uri_of(copy):
    """A URI that the example's location takes."""
    if (copy / "index.php").exists():
        return "/index.php"
    prefix = re.search(r"location (?:\^~ )?(/\S*)", (copy / "nginx.conf").read_text())[1]
    return prefix + "hello" if prefix.endswith("/") else prefix


def exchange(nginx, method, uri, body=None):
    connection = http.client.HTTPConnection(nginx.address, timeout=30)
    try:
        connection.request(method, uri, body)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_each_is_listed():
    listed = re.findall(r"^- `([\w-]+)`", (EXAMPLES / "README.md").read_text(), re.M)
    assert listed == NAMES and {"c", "git", "perl", "php-cgi"} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "git"])
def test_it_answers(name, serve):
    pool, nginx, copy = serve(name)
    uri = uri_of(copy) + "?colour=blue"
    status, text = exchange(nginx, "GET", uri)
    assert status == 200 and "GET" in text and uri in text, text
    status, text = exchange(nginx, "POST", uri, BODY)
    assert status == 200 and "POST" in text, text
    assert re.search(rf"\b{len(BODY)}\b", text) or BODY.decode() in text, text
    assert pool.status()["counters"]["crashed"] == 0
    pool.stop()


def test_git_clones_and_pushes(serve, directory):
    pool, nginx, copy = serve("git")
    environment = {**os.environ, "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
                   "no_proxy": "*", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
                   "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}

    def git(*arguments, cwd=directory, check=True):
        answer = subprocess.run([build.installed("git"), *map(str, arguments)], cwd=cwd, env=environment, timeout=120,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert answer.returncode == 0 or not check, answer
        return answer

    repository, url = copy / "demo.git", f"http://{nginx.address}/git/demo.git"
    content = os.urandom(3 << 20)  # more than git sends with an announced length
    git("init", "--quiet", "--bare", "--initial-branch=main", repository)
    git("clone", "--quiet", url, "first")
    (directory / "first/file").write_bytes(content)
    git("add", "file", cwd=directory / "first")
    git("commit", "--quiet", "--message=one", cwd=directory / "first")
    push = ("push", "--quiet", "origin", "HEAD:main")
    assert git(*push, cwd=directory / "first", check=False).returncode != 0, "a stranger may push"
    git("config", "http.receivepack", "true", cwd=repository)
    git(*push, cwd=directory / "first")
    git("clone", "--quiet", url, "second")
    assert (directory / "second/file").read_bytes() == content

    (directory / "first/file").write_text("two\n")
    git("commit", "--quiet", "--all", "--message=two", cwd=directory / "first")
    git(*push, cwd=directory / "first")
    git("pull", "--quiet", cwd=directory / "second")
    assert (directory / "second/file").read_text() == "two\n"
    assert pool.status()["counters"]["crashed"] == 0
    pool.stop()
