"""The servers that benchmarks compare, each on a unix socket in a directory of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kit import build, kinds
from kit.pool import Pool
from kit.processes import children
from kit.wait import wait_until

BENCH = Path(__file__).resolve().parent

FPM = """\
[global]
error_log = {directory}/fpm.log
log_level = debug
daemonize = no
[www]
listen = {directory}/fpm.sock
clear_env = no
{user}
{pool}
"""


class Server:
    """A master of another make: `pid`, `address`, and SCRIPT_FILENAME for its workers."""

    def __init__(self, directory, name, command, script):
        self.directory = directory
        self.address = f"unix:{directory}/{name}.sock"
        self.script = str(script)
        with open(directory / "output", "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        self.pid = self.process.pid
        wait_until((directory / f"{name}.sock").exists, 20, name)

    def workers(self):
        return len(children(self.pid))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Fpm(Server):
    """php-fpm; `pool` are lines for the pool's section."""

    def __init__(self, directory, pool, *options):
        program = shutil.which("php-fpm") or next(map(str, sorted(Path("/usr/sbin").glob("php-fpm*"))), None)
        if not program:
            sys.exit("php-fpm is missing: run scripts/bench, which installs it")
        user = "user = root\ngroup = root" if os.geteuid() == 0 else ""
        (directory / "fpm.conf").write_text(FPM.format(directory=directory, user=user, pool="\n".join(pool)))
        command = [program, *options, "-y", str(directory / "fpm.conf"), *(["-R"] if user else [])]
        super().__init__(directory, "fpm", command, BENCH / "work.php")


class Uwsgi(Server):
    """uWSGI with the python application; `options` are those of its cheaper subsystem."""

    def __init__(self, directory, high, options):
        command = [build.installed("uwsgi"), "--plugins", "python3,cheaper_busyness", "--master", "--die-on-term",
                   "--need-app", "--disable-logging", "--listen", "1024", "--fastcgi-socket", f"{directory}/uwsgi.sock",
                   "--wsgi-file", str(BENCH / "work.py"), "--workers", str(high), "--cheaper", "1",
                   "--cheaper-initial", "1"]
        super().__init__(directory, "uwsgi", [*command, *options], "/x")


class Ours:
    """fcgipool with C workers, or php-cgi."""

    def __init__(self, directory, kind, **settings):
        command, self.script = [build.built("tests/work")], "/x"
        if kind == "php":
            command, self.script = kinds.command("php")[0], str(BENCH / "work.php")
        self.pool = Pool(directory, command=command, **settings).up()
        self.address, self.pid = self.pool.address, self.pool.pid

    def workers(self):
        return len(children(self.pid))

    def close(self):
        self.pool.close()
