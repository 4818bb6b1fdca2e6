"""Granian on the socket that systemd holds, and what of PEP 3333 an adapter can give it. docs/servers.md has the rest."""

from __future__ import annotations

import io
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.net import SocketHolder
from granian.server import Server

import wsgi_check
import wsgi_log
from wsgi_rules import Headers, believe, has_body, length_of, mounted, static_files

BACKLOG = 4096


class Body(io.RawIOBase):
    """`wsgi.input` as a raw stream: granian's own has no lines, and ends early without a word where the client did."""

    def __init__(self, inner: Any, length: str) -> None:  # noqa: ANN401
        self.inner = inner
        self.due = int(length) if length.isdecimal() else 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fill a buffer as far as the body goes."""
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.due -= len(data)
        if not data and self.due > 0:
            raise OSError("the client has gone before the end of its request")
        return len(data)


class Answer:
    """A request's answer, in the making: what the application gives, by the rules of PEP 3333."""

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self.tell, self.told = start_response, False
        self.status, self.headers = "", Headers()
        self.length: int | None = None
        self.written: list[bytes] = []
        self.parts: Iterator[bytes] = iter(())
        self.close: Callable[[], None] = lambda: None

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401
        """Take status and headers, and return `write`."""
        if exc_info is None and self.status:
            raise AssertionError("start_response was called again without exc_info (PEP 3333)")
        if exc_info is not None and self.told:
            raise exc_info[1].with_traceback(exc_info[2])
        headers = list(headers)  # It is read more than once, and some applications give an iterator.
        self.length = length_of(status, headers)
        self.status, self.headers = status, headers
        return self.written.append

    def begin(self, found: Iterable[bytes]) -> Iterable[bytes]:
        """Tell granian status and headers, which may come as late as the first part that is not empty."""
        self.close = getattr(found, "close", self.close)
        self.parts = iter(found)
        first = next((part for part in self.parts if part or not isinstance(part, bytes)), None)
        if not self.status:
            raise AssertionError("the application did not call start_response (PEP 3333)")
        self.written += [] if first is None else [first]
        if not all(isinstance(part, bytes) for part in self.written):
            raise TypeError("the application gave something else where bytes are due (PEP 3333)")
        if not has_body(self.status):
            self.headers = [header for header in self.headers if header[0].lower() != "content-length"]
        # What is whole goes out at once, which granian does with lists; most answers are one part with its length.
        whole = isinstance(found, list) and self.length is None
        if self.length is not None and sum(map(len, self.written)) == self.length:
            whole = next(self.parts, None) is None
        if whole:
            self.written = list(self)
            self.close()
        self.told = True
        self.tell(self.status, self.headers)
        return self.written if whole else self

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts, as many bytes as were announced; fewer of them cut the connection, which tells the client."""
        sent = 0
        for part in itertools.chain(self.written, self.parts):
            part = part if self.length is None else part[: self.length - sent]
            sent += len(part)
            yield part
        if self.length is not None and sent < self.length and has_body(self.status):
            raise ValueError(f"the application gave {sent} bytes of the {self.length} it announced")


def adapted(application: wsgi_check.Application) -> wsgi_check.Application:
    """Give an application what PEP 3333 promises, as far as that can be done from inside."""

    def serve_one(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        believe(environ)
        answer = Answer(start_response)
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = io.BufferedReader(Body(environ["wsgi.input"], environ.get("CONTENT_LENGTH", "")))
        found = application(environ, answer.start)
        try:
            return answer.begin(found)
        except BaseException:
            # Granian closes what it was given; this it is not given.
            answer.close()
            raise

    return serve_one


def make() -> wsgi_check.Application:
    """Return the application of this instance, in the worker."""
    application, files = wsgi_check.load(os.environ["APP_WSGI"]), static_files()
    if files:
        application = files.before_wsgi(application)
    return wsgi_log.named(adapted(mounted(application, os.environ["APP_SCRIPT_NAME"])))


class OnSocket(Server):
    """Granian on a socket that is there, where it would bind one of its own in each worker."""

    def __init__(self, listening: socket.socket, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.listening = listening

    def _init_shared_socket(self) -> None:
        self._ssp, self._shd, self._sso = None, SocketHolder(self.listening.fileno(), False, BACKLOG), None

    def _drop_shared_socket(self) -> None:
        self.listening.close()


def shield_forks() -> None:
    """Have whatever the calling process forks begin with the default for SIGTERM, not with a handler of this process.

    Granian's main process has a handler for SIGTERM and forks its worker, which has that handler until it has imported the
    application and sets its own. A SIGTERM in between tells a flag that nobody in the worker reads: the main process waits
    for the worker until systemd kills both, after TimeoutStopSec. Here the worker begins with the default, which ends it.
    """
    main = os.getpid()

    def hold() -> None:
        # A SIGTERM that arrives between the fork and the default would meet the handler after all.
        if os.getpid() == main:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def let_go() -> None:
        if os.getpid() == main:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def begin_anew() -> None:
        # What the worker itself forks is the application's affair.
        if os.getppid() == main:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=begin_anew)


def serve(listening: socket.socket, threads: int) -> None:
    """Serve until SIGTERM. With more than one thread there is one more, for the health check."""
    shield_forks()
    OnSocket(
        listening,
        target="wsgi_granian:make",
        factory=True,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=threads + (1 if threads > 1 else 0),
        log_level=LogLevels.warning,
    ).serve()
