"""Processes by what they are: a pid alone may have been given to someone else."""

import os
import signal
from pathlib import Path

from .wait import wait_until

MARK = "FCGIPOOL_TEST_TREE"


def _stat(pid):
    """state, parent, group, start time; None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], int(fields[1]), int(fields[2]), int(fields[19])


def alive(pid):
    """True when the process runs; a zombie does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def parent(pid):
    stat = _stat(pid)
    return stat[1] if stat else None


def group(pid):
    stat = _stat(pid)
    return stat[2] if stat else None


def state(pid):
    stat = _stat(pid)
    return stat[0] if stat else None


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descriptors(pid):
    """What the descriptors of a process lead to, by their numbers; one that is closed meanwhile is left out."""
    held = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            held[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass
    return held


def children(pid):
    return [each for each in _all() if parent(each) == pid and alive(each)]


def _all():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(mark):
    """All living processes whose environment carries the mark, however they were reparented."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for pid in _all():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if needle in environment.split(b"\0") and alive(pid):
            found.append(pid)
    return found


def working_in(directory):
    """All living processes whose working directory this is. A master's environment cannot be read any more: its
    title is there."""
    found = []
    for pid in _all():
        try:
            here = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if here == str(directory) and pid != os.getpid() and alive(pid):
            found.append(pid)
    return found


class Tree:
    """The processes that descend from a root, or carry its mark, or work in its directory, or were seen in its
    process groups."""

    def __init__(self, mark, directory=None):
        self.mark = mark
        self.directory = directory
        self.seen = {}

    def note(self, pid):
        """Remembers a process for later, by pid and start time."""
        stat = _stat(pid)
        if stat:
            self.seen[pid] = stat[3]

    def living(self, root=None):
        found = set(marked(self.mark))
        if self.directory is not None:
            found.update(working_in(self.directory))
        for pid, start in self.seen.items():
            stat = _stat(pid)
            if stat and stat[3] == start and alive(pid):
                found.add(pid)
        if root and alive(root):
            found.add(root)
        stats = {pid: _stat(pid) for pid in _all()}
        groups = {self_group for pid in found if (self_group := group(pid)) == pid}
        more = True
        while more:
            more = {pid for pid, stat in stats.items()
                    if stat and pid not in found and (stat[1] in found or stat[2] in groups) and alive(pid)}
            found |= more
        return sorted(found)

    def describe(self, pids):
        return ", ".join(f"{pid} ({command_line(pid)})" for pid in pids)

    def kill(self, root=None):
        """Ends them all, and is sure of it."""
        def none_left():
            left = self.living(root)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if root:
                try:
                    os.waitpid(root, os.WNOHANG)
                except ChildProcessError:
                    pass
            return not left
        wait_until(none_left, 10, f"end of the tree of {root}")
