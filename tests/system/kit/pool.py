"""A pool on a fresh directory: its control file, its master, and everything that descends from it."""

import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import termios
import uuid

from . import build, fastcgi
from .control import Control
from .processes import MARK, Tree, alive
from .wait import wait_until


def run(*arguments, env=None, cwd=None, timeout=60, stdin=None, binary=None, **more):
    """One fcgipool command, to its end; output as text."""
    return subprocess.run([binary or build.fcgipool(), *map(str, arguments)], env=env, cwd=cwd, timeout=timeout,
                          input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", **more)


class Background:
    """A master that is no child of ours, with the part of Popen's interface that Pool uses. Its exit code is
    nobody's to know: it counts as 0."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def poll(self):
        if self.returncode is None and not alive(self.pid):
            self.returncode = 0
        return self.returncode

    def wait(self, timeout=20):
        wait_until(lambda: self.poll() is not None, timeout, f"end of {self.pid}")
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)


def environment_of(mark, runtime):
    """Of a master, and so of its workers."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("FCGIPOOL_", "LISTEN_", "NOTIFY_", "WATCHDOG_"))}
    return {**kept, MARK: mark, "XDG_RUNTIME_DIR": str(runtime),
            "PHP_FCGI_MAX_REQUESTS": "0"}  # php-cgi leaves after 500 otherwise


class Pool:
    """The settings given are added to a small default: a unix socket and two well-behaved workers; a setting of
    None is left out. `arguments` go before the file on the command line of `start`."""

    def __init__(self, directory, *, arguments=(), user=None, limits=None, environment=None, binary=None, **settings):
        self.directory = directory
        self.file = directory / "pool.json"
        self.arguments = list(arguments)
        self.through = []  # a command that executes the master
        self.inherited = []  # descriptors that it is to have, at their numbers
        self.contained = False  # in a PID namespace: the pids that it tells mean somebody else out here
        self.user = user
        self.limits = limits or {}
        self.terminal = None  # descriptor of a terminal that the master is to have
        self.stderr = None  # descriptor for its standard error; else it goes to log_file
        self.binary = binary or self.within_reach(build.fcgipool(), "fcgipool")
        self.within_reach(build.library(), "libfcgipool_preload.so")
        self.log_file = directory / "master.log"
        self.process = None
        self.tree = Tree(uuid.uuid4().hex, directory)
        runtime = directory / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        self.settings = {"listen": f"unix:{directory}/app.sock", "workers": 2,
                         "command": [self.within_reach(build.worker("echo_fcgx"), "worker")],
                         "control_socket": str(directory / "control.sock")}
        self.settings.update(settings)
        self.settings = {name: value for name, value in self.settings.items() if value is not None}
        self.control_path = self.settings.get("control_socket") or str(runtime / "fcgipool" / "pool.sock")
        self.environment = {**environment_of(self.tree.mark, runtime), **(environment or {})}
        self.write()

    def within_reach(self, program, name):
        """The path of a program, or of a copy for a user who may not get at the build directory."""
        return program if self.user is None else str(shutil.copy(program, self.directory / name))

    # The control file and its address.

    def write(self, **changes):
        """Writes the control file, with changes; None takes a setting out."""
        self.settings.update(changes)
        self.settings = {name: value for name, value in self.settings.items() if value is not None}
        self.file.write_text(json.dumps(self.settings, indent=2) + "\n")

    @property
    def address(self):
        return self.settings["listen"]

    @property
    def socket_path(self):
        return self.address.removeprefix("unix:")

    # The master.

    def start(self):
        """Starts the master in the foreground; does not wait."""
        if self.user is not None:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, self.user, self.user)
        def prepare():
            for which, value in self.limits.items():
                resource.setrlimit(which, (value, value))
            if self.terminal is not None:
                fcntl.ioctl(self.terminal, termios.TIOCSCTTY, 0)
        as_user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user is not None else {}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.through, self.binary, "start", *self.arguments, str(self.file)], pass_fds=self.inherited,
                stdin=subprocess.DEVNULL if self.terminal is None else self.terminal, stdout=log,
                stderr=log if self.stderr is None else self.stderr, env=self.environment, cwd=self.directory, start_new_session=True,
                preexec_fn=prepare if self.limits or self.terminal is not None else None, **as_user)
        self.tree.note(self.process.pid)
        return self

    def detach(self, *arguments, **more):
        """`start -d`, to its end: the answer. When that is 0, there is a master in the background."""
        answer = self.command("start", "-d", *self.arguments, *arguments, **more)
        if answer.returncode == 0:
            self.process = Background(self.status()["pid"])
            self.tree.note(self.process.pid)
        return answer

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, workers=None, timeout=20):
        """Returns the status once `workers` (all of them unless said otherwise) serve."""
        def ready():
            if not self.running():
                raise RuntimeError(f"the master has ended with {self.process.returncode}:\n{self.log()}")
            status = self.try_status()
            wanted = workers if workers is not None else status and max(status["floor"], status["min"])
            return status and status["state"] == "running" and len(self.serving(status)) >= wanted and status
        return wait_until(ready, timeout, "readiness of the pool")

    def up(self, **more):
        """Starts, and waits until it is ready."""
        self.start()
        self.wait_ready(**more)
        return self

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=20):
        """The master's exit code, when it has ended by itself."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the master did not end within {timeout} s") from None

    def stop(self, number=signal.SIGTERM, timeout=20):
        """Ends the master by a signal: it must exit with 0 and leave no process behind."""
        self.send_signal(number)
        assert self.wait_exit(timeout) == 0, self.log()
        self.wait_gone()

    def follow(self):
        """After an upgrade: the master that we knew has left with 0, and another one is in its place."""
        assert self.wait_exit() == 0, self.log()
        self.process = Background(self.status()["pid"])
        self.tree.note(self.process.pid)
        return self

    def wait_gone(self, timeout=5):
        """Returns when no process of the tree is left."""
        def gone():
            left = self.tree.living()
            assert not left, "left behind: " + self.tree.describe(left)
            return True
        wait_until(gone, timeout, "end of all processes")

    def close(self):
        """For the end of a test: ends whatever is left."""
        self.tree.kill(self.process.pid if self.process else None)
        if self.process:
            self.process.wait()
        left = self.tree.living()
        assert not left, "still there: " + self.tree.describe(left)

    # Asking it.

    def control(self, timeout=10):
        return Control(self.control_path, timeout)

    def status(self):
        """The status object, asked of the control socket."""
        with self.control() as control:
            message = control.call("status")
        assert message and "result" in message, message
        for each in message["result"]["workers"]:
            if each["pid"] and not self.contained:
                self.tree.note(each["pid"])
        return message["result"]

    def try_status(self):
        """The same, or None when nobody answers there."""
        try:
            return self.status()
        except OSError:
            return None

    def serving(self, status=None):
        """The pids of the workers that serve."""
        return [each["pid"] for each in (status or self.status())["workers"] if each["state"] == "serving"]

    def wait_status(self, predicate, timeout=15, what="status"):
        def check():
            status = self.try_status()
            return status and predicate(status) and status
        return wait_until(check, timeout, what)

    def command(self, name, *arguments, **more):
        """`fcgipool NAME ARGUMENTS FILE`."""
        return run(name, *arguments, self.file, env=self.environment, cwd=self.directory,
                   **{"binary": self.binary, **more})

    @contextlib.contextmanager
    def background(self, name, *arguments):
        """The same, as a process that is under way; it does not outlive the block."""
        process = subprocess.Popen([self.binary, name, *arguments, str(self.file)], env=self.environment,
                                   cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def request(self, uri="/x?n=5", method="GET", body=b"", **more):
        return fastcgi.request(self.address, method, uri, body, **more)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_log(self, pattern, timeout=15, flags=re.M):
        """The match of a regular expression in the log, as soon as it is there."""
        return wait_until(lambda: re.search(pattern, self.log(), flags), timeout, f"log line /{pattern}/")

    def alive(self):
        return alive(self.pid)
