#!/usr/bin/python3
"""What recycling costs those who keep connections: requests that fail through an nginx with keepalive, while php
workers are replaced after every few requests by fcgipool, and by php-fpm.

usage: tests/bench/recycling.py OUTPUT [--quick]
OUTPUT gets the figures as JSON. FCGIPOOL_BUILD names the build directory.
"""

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

import servers  # noqa: E402
from kit import build, kinds  # noqa: E402
from kit.load import Load  # noqa: E402
from kit.nginx import Nginx  # noqa: E402
from kit.pool import Pool  # noqa: E402

WORKERS, LIMIT, CLIENTS, KEPT = 6, 50, 4, 3
MIX = "GET:10*4,GET:10?delay=2,POST:100*2,POST:20000"
# What nginx does with a request whose kept connection has ended: as it comes, and where POST is known to be safe.
RETRIES = {"default": "error timeout", "non_idempotent": "error timeout non_idempotent"}


class Fpm(servers.Fpm):
    def __init__(self, directory):
        super().__init__(directory, ["pm = static", f"pm.max_children = {WORKERS}", f"pm.max_requests = {LIMIT}"],
                         "-n", "-d", "post_max_size=64M")

    def recycled(self):
        return len(re.findall(r"child \d+ exited with code 0", (self.directory / "fpm.log").read_text()))


class Ours:
    def __init__(self, directory):
        command, _ = kinds.command("php")
        self.pool = Pool(directory, command=command, workers=WORKERS, max_requests=LIMIT,
                         env={"PHP_FCGI_MAX_REQUESTS": "0"}).up()
        self.address = self.pool.address

    def recycled(self):
        return self.pool.status()["counters"]["recycled_requests"]

    def close(self):
        self.pool.stop(timeout=60)
        self.pool.close()


def measure(server, name, retry, requests, top):
    nginx = None
    directory = top / f"{name}-{retry}"
    for each in (directory, directory / "server", directory / "nginx"):
        each.mkdir()
    running = server(directory / "server")
    try:
        nginx = Nginx(directory / "nginx", running.address, build.worker("echo.php"), keepalive=KEPT,
                      retry=RETRIES[retry])
        nginx.start()
        result = Load(directory, 0, nginx.address, http=True, clients=CLIENTS, requests=requests, mix=MIX).wait(1800)
        recycled = running.recycled()
    finally:
        if nginx:
            nginx.close()
        running.close()
    failed = {method: sum(count for what, count in result.reasons.items() if what.startswith(method))
              for method in ("GET", "POST")}
    figures = {"server": name, "retry": retry, "requests": result.sent, "recycled": recycled, **failed}
    print(figures, flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing that was started stays behind
    top = Path(tempfile.mkdtemp(prefix="fcgipool-bench-", dir="/tmp"))
    requests = 4000 if options.quick else 100000
    try:
        figures = [measure(server, name, retry, requests, top) for retry in RETRIES
                   for server, name in ((Ours, "fcgipool"), (Fpm, "php-fpm"))]
    finally:
        shutil.rmtree(top, ignore_errors=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
