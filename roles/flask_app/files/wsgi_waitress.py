"""Waitress, with what it lacks behind a balancer.

That is an end that loses nothing, a health check that is always answered, and slow clients that hold no thread: it reads a
request to its end before a thread takes it, and sends an answer by itself when the thread has gone. wsgi_channel has the
connections, wsgi_threads the threads, wsgi_http the protocol.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from wsgi_channel import HIGH, Channel
from wsgi_check import Application
from wsgi_threads import Threads

BACKLOG = 4096
CONNECTIONS = 1000
TURN = 1.0  # seconds between two looks at all connections
LAST = 2.0  # seconds of the time for a stop in which nothing more is accepted


class Server(TcpWSGIServer):
    """The listening socket, which is systemd's: to stop is to leave what has not been accepted to the next process."""

    channel_class = Channel
    asked = 0.0  # when SIGTERM came, in the seconds of time.monotonic()
    stopping = False
    patience = 0.0  # seconds
    healthy = 200  # the status that a check expects
    due = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        self.epoll = select.epoll()
        self.touched: deque[Channel] = deque()
        self.before: set[Channel] | None = None  # what was under way when SIGTERM came, and still is
        super().__init__(*arguments, **options)
        for other in self._map.values():
            self.epoll.register(other._fileno, select.EPOLLIN)

    def touch(self, channel: Channel) -> None:
        """Have the leading thread attend to a channel that the calling one has changed."""
        self.touched.append(channel)
        if not self.task_dispatcher.leads():
            self.trigger.pull_trigger()

    def pull_trigger(self) -> None:
        """Do nothing: waitress wakes its loop after each answer, to have it look at all connections."""

    def stop(self, *_: object) -> None:
        """End when all requests have been answered."""
        self.asked = self.asked or time.monotonic()
        self.trigger.pull_trigger()

    def leave(self) -> None:
        """Accept no more, once what was under way when SIGTERM came has been answered, or has had its time.

        Until then others are answered as well, while there are threads for them: one slow client would have all wait in the
        socket, the balancers' checks among them.
        """
        if self.before is None:
            self.before = set(self.active_channels.values())
            for channel in self.before:
                channel.last = True
        self.before = {channel for channel in self.before if channel.connected and channel.under_way()}
        self.stopping = not self.before or time.monotonic() - self.asked > self.patience

    def accepts(self) -> bool:
        """Say whether new connections are for this process."""
        threads = self.task_dispatcher
        return not (self.stopping or (self.asked and (threads.waiting or threads.running >= threads.limit)))

    def handle_accept(self) -> None:
        """Accept a connection, up to a limit; the rest waits in the socket."""
        if len(self.active_channels) < CONNECTIONS:
            super().handle_accept()
        else:
            self.epoll.modify(self._fileno, 0)

    def accept(self) -> Any:  # noqa: ANN401
        """Return a connection and who has made it. Where no file can be opened, none is accepted until the next look at all."""
        try:
            return super().accept()
        except OSError:
            self.epoll.modify(self._fileno, 0)
            raise

    def run(self) -> None:
        """Serve until all is quiet after SIGTERM."""
        self.task_dispatcher.serve(self.turn, self.trigger.pull_trigger)

    def turn(self, timeout: float) -> None:
        """Wait for events and handle them.

        Waitress' own loop asks each connection what it waits for before each wait. That costs the more, the more of them there
        are, and keeps the interpreter from the threads that answer (measured: 460 requests a second where this has 4,000).
        """
        while self.touched:
            self.touched.popleft().attend()
        if self.asked or time.monotonic() >= self.due:
            self.due = time.monotonic() + TURN
            self.look_after()
        if self.stopping and not self.active_channels and self.task_dispatcher.quiet():
            self.task_dispatcher.end()
            return
        for number, flags in self.epoll.poll(min(timeout, TURN / 10 if self.asked else TURN)):
            found = self._map.get(number)
            if isinstance(found, Channel):
                found.event(flags)
            elif found is not None:
                wasyncore.readwrite(found, flags)

    def look_after(self) -> None:
        """Do what time brings: close what is unused or has lingered, accept again or no more."""
        now = time.monotonic()
        self.maintenance(time.time())
        if self.asked and not self.stopping:
            self.leave()
        self.epoll.modify(self._fileno, select.EPOLLIN if self.accepts() else 0)
        for channel in list(self.active_channels.values()):
            if (channel.lingers and channel.lingers < now) or (self.stopping and channel.unused()):
                channel.will_close = True
            if channel.will_close:
                channel.handle_close()


def serve(
    application: Application, listening: socket.socket, *, threads: int, max_body: int, health: str, healthy: int,
    stop_timeout: int, is_file: Callable[[str], bool] | None = None,
) -> None:  # fmt: skip
    """Serve until SIGTERM, and then for as long as requests need, `stop_timeout` seconds at most."""
    adjustments = Adjustments(
        sockets=[listening],
        backlog=BACKLOG,
        # It refuses what is as long as the limit.
        max_request_body_size=max_body + 1 if max_body else sys.maxsize,
        outbuf_high_watermark=2 * HIGH,
        ident="",
        server_name="localhost",
        # The balancer replaces what clients say of themselves; nobody else reaches the instance.
        trusted_proxy="*",
        trusted_proxy_count=1,
        trusted_proxy_headers={"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"},
    )
    # As the parser gives the path of a request.
    path = unquote_to_bytes(health.partition("?")[0]).decode("latin-1")
    kind = (listening.family, listening.type, listening.proto, listening.getsockname())
    server = Server(
        application, {}, True, listening,
        dispatcher=Threads(threads, path, is_file), adj=adjustments, sockinfo=kind, bind_socket=False,
    )  # fmt: skip
    server.patience, server.healthy = stop_timeout - LAST, healthy
    signal.signal(signal.SIGTERM, server.stop)
    server.run()
