"""The echo contract for WSGI, as far as GET goes, and burn=MS: so much processor time of its own first."""

import os
import time
from urllib.parse import parse_qsl

PATTERN = b"abcdefghijklmnopqrstuvwxyz0123456789\n"


def application(environ, start_response):
    query = {name: int(value) for name, value in parse_qsl(environ.get("QUERY_STRING", ""))}
    end = time.process_time() + query.get("burn", 0) / 1000
    while "burn" in query and time.process_time() < end:
        pass
    time.sleep(query.get("delay", 0) / 1000)
    size = query.get("n", 0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid()))])
    return [(PATTERN * (size // len(PATTERN) + 1))[:size]]
