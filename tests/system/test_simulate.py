"""`fcgipool simulate`: a control file's scaling in virtual time, on the command line."""

import json
import os
import re
import shutil
import xml.etree.ElementTree as tree

import pytest

from kit.pool import run

RIVALS = ["fpm-dynamic", "fpm-ondemand", "uwsgi-spare", "uwsgi-busyness"]


@pytest.fixture
def file(directory):
    path = directory / "pool.json"
    path.write_text(json.dumps({"listen": "unix:app.sock", "command": ["/bin/true"], "workers": {"min": 1, "max": 20}}))
    return path


@pytest.fixture
def trace(directory):
    path = directory / "trace.csv"
    path.write_text("at_ms,service_ms\n0,10\n0,10\n0,10\n")
    return path


def simulate(*arguments, **more):
    return run("simulate", *arguments, timeout=60, **more)


def figures(*arguments):
    answer = simulate("--json", *arguments)
    assert answer.returncode == 0, answer
    return json.loads(answer.stdout)


def test_a_queue_that_can_be_computed_by_hand(file, trace):
    found = figures("--trace", trace, "--set", "workers=1", "--start", 0, file)
    assert found["v"] == 1 and found["start_ms"] == 0
    assert found["workers"]["min"] == found["workers"]["max"] == 1 and found["workers"]["spare"] == "auto"
    assert found["trace"] == {"source": str(trace), "seconds": 0.0, "requests": 3,
                              "demand": {"mean": 0.0, "peak": 3}, "ideal_spawns": 1}
    assert found["managers"] == [{
        "name": "fcgipool", "wait_ms": {"p50": 10.0, "p95": 20.0, "p99": 20.0, "max": 20.0}, "worker_seconds": 0.03,
        "spawns": 1, "largest": 1, "saturated_seconds": 0.02, "unserved": 0}]


def test_a_table_for_people_with_all_rivals(file):
    answer = simulate("--generate", "steps", "--seconds", 120, "--rival", "all", file)
    assert answer.returncode == 0 and not answer.stderr
    assert re.search(r"^workers 1 to 20, idle_timeout 30 s, ready after 100 ms$", answer.stdout, re.M)
    names = [line.split()[0] for line in answer.stdout.splitlines()[5:]]
    assert names == ["fcgipool", *RIVALS, "ideal"]


def test_the_seed_decides(file):
    def run_with(seed):
        return figures("--generate", "poisson", "--seconds", 60, "--seed", seed, "--rival", "fpm-dynamic", file)
    assert run_with(5) == run_with(5)
    assert run_with(5)["trace"] != run_with(6)["trace"]


def test_demand_by_clients_and_by_rate(file):
    by_clients = figures("--generate", "poisson", "--seconds", 60, "--clients", 8, "--service", 200, file)
    by_rate = figures("--generate", "poisson", "--seconds", 60, "--rate", 40, "--service", 200, file)
    assert by_clients["trace"] == by_rate["trace"]
    assert 7 < by_clients["trace"]["demand"]["mean"] < 9


def test_a_trace_can_be_longer_than_its_requests(file, trace):
    found = figures("--trace", trace, "--seconds", 100, "--set", "workers=2", "--start", 0, file)
    assert found["trace"]["seconds"] == 100.0 and found["managers"][0]["worker_seconds"] == 200.0


def test_a_rival_with_parameters(file, trace):
    spec = "fpm-dynamic:start_servers=3,min_spare_servers=1,max_spare_servers=3"
    found = figures("--trace", trace, "--start", 0, "--rival", spec, file)
    assert [each["name"] for each in found["managers"]] == ["fcgipool", spec]
    assert found["managers"][1]["wait_ms"]["max"] == 0.0 and found["managers"][1]["spawns"] == 3


def test_pictures(file, directory):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    svg, png, temporary = directory / "it's.svg", directory / "picture.png", directory / "tmp"
    temporary.mkdir()
    for picture in (svg, png):
        answer = simulate("--generate", "bursts", "--seconds", 60, "--rival", "fpm-ondemand", "--plot", picture, file,
                          env={**os.environ, "TMPDIR": str(temporary)})
        assert answer.returncode == 0 and not answer.stderr, answer
    assert tree.parse(svg).getroot().tag.endswith("svg")
    assert "fpm-ondemand" in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
    assert not list(temporary.iterdir())


def test_without_gnuplot(file, directory):
    answer = simulate("--generate", "poisson", "--seconds", 10, "--plot", directory / "x.svg", file,
                      env={**os.environ, "PATH": str(directory)})
    assert answer.returncode == 70 and "gnuplot-nox" in answer.stderr


def test_a_picture_that_cannot_be_written(file, directory):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    answer = simulate("--generate", "poisson", "--seconds", 10, "--plot", directory / "none/x.svg", file)
    assert answer.returncode == 70 and f"{directory}/none/x.svg: No such file" in answer.stderr


@pytest.mark.parametrize("arguments, named", [
    ([], "--trace or --generate"),
    (["--generate", "poisson", "--trace", "x.csv"], "--trace or --generate"),
    (["--generate", "nonsense"], "nonsense"),
    (["--generate", "poisson", "--seconds", "0"], "--seconds"),
    (["--generate", "poisson", "--seconds", "1e9"], "--seconds"),
    (["--generate", "poisson", "--service", "nan"], "--service"),
    (["--generate", "poisson", "--seed", "-1"], "--seed"),
    (["--generate", "poisson", "--seed", "1x"], "--seed"),
    (["--generate", "poisson", "--rate", "5", "--clients", "5"], "not both"),
    (["--generate", "poisson", "--rate", "1000000", "--seconds", "86400"], "requests"),
    (["--generate", "poisson", "--rival", "apache"], "apache"),
    (["--generate", "poisson", "--rival", "fpm-dynamic:spare=1"], "spare"),
    (["--generate", "poisson", "--plot", "x.gif"], "x.gif"),
    (["--trace", "x.csv", "--seed", "1"], "--generate"),
    (["--trace", "x.csv", "--rate", "1"], "--generate"),
    (["--nonsense"], "usage"),
])
def test_usage(arguments, named, file):
    answer = simulate(*arguments, file)
    assert answer.returncode == 64 and named in answer.stderr and not answer.stdout, answer


def test_a_bad_trace(file, directory):
    path = directory / "bad.csv"
    path.write_text("at_ms,service_ms\n0,10\n5,x\n4,1\n")
    answer = simulate("--trace", path, file)
    assert answer.returncode == 78
    assert re.search(rf"^{path}:3:3: .*service_ms", answer.stderr, re.M)
    answer = simulate("--trace", directory / "missing.csv", file)
    assert answer.returncode == 78 and f"{directory}/missing.csv: No such file" in answer.stderr


def test_a_bad_control_file(file, trace):
    file.write_text('{"listen": "unix:app.sock"}')
    answer = simulate("--trace", trace, file)
    assert answer.returncode == 78 and answer.stderr.startswith(str(file))


def test_help():
    answer = simulate("--help")
    assert answer.returncode == 0 and "slow-start" in answer.stdout
