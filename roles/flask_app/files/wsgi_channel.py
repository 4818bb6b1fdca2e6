"""A connection of waitress, with what it lacks behind a balancer.

That is an answer to a health check while the application is at work, clients that are slow to take an answer and hold no
thread, and answers that come before the end of their request.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.utilities import Error

from wsgi_http import Parser, Refusal, Task

# Of an answer that its client is slow to take, this much is kept in advance; then the application waits.
HIGH, LOW = 1 << 20, 1 << 18  # bytes
# So much is sent before other connections have their turn.
PIECE = 1 << 18  # bytes
NEW = 1.0  # seconds in which a new connection is expected to bring a request
LINGER = 5.0  # seconds for a client to see an answer that came before the end of its body


class Busy(Error):  # noqa: N818 (an answer, not an exception)
    """The answer to a check while an application of one thread works: busy is not dead."""

    code = 200
    reason = "OK"


class Stuck(Error):  # noqa: N818
    """The answer to a check when it has worked for too long."""

    code = 503
    reason = "Service Unavailable"


class Channel(HTTPChannel):
    """One connection."""

    task_class, error_task_class, parser_class = Task, Refusal, Parser
    close_when_flushed: bool
    early = False
    lingers = 0.0  # until when, in the seconds of time.monotonic()
    mask = 0  # what epoll looks for
    deaf = False  # whether something came before it could be read
    last = False  # whether it is to be closed after this answer
    budget = -1  # bytes that may be sent within this event; below 0, as many as the socket takes
    gone = False

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        # As much is read from a file at a time.
        self.sendbuf_len: int = min(self.sendbuf_len, PIECE)

    def add_channel(self, map: Any = None) -> None:  # noqa: A002, ANN401
        """Enter the loop."""
        super().add_channel(map)
        self.mask = select.EPOLLIN
        self.server.epoll.register(self._fileno, self.mask)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002, ANN401
        """Leave the loop."""
        if self._fileno is not None:
            # It may be closed twice: by what was read, and by what epoll says of it.
            self.server.epoll.unregister(self._fileno)
        super().del_channel(map)

    def attend(self) -> None:
        """Have epoll look for what the connection waits for now."""
        if not self.connected:
            return
        self.deaf = self.deaf and not self.readable()
        mask = (0 if self.deaf else select.EPOLLIN) | (select.EPOLLOUT if self.writable() else 0)
        if mask != self.mask:
            self.mask = mask
            self.server.epoll.modify(self._fileno, mask)

    def event(self, flags: int) -> None:
        """Read, write or close."""
        if flags & select.EPOLLIN and not self.readable():
            self.deaf = True
            flags &= ~select.EPOLLIN
        self.budget = PIECE
        wasyncore.readwrite(self, flags)
        self.budget = -1
        self.attend()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send a part; to a client that takes it as quickly as it is read, no more than others can wait for."""
        if not data:
            # A file is shorter than when its answer began: its client sees that from the missing rest.
            self.will_close = True
        if not data or not self.budget:
            return 0
        sent = int(super().send(data, do_close=do_close))
        self.budget = max(0, self.budget - sent) if self.budget > 0 else self.budget
        return sent

    def handle_close(self) -> None:
        """Close, once: what an application gave has a `close` of its own (PEP 3333)."""
        if not self.gone:
            self.gone = True
            super().handle_close()

    def write_soon(self, data: Any) -> int:  # noqa: ANN401
        """Take a part of an answer; wait, without holding up others, while the client has too much to take."""
        if self.total_outbufs_len > HIGH:
            with self.server.task_dispatcher.waits_for_client(), self.outbuf_lock:
                while self.connected and self.total_outbufs_len > LOW:
                    self.outbuf_lock.wait()
        taken = int(super().write_soon(data))
        if self.total_outbufs_len:
            self.server.touch(self)
        return taken

    def busy(self, stuck: bool) -> None:
        """Have the first request, a health check, answered without the application."""
        self.requests[0].error = answer = (Stuck if stuck else Busy)("The application is at work.")
        if not stuck:
            answer.code = self.server.healthy

    def service(self) -> None:
        """Answer the first request; remember whether that is before its end."""
        self.early = bool(self.requests[0].error)
        super().service()
        if self.deaf or self.close_when_flushed or self.server.stopping:
            self.server.touch(self)

    def handle_write(self) -> None:
        """Send; at the end of an answer that came early, close our half only.

        Closing with bytes unread resets the connection, and the client may lose the answer (RFC 9112, section 9.6).
        """
        if not (self.early and self.close_when_flushed):
            super().handle_write()
            return
        self.close_when_flushed = False
        super().handle_write()
        if self.connected and self.total_outbufs_len:
            self.close_when_flushed = True
        elif self.connected and not self.lingers:
            self.lingers = time.monotonic() + LINGER
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def received(self, data: bytes) -> bool:
        """Take what has arrived; what follows an early answer is only read."""
        return True if self.lingers else bool(super().received(data))

    def under_way(self) -> bool:
        """Say whether a request is being read or answered."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def unused(self) -> bool:
        """Say whether nothing is under way on the connection, and nothing will come that its client has sent already."""
        if self.under_way() or (self.last_activity == self.creation_time and time.time() - self.creation_time < NEW):
            return False
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return True
