#!/usr/bin/python3
"""Executes a command as systemd executes a service that is activated by sockets.

usage: pass_sockets.py FD,FD... COMMAND [ARGUMENT]...

The descriptors become 3 and so on, and LISTEN_PID and LISTEN_FDS tell of them, unless the environment has them already.
"""

import fcntl
import os
import sys

fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
above = [fcntl.fcntl(fd, fcntl.F_DUPFD, 1000) for fd in fds]
os.closerange(3, 1000)
for number, fd in enumerate(above, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ.setdefault("LISTEN_FDS", str(len(fds)))
os.execv(sys.argv[2], sys.argv[2:])
