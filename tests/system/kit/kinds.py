"""The kinds of worker that keep the echo contract."""

import shlex

from . import build

# What a pool of ordinary programs runs. Both libfcgi interfaces, and the three languages' own ways.
REAL = ["fcgx", "stdio", "perl", "php", "fcgiwrap"]

# Such as the master cannot look into, or that wait before they accept.
ODD = ["static", "poll", "epoll"]

# SCGI: the language's own module, and ours.
SCGI = ["scgi_perl", "scgi"]

# Dynamically linked, so that the library sees into them: one request at a time, by threads, by children.
PRELOAD = ["fcgx", "threads", "php", "php_children", "perl", "fcgiwrap"]

# The same, less common: other ways to wait, an event loop, no libfcgi at all, another C library.
PRELOAD_ODD = ["stdio", "poll", "epoll", "events", "plain", "fcgiwrap_children", "musl"]

# Those that serve many requests a connection, and how many connections one worker has at once.
KEEPING = {"fcgx": 1, "threads": 4, "php": 1, "php_children": 2, "perl": 1, "fcgiwrap": 1, "stdio": 1, "events": 8,
           "plain": 1, "fcgiwrap_children": 2, "musl": 1}

# Of each way to serve one.
FEW = ["fcgx", "threads", "php_children", "fcgiwrap", "events", "scgi"]

# Those that no library can see into.
UNOBSERVED = ["static", "go"]

# Built with a sanitizer: the compiler, and its option.
SANITIZED = {"gcc_asan": ("gcc", "address"), "gcc_tsan": ("gcc", "thread"),
             "clang_asan": ("clang", "address"), "clang_tsan": ("clang", "thread")}

# Those whose answers come from children of the worker, which X-Pid names.
FORKING = ["php_children", "fcgiwrap_children"]

PLAIN = ["echo_plain.c", "plain.c", "contract.c", *(build.ROOT / "protocol" / name
                                                    for name in ("fcgi.c", "fcgi_pairs.c", "wire_fault.c"))]
OPTIONS = ["-std=gnu17", "-D_GNU_SOURCE", "-I", str(build.ROOT), "-g", "-O1", "-Wall"]


def _sanitized(kind):
    compiler, sanitizer = SANITIZED[kind]
    worker = build.compiled(f"echo_{kind}", [compiler, *OPTIONS, f"-fsanitize={sanitizer}"],
                            ["echo_threads.c", "answer.c", "contract.c"], "-lfcgi", "-pthread")
    # ThreadSanitizer of these compilers does not know where newer kernels put things.
    return [build.installed("setarch"), "-R", worker] if sanitizer == "thread" else [worker]


def some(names):
    """All of them with full counts, else one of each way to serve; two for an instrumented master, since what is in
    the workers is not."""
    few = ["fcgx", "events"] if build.instrumented() else FEW
    return list(names) if build.FULL else [name for name in names if name in few]


def command(kind):
    """argv and SCRIPT_FILENAME."""
    if kind == "php":
        return [build.installed("php-cgi"), "-d", "post_max_size=64M"], build.worker("echo.php")
    if kind == "php_children":
        argv, script = command("php")
        return [build.installed("env"), "PHP_FCGI_CHILDREN=2", *argv], script
    if kind == "fcgiwrap":
        return [build.installed("fcgiwrap")], build.worker("echo.cgi")
    if kind == "fcgiwrap_children":
        return [build.installed("fcgiwrap"), "-c", "2"], build.worker("echo.cgi")
    if kind == "perl":
        build.installed("perl")
        return [build.worker("echo.pl")], "/x"
    if kind == "scgi_perl":
        build.installed("perl")
        return [build.worker("echo_scgi.pl")], "/x"
    if kind in ("poll", "epoll"):
        return [build.worker("bad"), kind], "/x"
    if kind == "go":
        return [build.compiled("echo_go", ["go", "build"], ["echo_go.go"])], "/x"
    if kind == "musl":
        return [build.compiled("echo_musl", ["musl-gcc", *OPTIONS], PLAIN)], "/x"
    if kind == "valgrind":
        return [build.installed("valgrind"), "-q", "--error-exitcode=86", "--trace-children=no",
                build.worker("echo_fcgx")], "/x"
    if kind in SANITIZED:
        return _sanitized(kind), "/x"
    return [build.worker(f"echo_{kind}")], "/x"


# Commands that come up late, or never.

COMPLAINT = "cannot open shared object libfoo"


def complaining(lines=1, code=3):
    """Writes lines of COMPLAINT and a number to its standard error, and leaves."""
    loop = f"i=0; while [ $i -lt {lines} ]; do echo '{COMPLAINT}' $i >&2; i=$((i+1)); done"
    return ["/bin/sh", "-c", f"{loop}; exit {code}"]


def waiting_for(file):
    """A worker that comes up when `file` is there."""
    return ["/bin/sh", "-c", f"while [ ! -e {file} ]; do sleep 0.01; done; exec {build.worker('echo_fcgx')}"]


def only_one(lock, first, others):
    """The worker that holds the lock file runs `first`, and when it is gone the next one does; the others run
    `others`."""
    quoted = [" ".join(shlex.quote(word) for word in argv) for argv in (first, others)]
    return ["/bin/sh", "-c", f"exec 9>{shlex.quote(str(lock))}; if flock -n 9; then exec {quoted[0]}; else "
                             f"exec 9>&-; exec {quoted[1]}; fi"]
