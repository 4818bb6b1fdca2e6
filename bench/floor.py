"""Runs on the host: how often a second the application can be called where there is no server at all.

Usage: floor.py SECONDS; prints the calls a second, in one thread, of the deployed application's own environ.
"""

import importlib
import io
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., None]], Iterable[bytes]]
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "127.0.0.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def call(app: Application) -> bytes:
    """Send one request through the application and return its body."""
    body = app(ENVIRON | {"wsgi.input": io.BytesIO()}, lambda *_: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def calls_a_second(app: Application, seconds: float) -> float:
    """Return how many requests a second the application answers when it is called one after the other."""
    if not call(app).startswith(b"Hello"):
        raise SystemExit("the application does not say hello")
    calls, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(100):
            call(app)
        calls += 100
    return calls / took


if __name__ == "__main__":
    print(calls_a_second(importlib.import_module("app").app, float(sys.argv[1])))
