"""Have the lines that an application writes while it works on a request begin with the id of that request.

The balancer gives each request an id, which is in its access log and reaches the application as X-Request-ID. What the
application prints, logs to stderr or writes to `wsgi.errors` gets it in brackets, with no line of its own; so one id finds
all that was said of a request, on all hosts. A line that begins with a brace is left as it is: programs read it.
APP_LOG_REQUEST_ID=no in the environment of the app turns it off.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from wsgi_check import Application

SAFE = re.compile(r"[\w.-]{1,64}", re.ASCII)
LINE = re.compile(r"[^\n]*\n|[^\n]+")
current: ContextVar[str] = ContextVar("current", default="")


class Stream(io.TextIOWrapper):
    """stdout or stderr."""

    def __init__(self, inner: io.TextIOWrapper) -> None:
        super().__init__(
            inner.buffer, encoding=inner.encoding, errors=inner.errors, line_buffering=inner.line_buffering,
            write_through=inner.write_through,
        )  # fmt: skip
        self.inner = inner  # which would close the file with itself
        self.within = threading.local()  # a line that the thread has begun: `print` writes its end apart

    def write(self, text: str) -> int:
        """Write a text; each of its lines that begins within a request gets the id."""
        request = current.get()
        if request and text:
            begun, self.within.line = getattr(self.within, "line", False), not text.endswith("\n")
            # Not `splitlines`, to which some characters of a JSON text end a line as well.
            lines = LINE.findall(text)
            marked = [line if line.startswith("{") else f"[{request}] {line}" for line in lines]
            super().write("".join([lines[0] if begun else marked[0], *marked[1:]]))
        else:
            super().write(text)
        return len(text)


def install() -> None:
    """Put it in place of stdout and stderr, before anything keeps these for itself."""
    if os.environ.get("APP_LOG_REQUEST_ID") != "no":
        for name in ("stdout", "stderr"):
            inner = getattr(sys, name)
            inner.flush()
            setattr(sys, name, Stream(inner))


def begin(request: str) -> None:
    """Remember, for the thread or task that works on it, which request it is."""
    current.set(request if SAFE.fullmatch(request) else "")


def named(application: Application) -> Application:
    """Return a WSGI application that remembers which request it works on."""

    def serve_one(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begin(environ.get("HTTP_X_REQUEST_ID", ""))
        return application(environ, start_response)

    return serve_one
