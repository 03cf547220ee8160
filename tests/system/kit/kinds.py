"""The kinds of worker that keep the echo contract."""

from . import build

# What a pool of ordinary programs runs. Both libfcgi interfaces, and the three languages' own ways.
REAL = ["fcgx", "stdio", "perl", "php", "fcgiwrap"]

# Such as the master cannot look into, or that wait before they accept.
ODD = ["static", "poll", "epoll"]

# SCGI: the language's own module, and ours.
SCGI = ["scgi_perl", "scgi"]


def command(kind):
    """argv and SCRIPT_FILENAME."""
    if kind == "php":
        return [build.installed("php-cgi"), "-d", "post_max_size=64M"], build.worker("echo.php")
    if kind == "fcgiwrap":
        return [build.installed("fcgiwrap")], build.worker("echo.cgi")
    if kind == "perl":
        build.installed("perl")
        return [build.worker("echo.pl")], "/x"
    if kind == "scgi_perl":
        build.installed("perl")
        return [build.worker("echo_scgi.pl")], "/x"
    if kind in ("poll", "epoll"):
        return [build.worker("bad"), kind], "/x"
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
