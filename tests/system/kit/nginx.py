"""A throw-away nginx on a loopback port."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from . import build
from .processes import alive
from .wait import wait_until

CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    client_max_body_size 64m;
    {backend}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        {server}
    }}
}}
"""

SERVER = """\
        {own}
        {protocol}_pass_header X-Pid;
        {protocol}_read_timeout 60s;
        {protocol}_param GATEWAY_INTERFACE CGI/1.1;
        {protocol}_param SERVER_SOFTWARE nginx;
        {protocol}_param SERVER_PROTOCOL $server_protocol;
        {protocol}_param SERVER_NAME $server_name;
        {protocol}_param SERVER_PORT $server_port;
        {protocol}_param REMOTE_ADDR $remote_addr;
        {protocol}_param REDIRECT_STATUS 200;
        {protocol}_param REQUEST_METHOD $request_method;
        {protocol}_param REQUEST_URI $request_uri;
        {protocol}_param QUERY_STRING $query_string;
        {protocol}_param CONTENT_TYPE $content_type;
        {protocol}_param SCRIPT_NAME $uri;
        {protocol}_param SCRIPT_FILENAME {script};
        location / {{ {protocol}_pass {upstream}; {protocol}_request_buffering on; }}
        location /stream/ {{ {protocol}_pass {upstream}; {protocol}_request_buffering off; }}
"""

# What one protocol needs and the other has not. With SCGI, nginx sends CONTENT_LENGTH by itself.
OWN = {"fastcgi": "fastcgi_keep_conn {keep}; fastcgi_param CONTENT_LENGTH $content_length;", "scgi": "scgi_param SCGI 1;"}

# Idle connections that nginx keeps to the pool. `retry` are the words of fastcgi_next_upstream.
KEEPALIVE = """\
    upstream kept {{ server {upstream} max_fails=0; keepalive {keepalive}; }}
    fastcgi_next_upstream {retry};
"""


def free_port(host="127.0.0.1"):
    """A TCP port that nobody uses at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class Nginx:
    """`upstream` is an address as the pool has it, or a list of all those between which it moves; / buffers request
    bodies, /stream/ does not. Or `snippet` is a file with what a server block has besides; it may include what
    /etc/nginx has for that. With `keepalive` nginx keeps up to so many idle FastCGI connections."""

    def __init__(self, directory, upstream=None, script="/x", protocol="fastcgi", snippet=None, keepalive=0,
                 retry="error timeout"):
        self.directory = directory
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        backend = ""
        if snippet:
            for each in Path("/etc/nginx").glob("*_params"):
                shutil.copy(each, directory)
            server = f"include {snippet};"
        else:
            if isinstance(upstream, list):
                servers = " ".join(f"server {each} max_fails=0;" for each in upstream)
                backend, upstream = f"upstream several {{ {servers} }}", "several"
            upstream = upstream.replace("unix:@", "unix:\\0")
            if keepalive:
                backend, upstream = KEEPALIVE.format(upstream=upstream, keepalive=keepalive, retry=retry), "kept"
            server = SERVER.format(upstream=upstream, script=script, protocol=protocol,
                                   own=OWN[protocol].format(keep="on" if keepalive else "off"))
        self.file = directory / "nginx.conf"
        self.file.write_text(CONFIGURATION.format(
            directory=directory, port=self.port, server=server, backend=backend,
            user="user root;" if os.geteuid() == 0 else ""))
        self.process = None

    def start(self):
        with open(self.directory / "nginx.out", "wb") as out:
            self.process = subprocess.Popen(
                [build.installed("nginx"), "-c", str(self.file), "-p", str(self.directory), "-e",
                 str(self.directory / "error.log")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        wait_until(self._answers, 15, "nginx")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("nginx has ended: " + (self.directory / "nginx.out").read_text() + self.errors())
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def errors(self):
        try:
            return (self.directory / "error.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def close(self):
        """Ends it, with its workers."""
        if not self.process:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        wait_until(lambda: not alive(self.process.pid), 5, "end of nginx")
