#!/usr/bin/env python3
"""Be a crowd of slow clients: uploads, downloads and headers that trickle, all of them at once.

    python3 slow.py --seconds=30 --address=10.213.5.10 --host=probe.test --crowd=uploads=50,headers=2000

Who is answered, refused or cut off comes again, so that the crowd stays as large as it was asked to be. The connections
are spread over `sources`, addresses of this host. Prints one JSON object a line: its process id as soon as everybody
has tried to connect, and at the end (or on SIGINT) what became of them; see `Report`. Needs Python's standard library
only, so it runs on any host.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

# Nobody asks for more than this; nobody who was sent away comes again at once.
MOST = 4000
PAUSE = 0.2


@dataclass
class Plan:
    """Who comes, from where and for how long. `crowd` is `kind=number,…`, with the kinds of `Crowd.kinds`."""

    address: str
    port: int = 80
    host: str = "localhost"
    seconds: float = 30.0
    crowd: str = "uploads=50,downloads=50,headers=2000"
    sources: str = ""


@dataclass
class Report:
    """What became of the crowd, by kind.

    `held` are the connections that were open each second: a line of numbers. `ended` says how often a connection ended
    before the time was over, and how: `answered 408`, `closed`, `refused` (no connection), `complete`, `served`
    (an HTTP/2 connection that was taken for one).
    """

    seconds: float = 0.0
    held: dict[str, list[int]] = field(default_factory=dict)
    ended: dict[str, dict[str, int]] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)


def status_of(answer: bytes) -> str:
    """Name how an answer that has begun ends a slow request."""
    return f"answered {answer[9:12].decode(errors='replace')}" if answer.startswith(b"HTTP/1.") else "closed"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header_block(headers: dict[str, str]) -> bytes:
    """Return headers as HTTP/2 has them, nothing compressed."""
    texts = [text.encode() for header in headers.items() for text in header]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return b"".join(b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value for name, value in pairs)


class Crowd:
    """The clients of a plan, each a task."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.report = plan, Report()
        self.sources = plan.sources.split(",") if plan.sources else []
        self.open: Counter[str] = Counter()
        self.tried: set[int] = set()
        self.kinds: dict[str, Callable[[socket.socket], Awaitable[str]]] = {
            "uploads": lambda connection: self.upload(connection, first=40_000),
            "trickles": lambda connection: self.upload(connection, first=0),
            "chunked": lambda connection: self.upload(connection, first=40_000, chunked=True),
            "downloads": lambda connection: self.download(connection, "downloads", "/download/5000000"),
            "streams": lambda connection: self.download(connection, "streams", "/stream/50000000"),
            "headers": self.headers,
            "h2": self.uploads_on_one_connection,
        }
        self.numbers = {
            kind: int(number) for kind, _, number in (entry.partition("=") for entry in plan.crowd.split(","))
        }
        if unknown := set(self.numbers) - set(self.kinds):
            raise SystemExit(f"no such kind: {unknown}; there are {sorted(self.kinds)}")
        if sum(self.numbers.values()) > MOST:
            raise SystemExit(f"at most {MOST} connections")

    async def attend(self) -> None:
        """Have everybody come, and come again, until the time is over or the task is cancelled."""
        began = time.monotonic()
        clients: list[asyncio.Task[None]] = []
        for kind, number in self.numbers.items():
            self.report.held[kind], self.report.ended[kind] = [], {}
            for _ in range(number):
                clients.append(asyncio.create_task(self.client(kind, len(clients))))
                # A thousand a second.
                await asyncio.sleep(0.001)
        try:
            while len(self.tried) < len(clients):
                _, waiting = await asyncio.wait(clients, timeout=0.05, return_when=asyncio.FIRST_EXCEPTION)
                if len(waiting) < len(clients):
                    raise RuntimeError("a client has ended before its time")
            print(json.dumps({"pid": os.getpid(), "open": dict(self.open)}), flush=True)
            while time.monotonic() < began + self.plan.seconds:
                for kind in self.numbers:
                    self.report.held[kind].append(self.open[kind])
                await asyncio.sleep(1)
        finally:
            self.report.seconds = time.monotonic() - began
            # Python 3.11 forgets that somebody is to end whose wait ends at the same moment: told until they do.
            waiting = set(clients)
            while waiting:
                for client in waiting:
                    client.cancel()
                _, waiting = await asyncio.wait(waiting, timeout=1)

    async def client(self, kind: str, number: int) -> None:
        """Be one client."""
        ended = self.report.ended[kind]
        while True:
            outcome = await self.visit(kind, number)
            ended[outcome] = ended.get(outcome, 0) + 1
            await asyncio.sleep(PAUSE)

    async def visit(self, kind: str, number: int) -> str:
        """Come once, and return how it ended."""
        with socket.socket() as connection:
            connection.setblocking(False)
            # What the kernel takes nobody has to hold.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            there = (self.plan.address, self.plan.port)
            try:
                if self.sources:
                    connection.bind((self.sources[number % len(self.sources)], 0))
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, there), 10)
            except OSError:
                return "refused"
            finally:
                self.tried.add(number)
            self.open[kind] += 1
            try:
                return await self.kinds[kind](connection)
            except OSError:
                return "closed"
            finally:
                self.open[kind] -= 1

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """Return the head of a request."""
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {self.plan.host}", *headers, "", ""]).encode()

    async def trickle(self, connection: socket.socket, piece: bytes, interval: float) -> str:
        """Send a piece again and again, and return what came of it as soon as there is an answer."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                answer = await asyncio.wait_for(loop.sock_recv(connection, 4096), interval)
            except TimeoutError:
                await loop.sock_sendall(connection, piece)
            else:
                return status_of(answer)

    async def upload(self, connection: socket.socket, *, first: int, chunked: bool = False) -> str:
        """Upload 1 MB: some of it at once, then a byte a second."""
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000"
        begin = b"%x\r\n%s\r\n" % (first, b"a" * first) if chunked else b"a" * first
        await asyncio.get_running_loop().sock_sendall(connection, self.head("POST", "/upload", length) + begin)
        return await self.trickle(connection, b"1\r\na\r\n" if chunked else b"a", 1.0)

    async def headers(self, connection: socket.socket) -> str:
        """Send headers that do not end, a byte each 5 seconds."""
        await asyncio.get_running_loop().sock_sendall(connection, self.head("GET", "/", "X-Slow: ")[:-4])
        return await self.trickle(connection, b"a", 5.0)

    async def download(self, connection: socket.socket, kind: str, path: str) -> str:
        """Read an answer at 20 kB a second."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, self.head("GET", path, "Connection: close"))
        first = True
        while piece := await loop.sock_recv(connection, 4000):
            if first and status_of(piece) != "answered 200":
                return status_of(piece)
            first = False
            self.report.received[kind] = self.report.received.get(kind, 0) + len(piece)
            await asyncio.sleep(0.2)
        return "closed" if first else "complete"

    async def uploads_on_one_connection(self, connection: socket.socket) -> str:
        """Upload twelve times on one HTTP/2 connection, a byte a second each, without asking whether that is spoken."""
        loop = asyncio.get_running_loop()
        streams = range(1, 25, 2)
        headers = header_block(
            {
                ":method": "POST",
                ":scheme": "http",
                ":authority": self.plan.host,
                ":path": "/upload",
                "content-length": "1000000",
            }
        )
        begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
        await loop.sock_sendall(connection, begin + b"".join(frame(1, 4, stream, headers) for stream in streams))
        answer = await asyncio.wait_for(loop.sock_recv(connection, 4096), 15)
        if answer[3:4] != b"\4":
            return status_of(answer)
        # Settings in return: it is spoken.
        self.report.ended["h2"]["served"] = self.report.ended["h2"].get("served", 0) + 1
        await loop.sock_sendall(connection, frame(4, 1, 0))
        while True:
            await loop.sock_sendall(connection, b"".join(frame(0, 0, stream, b"a") for stream in streams))
            await asyncio.sleep(1)


async def run(crowd: Crowd) -> None:
    """Let a crowd attend; SIGINT ends it early."""
    attending = asyncio.ensure_future(crowd.attend())
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, attending.cancel)
    await asyncio.gather(attending, return_exceptions=True)
    if not attending.cancelled() and (error := attending.exception()):
        raise error


def main() -> int:
    """Attend, report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, value in asdict(Plan("")).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, required=name == "address")
    crowd = Crowd(Plan(**vars(parser.parse_args())))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(crowd))
    print(json.dumps(asdict(crowd.report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
