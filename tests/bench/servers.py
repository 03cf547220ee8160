"""The servers that benchmarks compare, each on a unix socket in a directory of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from kit import build, fastcgi, kinds, processes
from kit.pool import Pool, environment_of
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
    """uWSGI with a python application; `wrap` are words that its command begins with."""

    def __init__(self, directory, application, workers, *options, wrap=()):
        super().__init__(directory, "uwsgi", [
            *wrap, build.installed("uwsgi"), "--plugins", "python3,cheaper_busyness", "--die-on-term", "--need-app",
            "--disable-logging", "--listen", "1024", "--fastcgi-socket", f"{directory}/uwsgi.sock", "--wsgi-file",
            str(BENCH / application), "--workers", str(workers), *options], "/x")


class ScalingUwsgi(Uwsgi):
    """`options` are those of its cheaper subsystem."""

    def __init__(self, directory, high, options):
        super().__init__(directory, "work.py", high, "--master", "--cheaper", "1", "--cheaper-initial", "1", *options)


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


# As under fcgipool, where php-cgi with children cannot make a session of its own: to each of those Linux gives a share
# of the processors (sched_autogroup), and a session more or less is worth some percent.
LEADER = [sys.executable, "-c", "import os, signal, sys\n"
          "signal.signal(signal.SIGPIPE, signal.SIG_DFL), signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
          "os.setpgid(0, 0), os.execvp(sys.argv[1], sys.argv[1:])"]


def is_strace(pid):
    return processes.command_line(pid).startswith(build.installed("strace"))


def wait_for_end(mark, seconds=20):
    """Children of php-cgi end after it, strace after all, and what counts writes its figures then. Some never end."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not processes.marked(mark), seconds, "end of all")


class Bare:
    """A worker without fcgipool: spawn-fcgi for one, multiwatch for more, each leading its process group."""

    def __init__(self, directory, command, workers):
        self.path = directory / "bare.sock"
        self.address = f"unix:{self.path}"
        if workers > 1:
            command = [build.installed("multiwatch"), "-f", str(workers), "--", *LEADER, *command]
        self.mark = os.urandom(16).hex()
        self.process = subprocess.Popen(
            [build.installed("spawn-fcgi"), "-n", "-b", "2048", "-s", str(self.path), "--", *command],
            env=environment_of(self.mark, directory / "runtime"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd=directory)
        self.pid = self.process.pid
        self.patience = 20 if workers == 1 else 0
        try:
            wait_until(lambda: connects(self.address), 20, command[0])
        except BaseException:
            self.close()
            raise

    def close(self):
        """HUP first, where one worker may have to write down what was counted: threads of libfcgi stay at a TERM, and
        multiwatch would wait for ever."""
        for number in (signal.SIGHUP, signal.SIGKILL) if self.patience else (signal.SIGKILL,):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(self.patience or 20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self.process.wait()
        wait_for_end(self.mark, self.patience)
        while pids := [pid for pid in processes.marked(self.mark) if not is_strace(pid)]:
            for pid in pids:  # each has a group of its own, and php-cgi forks again
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        wait_for_end(self.mark)
        self.path.unlink(missing_ok=True)


def connects(address):
    try:
        fastcgi.connect(address).close()
        return True
    except fastcgi.Refused:
        return False


class Seen:
    """Workers under fcgipool with these settings, observed that `way`; `pid` is one of them."""

    def __init__(self, directory, way, **settings):
        self.pool = Pool(directory, **settings)
        try:
            status = self.pool.up().status()
        except BaseException:
            self.pool.close()
            raise
        self.address = self.pool.address
        self.pid = self.pool.serving(status)[0]
        ways = {each.get("observe") for each in status["workers"]}
        assert ways == {way}, f"observed by {ways}"

    def close(self):
        try:
            self.pool.send_signal(signal.SIGTERM)
            self.pool.wait_exit(30)
            wait_for_end(self.pool.tree.mark)
        finally:
            self.pool.close()
