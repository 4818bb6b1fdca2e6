#!/usr/bin/env python3
"""Hold a server against PEP 3333 and HTTP/1.1, from outside: what it does with molecule/protocol/app.

    python3 protocol.py --port 5001 [--address 127.0.0.1] [--unit flask-check@1 --threads 4] [--only "part of a name"]

Speaks over raw sockets, one rule at a time, and prints a JSON object
{check: {ok, saw, expected, source}}. A check returns what it saw as a short text and is right if one of the patterns that
it expects matches all of it. With a unit, what only a service can show is tried as well: its journal, how many requests
run at once, how it stops. Needs Python's standard library only, so it runs on any host; a library for HTTP would mend
what is to be seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

PATIENCE = 5.0  # seconds
JOURNAL = ("journalctl", "--output=cat", "--no-pager")


@dataclass
class Answer:
    """One answer, as it came. `complete` says whether its framing says that it ended where it did."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def get(self, name: str) -> str:
        """Return the values of a header, joined."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def __str__(self) -> str:
        """Show the status, the body and whether it was cut: `200 ok`, `200 half, cut`."""
        if not self.status:
            return "closed"
        body = self.body.decode("latin-1") if 0 < len(self.body) <= 100 else f"{len(self.body)} bytes"
        return f"{self.status}{' ' + body if self.body else ''}{'' if self.complete else ', cut'}"


class Connection:
    """A connection to the server. What it cannot read within five seconds is a TimeoutError."""

    def __init__(self, address: str, port: int) -> None:
        self.socket = socket.create_connection((address, port), timeout=PATIENCE)
        self.buffer = b""

    def __enter__(self) -> Connection:
        """Be closed at the end of a block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; that the server has closed meanwhile is seen when reading."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def abort(self) -> None:
        """Leave without a word: the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def more(self) -> bool:
        """Read something; return whether there was something."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            return False
        self.buffer += data
        return bool(data)

    def take(self, count: int) -> bytes:
        """Return that many bytes, fewer where the connection ends."""
        parts, left = [self.buffer[:count]], count - len(self.buffer[:count])
        self.buffer = self.buffer[count:]
        while left > 0 and self.more():
            parts.append(self.buffer[:left])
            self.buffer = self.buffer[left:]
            left -= len(parts[-1])
        return b"".join(parts)

    def until(self, end: bytes) -> bytes:
        """Return what comes before an end; everything, without the end, where the connection ends."""
        while end not in self.buffer and self.more():
            pass
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def head(self) -> Answer:
        """Read a status line and headers."""
        while b"\r\n\r\n" not in self.buffer and self.more():
            pass
        if b"\r\n\r\n" not in self.buffer:
            return Answer(body=self.take(len(self.buffer)))
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.[01] ([0-9]{3}) .*", first)
        if not matched:
            raise ValueError(f"no status line: {first[:80]!r}")
        headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
        return Answer(int(matched[1]), headers)

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read one answer, interim ones left out."""
        found = self.head()
        while 100 <= found.status < 200:
            found = self.head()
        if not found.status:
            return found
        if to_head or found.status in (204, 304):
            found.complete = True
        elif "chunked" in found.get("Transfer-Encoding").lower():
            while size := int(self.until(b"\r\n").partition(b";")[0] or b"0", 16):
                found.body += self.take(size)
                if self.take(2) != b"\r\n":
                    return found
            # A chunk of no bytes ends it, an end of the connection does not: the empty line after it tells them apart.
            found.complete = self.socket_ended(b"\r\n")
        elif found.get("Content-Length"):
            length = int(found.get("Content-Length"))
            found.body = self.take(length)
            found.complete = len(found.body) == length
        else:
            while self.more():
                pass
            found.body = self.take(len(self.buffer))
            found.complete = True
        return found

    def socket_ended(self, end: bytes) -> bool:
        """Return whether the bytes that come next are an end, and take them."""
        return self.take(len(end)) == end

    def then(self) -> str:
        """Say whether the connection can be used for another request."""
        self.send(b"GET /ok HTTP/1.1\r\nHost: test\r\n\r\n")
        found = str(self.answer())
        return "then usable" if found == "200 ok" else f"then {found}"


@dataclass
class Server:
    """The server that is looked at: where it listens and, where it is a service, its unit and how many requests may run."""

    address: str
    port: int
    unit: str = ""
    threads: int = 4

    def connect(self) -> Connection:
        """Return a new connection."""
        return Connection(self.address, self.port)

    def ask(self, path: str, *, method: str = "GET", headers: str = "", body: bytes = b"") -> Answer:
        """Send a request of its own and return the answer."""
        with self.connect() as connection:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            connection.send(f"{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n".encode("latin-1") + body)
            return connection.answer(to_head=method == "HEAD")

    def raw(self, data: bytes, *, then: bool = False) -> str:
        """Send bytes as they are; return the answer and, if asked, what becomes of the connection."""
        with self.connect() as connection:
            connection.send(data)
            found = str(connection.answer(to_head=data.startswith(b"HEAD ")))
            return f"{found}, {connection.then()}" if then else found

    def told(self, key: str, *, within: float = 10.0, expected: int = 1) -> str:
        """Return what the application noted under a key, once there is enough or the time is over."""
        end = time.monotonic() + within
        while len(notes := json.loads(self.ask(f"/told?{key}").body)) < expected and time.monotonic() < end:
            time.sleep(0.1)
        return ", ".join(notes) or "nothing"

    def environ(self, path: str = "/environ", *, headers: bytes = b"", method: bytes = b"GET") -> dict[str, str]:
        """Return the environment that the application got."""
        with self.connect() as connection:
            connection.send(
                method + b" " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: test:81\r\n" + headers + b"\r\n"
            )
            answer = connection.answer()
        if answer.status != 200:
            raise ValueError(str(answer))
        return json.loads(answer.body)

    def system(self, *command: str) -> str:
        """Run a command on this machine and return what it says."""
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def property(self, name: str) -> str:
        """Return a property of the unit."""
        return self.system("systemctl", "show", "--value", f"--property={name}", f"{self.unit}.service")

    def journal(self, text: str) -> str:
        """Say whether the journal of the unit has a text, which it has to within twenty seconds."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if text in self.system(*JOURNAL, f"--unit={self.unit}.service", "--since=-2min"):
                return "in the journal"
            time.sleep(0.1)
        return "not in the journal"


@dataclass
class Check:
    """A rule: where it is from, what is right (patterns), and how to see it."""

    source: str
    expected: tuple[str, ...]
    see: Callable[[Server], str]
    unit: bool

    def run(self, server: Server) -> dict[str, object]:
        """Try it."""
        try:
            saw = self.see(server)
            right = any(re.fullmatch(pattern, saw, re.DOTALL) for pattern in self.expected)
        except Exception as error:
            saw, right = f"{type(error).__name__}: {error}", False
        return {"ok": right, "saw": saw, "expected": " or ".join(self.expected), "source": self.source}


CHECKS: dict[str, Check] = {}
See = Callable[[Server], str]


def check(name: str, source: str, *expected: str, unit: bool = False) -> Callable[[See], See]:
    """Enter a function as a check."""

    def enter(see: See) -> See:
        assert name not in CHECKS, name
        CHECKS[name] = Check(source, expected, see, unit)
        return see

    return enter


def key() -> str:
    """Return a key that nobody else notes something under."""
    return uuid.uuid4().hex


def simple(name: str, source: str, request: bytes | str, *expected: str, then: bool = False) -> None:
    """Enter a check that sends bytes, or GETs a path, and looks at the answer."""
    if isinstance(request, str):
        request = f"GET {request} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    check(name, source, *expected)(lambda server: server.raw(request, then=then))


# 1. start_response, write and what is returned.

START = "PEP 3333, The start_response() Callable"
WRITE = "PEP 3333, The write() Callable"
LENGTH = "PEP 3333, Handling the Content-Length Header"
STREAM = "PEP 3333, Buffering and Streaming"
ERRORS = "PEP 3333, Error Handling"
DETAILS = "PEP 3333, Specification Details"
STRINGS = "PEP 3333, Unicode Issues"

simple("two calls of start_response without exc_info", START, "/twice", "500.*")
simple("start_response with exc_info replaces what is not sent", ERRORS, "/replaced", "503 sorry, later")
simple("no call of start_response", START, "/never_started", "500.*")
simple("write(), then the iterable, in order", WRITE, "/write", "200 one two three")
simple("write() with a length, nothing returned", WRITE, "/write_all", "200 one two, then usable", then=True)
simple("nothing returned", DETAILS, "/empty", "200")
simple("empty strings among the blocks", DETAILS, "/empty_strings", "200 ab")
simple("an error before start_response", ERRORS, "/fails", "500.*")
simple("an error before the first block", ERRORS, "/fails_first", "500.*")
simple("an error half-way, chunked", ERRORS, "/fails_halfway", "200 half, cut")
simple("an error half-way, with a length", ERRORS, "/fails_in_length", "200 half, cut")
simple("SystemExit before start_response", ERRORS, "/exits", "500.*", "closed")
simple("SystemExit half-way", ERRORS, "/exits_halfway", "200 half, cut")
simple("fewer bytes than Content-Length", LENGTH, "/too_few", "200 short, cut")
simple("more bytes than Content-Length", LENGTH, "/too_many", "200 abcd, then (usable|closed)", "500.*", then=True)


@check("status and headers given on the first next()", START, "401, Basic, a=1, who\\?")
def late(server: Server) -> str:
    """See the status of a generator."""
    found = server.ask("/late")
    return f"{found.status}, {found.get('WWW-Authenticate')}, {found.get('Set-Cookie')}, {found.body.decode()}"


@check("headers of a first start_response do not stay", ERRORS, "X-First: , X-Second: 1")
def replaced_headers(server: Server) -> str:
    """See which headers a second call leaves."""
    found = server.ask("/replaced")
    return f"X-First: {found.get('X-First')}, X-Second: {found.get('X-Second')}"


@check("start_response with exc_info raises it once headers are sent", ERRORS, "200 half, cut; raised given")
def too_late(server: Server) -> str:
    """See what the application and the client get."""
    name = key()
    return f"{server.ask(f'/too_late?{name}')}; {server.told(name)}"


@check("the length of a list of one block", LENGTH, "4, 200 lone")
def lone(server: Server) -> str:
    """See the Content-Length that the server can know."""
    found = server.ask("/lone")
    return f"{found.get('Content-Length')}, {found}"


@check("a block is sent before the next is made", STREAM, "block 0 at once, 200 block 0\nblock 1\nblock 2\n")
def stream(server: Server) -> str:
    """See when the first of three blocks comes."""
    with server.connect() as connection:
        connection.send(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
        began = time.monotonic()
        while b"block 0\n" not in connection.buffer and connection.more():
            pass
        soon = "at once" if time.monotonic() - began < 2 else "late"
        return f"block 0 {soon}, {connection.answer()}"


def closing(name: str, path: str, expected: str) -> None:
    """Enter a check of close()."""

    @check(name, DETAILS, expected)
    def see(server: Server) -> str:
        noted = key()
        found = server.ask(f"{path}?{noted}")
        server.told(noted)
        time.sleep(0.2)
        return f"{found}; {server.told(noted)}"


closing("close() after the last block, once", "/closed", "200 ab; closed")
closing("close() after an error before the first block, once", "/fails_first", "500.*; closed")
closing("close() after an error half-way, once", "/fails_halfway", "200 half, cut; closed")
closing("close() of what wsgi.file_wrapper was given, once", "/file", "200 199900 bytes; closed")
closing("wsgi.file_wrapper over what has only read()", "/pipe", "200 6000 bytes; closed")
closing("wsgi.file_wrapper over a file of /proc", "/file_of_proc", r"200 \d+ bytes; closed")


def leaving(name: str, path: str) -> None:
    """Enter a check of close() when the client leaves in the middle of an answer."""

    @check(name, DETAILS, "closed")
    def see(server: Server) -> str:
        noted = key()
        connection = server.connect()
        connection.send(f"GET {path}?{noted} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        connection.take(100_000)
        connection.abort()
        server.told(noted, within=PATIENCE)
        time.sleep(0.2)
        return server.told(noted)


leaving("close() when the client has gone", "/endless")
leaving("close() of a file when the client has gone, once", "/large_file")


def broken(name: str, what: str, source: str, *expected: str) -> None:
    """Enter a check of an answer that no server may pass on."""

    @check(name, source, *expected)
    def see(server: Server) -> str:
        found = server.ask(f"/bad?{what}")
        evil = [header for header, _ in found.headers if header.lower() in ("x-evil", "x-split")]
        return f"{found}{', split' if evil else ''}"


broken("text instead of bytes in the body", "text", STRINGS, "500.*")
broken("text after an empty text in the body", "later+text", STRINGS, "500.*")
broken("a number in the body", "number", STRINGS, "500.*")
broken("None instead of an iterable", "none", DETAILS, "500.*")
broken("a status in bytes", "bytes+status", STRINGS, "500.*")
broken("a status that is a number", "number+status", START, "500.*")
broken("a header in bytes", "bytes+header", STRINGS, "500.*")
broken("a header that is a number", "number+header", START, "500.*")
broken("a newline in a header's value", "newline", START, "500.*")
broken("a newline in a header's name", "newline+name", START, "500.*")
broken("a newline in the status", "newline+status", START, "500.*")
broken("a lone CR in a header's value", "bare+cr", START, "500.*")
broken("a NUL in a header's value", "nul", START, "500.*")
broken("a header beyond latin-1", "wide", STRINGS, "500.*")
broken("a negative Content-Length from the app", "negative", LENGTH, "500.*", "200 x")
broken("two Content-Lengths from the app", "two+lengths", "RFC 9110, 8.6", "500.*", "200 x")
broken("Transfer-Encoding from the app", "chunked", "PEP 3333, Other HTTP Features", "500.*", "200 1\r\nx\r\n0\r\n\r\n")


@check("hop-by-hop headers from the app", "PEP 3333, Other HTTP Features", "500.*", "200 without")
def hop_by_hop(server: Server) -> str:
    """See whether they are passed on."""
    found = server.ask("/bad?keep-alive")
    passed = "Keep-Alive" in dict(found.headers) or "x-private" in found.get("Connection")
    return "passed on" if passed else f"{found.status} without"


@check("two cookies, an empty header and one above 0x7f reach the client", STRINGS, "a=1; Path=/ and b=2, '', '\xe9'")
def headers(server: Server) -> str:
    """See the headers of an answer."""
    found = server.ask("/headers")
    cookies = " and ".join(value for name, value in found.headers if name.lower() == "set-cookie")
    return f"{cookies}, {found.get('X-Empty')!r}, {found.get('X-Latin')!r}"


@check("wsgi.file_wrapper with a length, in the middle of a file", "PEP 3333, Optional Platform-Specific File Handling",
       "200 1000 bytes, then usable")  # fmt: skip
def part_of_file(server: Server) -> str:
    """See a part of a file."""
    return server.raw(b"GET /file?size=1000 HTTP/1.1\r\nHost: test\r\n\r\n", then=True)


# 2. Framing of answers: HEAD, 204, 304, HTTP/1.0, connections that are kept.

KEPT = "RFC 9112, 9.3"
HEAD = "RFC 9110, 9.3.2"
BODY = "RFC 9112, 6.3"


def get(path: str, *, method: str = "GET", version: str = "1.1", headers: str = "") -> bytes:
    """Return the bytes of a request without a body."""
    return f"{method} {path} HTTP/{version}\r\nHost: test\r\n{headers}\r\n".encode("latin-1")


for kind in ("ok", "lone", "status?200+OK", "status_stream?200+OK", "file", "file?size=1000", "write", "empty"):
    simple(f"HEAD /{kind}: no body", HEAD, get(f"/{kind}", method="HEAD"), "200, then (usable|closed)", then=True)
simple("HEAD leaves the connection usable", KEPT, get("/lone", method="HEAD"), "200, then usable", then=True)
simple("HEAD of a stream leaves the connection usable", KEPT, get("/status_stream?200+OK", method="HEAD"),
       "200, then usable", then=True)  # fmt: skip
for status in ("204 No Content", "304 Not Modified"):
    for kind in ("status", "status_stream"):
        path = f"/{kind}?{status.replace(' ', '+')}"
        simple(
            f"/{kind} with {status}: no body, connection usable",
            BODY,
            get(path),
            f"{status[:3]}, then usable",
            then=True,
        )
simple("an answer without a length leaves the connection usable", KEPT, "/status_stream?200+OK", "200 a body, then usable",
       then=True)  # fmt: skip
simple("an error leaves nobody waiting", ERRORS, "/fails", "500.*, then (usable|closed)", then=True)
simple("HTTP/1.1 is kept", KEPT, "/ok", "200 ok, then usable", then=True)
simple("Connection: close", KEPT, get("/ok", headers="Connection: close\r\n"), "200 ok, then closed", then=True)
simple("Connection: TE, Close", "RFC 9112, 9.6", get("/ok", headers="TE: trailers\r\nConnection: TE, Close\r\n"),
       "200 ok, then closed", then=True)  # fmt: skip
simple("HTTP/1.0 is closed", KEPT, get("/ok", version="1.0"), "200 ok, then closed", then=True)
simple("HTTP/1.0 with keep-alive is kept", KEPT, get("/ok", version="1.0", headers="Connection: keep-alive\r\n"),
       "200 ok, then usable", "200 ok, then closed", then=True)  # fmt: skip
simple("HTTP/1.0 without a length is closed", BODY,
       get("/status_stream?200+OK", version="1.0", headers="Connection: keep-alive\r\n"), "200 a body", then=False)  # fmt: skip


@check("HEAD has the headers of GET", "RFC 9110, 9.3.2", "same")
def head_headers(server: Server) -> str:
    """Compare the headers."""
    leave = ("date", "connection", "transfer-encoding")
    asked = [server.ask("/lone", method=method).headers for method in ("GET", "HEAD")]
    got, head = ([pair for pair in found if pair[0].lower() not in leave] for found in asked)
    missing = [name for name, value in got if (name, value) not in head]
    # RFC 9110, 9.3.2: what is known only once the body is made may be left out.
    return "same" if set(missing) <= {"Content-Length"} and len(head) <= len(got) else f"{got} and {head}"


@check("HEAD does not say a length of its own", "RFC 9110, 8.6", "1000")
def head_length(server: Server) -> str:
    """See the length that the application gave."""
    return server.ask("/file?size=1000", method="HEAD").get("Content-Length")


@check("204 has no Content-Length and no Transfer-Encoding", "RFC 9110, 8.6; RFC 9112, 6.1", "204 without")
def no_content(server: Server) -> str:
    """See the headers of a 204."""
    found = server.ask("/status?204+No+Content")
    return f"{found.status} {found.get('Content-Length')}{found.get('Transfer-Encoding')}" + "without" * (
        not found.get("Content-Length") and not found.get("Transfer-Encoding")
    )


@check("a 1xx as the answer leaves nobody waiting", "RFC 9110, 15.2", "500.*", "closed")
def interim(server: Server) -> str:
    """See what comes of 103."""
    return str(server.ask("/status?103+Early+Hints"))


@check("a stream is chunked for HTTP/1.1", "RFC 9112, 7.1", "chunked")
def chunked(server: Server) -> str:
    """See the framing of a stream."""
    return server.ask("/status_stream?200+OK").get("Transfer-Encoding")


@check("a stream is not chunked for HTTP/1.0", "RFC 9112, 6.1", "'' 200 a body")
def not_chunked(server: Server) -> str:
    """See the framing of a stream for an old client."""
    with server.connect() as connection:
        connection.send(get("/status_stream?200+OK", version="1.0"))
        found = connection.answer()
        return f"{found.get('Transfer-Encoding')!r} {found}"


@check("pipelined requests are answered in order", "RFC 9112, 9.3.2", "200 ok; 200 one two; 200 hello; 200 ok")
def pipelined(server: Server) -> str:
    """Send four requests at once."""
    with server.connect() as connection:
        post = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"
        connection.send(get("/ok") + get("/write_all") + post + get("/ok"))
        return "; ".join(str(connection.answer()) for _ in range(4))


@check("a request after HEAD in a pipeline", "RFC 9112, 9.3.2", "200; 200 ok")
def pipelined_head(server: Server) -> str:
    """Send HEAD and GET at once."""
    with server.connect() as connection:
        connection.send(get("/status?200+OK", method="HEAD") + get("/ok"))
        return f"{connection.answer(to_head=True)}; {connection.answer()}"


@check("5 MB both ways", BODY, "the same 5000000 bytes, then usable")
def large(server: Server) -> str:
    """Send 5 MB and get them back."""
    content = bytes(range(250)) * 20_000
    with server.connect() as connection:
        connection.send(f"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        sender = threading.Thread(target=connection.send, args=(content,))
        sender.start()
        found = connection.answer()
        sender.join()
        same = "the same" if found.body == content else "other"
        return f"{same} {len(found.body)} bytes, {connection.then()}"


# 3. wsgi.input.

INPUT = "PEP 3333, Input and Error Streams"
LINES = b"one\ntwo three\n\nlast"


def reading(way: str, expected: str, body: bytes = LINES) -> None:
    """Enter checks of one way to read, of a body with a length and of a chunked one."""
    for framing in ("a length", "chunks"):

        @check(f"wsgi.input: {way.replace('+', ', ')}, body with {framing}", INPUT, re.escape(expected))
        def see(server: Server, framing: str = framing) -> str:
            if framing == "a length":
                found = server.ask(f"/body?{way}", method="POST", body=body)
            else:
                parts = [body[:2], body[2:6], body[6:]]
                data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
                with server.connect() as connection:
                    connection.send(f"POST /body?{way} HTTP/1.1\r\nHost: test\r\n".encode())
                    connection.send(b"Transfer-Encoding: chunked\r\n\r\n" + data)
                    found = connection.answer()
            return json.loads(found.body)["pieces"] if found.status == 200 else str(found)


reading("read", repr(LINES))
reading("read+n", r"b'one' b'\ntwo' b' three\n\nlast'")
reading("readline", r"b'one\n' b'two three\n' b'\n', then [b'last', b'', b'', b'']")
reading("readline+n", r"b'on' b'e\n' b'two three\n', then [b'\nlast', b'', b'', b'']")
reading("readlines", r"b'one\n' b'two three\n' b'\n' b'last'")
reading("readlines+hint", r"b'one\n' b'two three\n' b'\n' b'last'")
reading("iterate", r"b'one\n' b'two three\n' b'\n' b'last'")
reading("mixed", r"b'o' b'ne\n' b'tw' b'o three\n' b'\n' b'last'")


@check("wsgi.input without a body", INPUT, "b''")
def no_body(server: Server) -> str:
    """Read where there is nothing."""
    return json.loads(server.ask("/body?read").body)["pieces"]


@check("the length of a chunked body can be known", "PEP 3333, Input and Error Streams; RFC 9112, 7.1.3", "5", "ended")
def chunked_length(server: Server) -> str:
    """See CONTENT_LENGTH or wsgi.input_terminated."""
    with server.connect() as connection:
        connection.send(b"POST /body?read HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"5\r\nhello\r\n0\r\n\r\n")
        return json.loads(connection.answer().body)["length"]


POST = b"POST /unread HTTP/1.1\r\nHost: test\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
simple("an unread body, then the next request", BODY, POST + b"Content-Length: 9\r\n\r\nGET /evil",
       "200 ok, then usable", then=True)  # fmt: skip
simple("an unread chunked body, then the next request", BODY, POST + CHUNKED + b"9\r\nGET /evil\r\n0\r\n\r\n",
       "200 ok, then usable", then=True)  # fmt: skip
simple("an unread body of 1 MB, then the next request", BODY, POST + b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000),
       "200 ok, then (usable|closed)", then=True)  # fmt: skip
simple("chunks with extensions and trailers", "RFC 9112, 7.1",
       ECHO + CHUNKED + b'2;a=b\r\nhe\r\n003;c="d;e"\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n',
       "200 hello, then usable", then=True)  # fmt: skip


@check("a trailer does not become a header", "RFC 9110, 6.5.1", "none")
def trailer(server: Server) -> str:
    """See the environment of a request with trailers."""
    with server.connect() as connection:
        connection.send(b"POST /environ HTTP/1.1\r\nHost: test\r\n" + CHUNKED)
        connection.send(b"1\r\nx\r\n0\r\nX-Trailer: 1\r\nAuthorization: evil\r\n\r\n")
        found = json.loads(connection.answer().body)
    return ", ".join(name for name in ("HTTP_X_TRAILER", "HTTP_AUTHORIZATION") if name in found) or "none"


def cut_off(name: str, request: Callable[[str], bytes]) -> None:
    """Enter a check of a body that ends before its end."""

    @check(name, "RFC 9112, 8", "nothing")
    def see(server: Server) -> str:
        noted = key()
        with server.connect() as connection:
            connection.send(request(noted))
            time.sleep(0.2)
        return server.told(noted, within=1.0)


def post(path: str, headers: str, body: bytes = b"", *, version: str = "1.1") -> bytes:
    """Return the bytes of a request with a body."""
    return f"POST {path} HTTP/{version}\r\nHost: test\r\n{headers}\r\n".encode("latin-1") + body


TE = "Transfer-Encoding: chunked\r\n"
cut_off(
    "a body that breaks off is not complete", lambda noted: post(f"/echo?{noted}", "Content-Length: 9\r\n", b"half")
)
cut_off("a chunk that breaks off is not complete", lambda noted: post(f"/echo?{noted}", TE, b"9\r\nhalf"))
cut_off("chunks without the last one are not complete", lambda noted: post(f"/echo?{noted}", TE, b"4\r\nhalf\r\n"))
cut_off("a last chunk without its end is not complete", lambda noted: post(f"/echo?{noted}", TE, b"4\r\nhalf\r\n0\r\n"))


# 4. What two servers in a row could read in two ways: refused, and the connection is not used again.

REFUSED = ("400.*, then closed", "501.*, then closed")


def refused(name: str, source: str, request: Callable[[str], bytes], *expected: str) -> None:
    """Enter a check of a request that must not reach the application, with one hidden behind it that must not either."""

    @check(name, source, *(f"{pattern}; nothing" for pattern in expected or REFUSED))
    def see(server: Server) -> str:
        noted = key()
        return f"{server.raw(request(noted), then=True)}; {server.told(noted, within=0.0)}"


def hidden(noted: str) -> bytes:
    """Return a request that is not meant to be one."""
    return f"GET /unread?{noted} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def framed(headers: str, body: bytes = b"", version: str = "1.1", path: str = "/unread") -> Callable[[str], bytes]:
    """Return a maker of requests with some headers, a body and another request behind it."""
    return lambda noted: post(f"{path}?{noted}", headers, body + hidden(noted), version=version)


SMUGGLE = "RFC 9112, 6.3"
for both in (f"Content-Length: 5\r\n{TE}", f"{TE}Content-Length: 5\r\n"):
    # Taking the chunks and closing is the other thing that a server may do.
    refused(" and ".join(re.findall("[A-Z][a-zE-]+-[A-Z][a-z]+", both)), "RFC 9112, 6.1", framed(both, b"0\r\n\r\n"))
    CHECKS[next(reversed(CHECKS))].expected += ("200 ok, then closed; called",)
refused("two Content-Lengths", SMUGGLE, framed("Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"))
for value in ("-5", "+5", "5, 6", "0x5", "5 5", "1_0", "5\x0b", "\xb2"):
    refused(f"Content-Length: {ascii(value)[1:-1]}", SMUGGLE, framed(f"Content-Length: {value}\r\n", b"hello"))
refused("Content-Length without a value", SMUGGLE, framed("Content-Length:\r\n"))
refused("Transfer-Encoding: chunked twice", "RFC 9112, 6.1", framed(f"{TE}{TE}", b"0\r\n\r\n"))
for value in ("xchunked", "chunked, identity", "identity, chunked", "gzip", "\x0bchunked", '"chunked"', "chunked;q=1"):
    refused(f"Transfer-Encoding: {ascii(value)[1:-1]}", "RFC 9112, 6.1",
            framed(f"Transfer-Encoding: {value}\r\n", b"0\r\n\r\n"))  # fmt: skip
refused(
    "Transfer-Encoding of HTTP/1.0", "RFC 9112, 6.1", framed(f"Connection: keep-alive\r\n{TE}", b"0\r\n\r\n", "1.0")
)
refused("a space before the colon", "RFC 9112, 5.1", framed("Content-Length : 5\r\n", b"hello"))
refused("a header without a name", "RFC 9112, 5", framed(": 5\r\n"))
refused("a header without a colon", "RFC 9112, 5", framed("Content-Length\r\n"))
refused("a lone LF in a header", "RFC 9112, 2.2", framed("X: 1\nContent-Length: 5\r\n", b"hello"))
# It may be taken for the end of a line; then the body has its length, and what comes behind it is a request.
CHECKS["a lone LF in a header"].expected += ("200 ok, then usable; called, called",)
refused("a lone CR in a header", "RFC 9112, 2.2", framed("X: 1\rContent-Length: 5\r\n", b"hello"))
refused("a NUL in a header", "RFC 9110, 5.5", framed("X: 1\x002\r\n"))
for name, body in {
    "a chunk size that is no number": b"z\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with +": b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with _": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a space before a chunk size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a lone LF after a chunk size": b"5\nhello\r\n0\r\n\r\n",
    "LF CR LF after a chunk size": b"5\n\r\nhello\r\n0\r\n\r\n",
    "a lone LF in a chunk extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "LF CR LF after a chunk extension": b"5;a\n\r\nhello\r\n0\r\n\r\n",
    "no chunk size": b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": b"5\r\nhello!!\r\n0\r\n\r\n",
    "a chunk without its end": b"5\r\nhello0\r\n\r\n",
}.items():
    refused(name, "RFC 9112, 7.1", framed(TE, body, path="/echo"))
refused("no Host", "RFC 9112, 3.2", lambda noted: f"GET /unread?{noted} HTTP/1.1\r\n\r\n".encode(), "400.*")
refused("two Hosts", "RFC 9112, 3.2", lambda noted: get(f"/unread?{noted}", headers="Host: other\r\n"), "400.*")
refused("a version of another time", "RFC 9110, 15.6.6", lambda noted: get(f"/unread?{noted}", version="3.0"),
        "[45]0[05].*, then closed", "closed.*")  # fmt: skip
refused("the preface of HTTP/2", "RFC 9113, 3.4", lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "[45]0[05].*, then closed", "closed.*")  # fmt: skip
refused("a first line of four words", "RFC 9112, 3", lambda noted: f"GET /unread?{noted} x HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        "400.*, then closed")  # fmt: skip
refused(
    "a first line that is none", "RFC 9112, 3", lambda _: b"\x16\x03\x01\x02\r\n\r\n", "400.*, then closed", "closed.*"
)
refused("headers of 400 kB", "RFC 6585, 5", lambda noted: get(f"/unread?{noted}", headers=f"X: {'x' * 400_000}\r\n"),
        "4(00|13|14|31).*, then closed", "closed, then closed")  # fmt: skip
simple("an empty line before a request", "RFC 9112, 2.2", b"\r\n" + get("/ok"), "200 ok")


@check("a chunk size beyond all measure", "RFC 9112, 7.1", "(waits|400|413); nothing")
def beyond(server: Server) -> str:
    """Send a size that a number of 64 bits cannot hold, 1 where it wraps around."""
    noted = key()
    with server.connect() as connection:
        connection.socket.settimeout(0.5)
        connection.send(post(f"/echo?{noted}", TE, b"10000000000000001\r\nx\r\n0\r\n\r\n"))
        try:
            found = str(connection.answer().status)
        except TimeoutError:
            found = "waits"
    return f"{found}; {server.told(noted, within=0.3)}"


@check("an error answer reaches a client that sends on", "RFC 9112, 9.6", "400")
def sends_on(server: Server) -> str:
    """Send 2 MB behind a chunk that is wrong, then read."""
    with server.connect() as connection:
        connection.send(ECHO + CHUNKED + b"z\r\n")
        time.sleep(0.2)
        for _ in range(32):
            connection.send(bytes(65536))
        return str(connection.answer().status)


# 5. Expect.

EXPECT = "RFC 9110, 10.1.1"


def expecting(version: str) -> See:
    """Return a check that waits for the server's word before it sends a body."""

    def see(server: Server) -> str:
        with server.connect() as connection:
            connection.send(post("/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n", version=version))
            # HTTP/1.0 has no such word; it is not waited for as long.
            connection.socket.settimeout(0.7 if version == "1.0" else PATIENCE)
            try:
                word = str(connection.head().status)
            except TimeoutError:
                word = "no word"
            connection.socket.settimeout(PATIENCE)
            connection.send(b"hello")
            return f"{word}, {connection.answer()}"

    return see


check("Expect: 100-continue", EXPECT, "100, 200 hello")(expecting("1.1"))
check("Expect: 100-continue of HTTP/1.0", EXPECT, "no word, 200 hello")(expecting("1.0"))
simple("Expect: 100-continue, body sent at once", EXPECT, post("/echo", "Content-Length: 2\r\nExpect: 100-continue\r\n", b"hi"),
       "200 hi, then usable", then=True)  # fmt: skip
simple("Expect: 100-continue without a body", EXPECT, get("/ok", headers="Expect: 100-continue\r\n"), "200 ok, then usable",
       then=True)  # fmt: skip


# 6. environ.

ENVIRON = "PEP 3333, environ Variables"


@check("environ is a dict", DETAILS, "builtins.dict")
def is_dict(server: Server) -> str:
    """See its type."""
    return server.environ()["type"]


@check("CGI variables are native strings", STRINGS, "all")
def native(server: Server) -> str:
    """See which are something else."""
    return server.environ()["not native"] or "all"


@check("the variables that must be there", ENVIRON, "all")
def present(server: Server) -> str:
    """See which are missing."""
    names = [
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_PROTOCOL",
    ]
    names += [f"wsgi.{name}" for name in ("url_scheme", "input", "errors", "multithread", "multiprocess", "run_once")]
    found = server.environ()
    return ", ".join(name for name in names if name not in found) or "all"


def variable(name: str, source: str, see: Callable[[Server], object], *expected: str) -> None:
    """Enter a check of one value of the environment."""
    check(name, source, *expected)(lambda server: str(see(server)))


variable("wsgi.version", ENVIRON, lambda server: server.environ()["version"], r"\(1, 0\)")
variable("wsgi.url_scheme", ENVIRON, lambda server: server.environ()["wsgi.url_scheme"], "http")
variable("SERVER_PROTOCOL", ENVIRON, lambda server: server.environ()["SERVER_PROTOCOL"], "HTTP/1.1")
variable("SERVER_PORT is a number", ENVIRON, lambda server: server.environ()["SERVER_PORT"], "[0-9]+")
variable("SERVER_NAME is not empty", ENVIRON, lambda server: server.environ()["SERVER_NAME"], ".+")
variable("HTTP_HOST", ENVIRON, lambda server: server.environ()["HTTP_HOST"], "test:81")
variable("SCRIPT_NAME is empty at the root", ENVIRON, lambda server: repr(server.environ()["SCRIPT_NAME"]), "''")
variable(
    "a method of its own", "RFC 9110, 9.1", lambda server: server.environ(method=b"PURGE")["REQUEST_METHOD"], "PURGE"
)
for path, expected in {
    "/%C3%A9/%e2%82%ac": "/\xc3\xa9/\xe2\x82\xac",
    "/a%2Fb": "/a/b",
    "/a%20b+c": "/a b\\+c",
    "/a;b=c/d": "/a;b=c/d",
    "/a:b": "/a:b",
    "/a//b": "/a//b",
    "//a/b": "//?a/b",
    "/%zz%": "/%zz%",
    "/a/../b": "/a/../b",
}.items():
    variable(f"PATH_INFO of {path}", STRINGS, lambda server, path=path: server.environ(path)["PATH_INFO"], expected)  # type: ignore[misc]
variable("QUERY_STRING is raw", ENVIRON, lambda server: server.environ("/x?a=%C3%A9&b=1+2?c;d=%2f")["QUERY_STRING"],
         r"a=%C3%A9&b=1\+2\?c;d=%2f")  # fmt: skip
variable("QUERY_STRING may be empty", ENVIRON, lambda server: repr(server.environ("/x?")["QUERY_STRING"]), "''")
variable("PATH_INFO of an absolute target", "RFC 9112, 3.2.2", lambda server: server.environ("http://test/a%20b?c")["PATH_INFO"],
         "/a b")  # fmt: skip
variable("the host of an absolute target is the Host", "RFC 9112, 3.2.2",
         lambda server: server.environ("http://other:82/")["HTTP_HOST"], "other:82")  # fmt: skip
variable("a Cookie with bytes above 0x7f", STRINGS,
         lambda server: server.environ(headers="Cookie: a=\xe9; session=abc\r\n".encode("latin-1"))["HTTP_COOKIE"],
         "a=\xe9; session=abc")  # fmt: skip
variable("a Cookie in UTF-8", STRINGS,
         lambda server: server.environ(headers="Cookie: a=é; session=abc\r\n".encode())["HTTP_COOKIE"],
         "a=\xc3\xa9; session=abc")  # fmt: skip
variable("two lines of Cookie are joined as cookies are", "RFC 9113, 8.2.3",
         lambda server: server.environ(headers=b"Cookie: a=1\r\nCookie: b=2\r\n")["HTTP_COOKIE"], "a=1; b=2")  # fmt: skip
variable("two headers of one name are joined", "RFC 9110, 5.3",
         lambda server: server.environ(headers=b"X-Two: 1\r\nX-Two: 2\r\n")["HTTP_X_TWO"], "1, ?2")  # fmt: skip
variable(
    "an empty header",
    "RFC 9110, 5.5",
    lambda server: repr(server.environ(headers=b"X-Empty:\r\n")["HTTP_X_EMPTY"]),
    "''",
)
variable("spaces around a header's value", "RFC 9112, 5.1",
         lambda server: repr(server.environ(headers=b"X-Space: \t a b \t\r\n")["HTTP_X_SPACE"]), "'a b'")  # fmt: skip
variable("a name with _ does not pass for one with -", "RFC 3875, 4.1.18",
         lambda server: server.environ(headers=b"X_Real: evil\r\nX-Real: good\r\nX_Real: evil\r\n")["HTTP_X_REAL"],
         "good")  # fmt: skip
variable("CONTENT_TYPE", ENVIRON,
         lambda server: {key: value for key, value in server.environ(headers=b"Content-Type: a/b\r\n").items()
                         if key in ("CONTENT_TYPE", "HTTP_CONTENT_TYPE")}, r"\{'CONTENT_TYPE': 'a/b'\}")  # fmt: skip
variable("OPTIONS *", "RFC 9110, 9.3.7", lambda server: server.environ("*", method=b"OPTIONS")["PATH_INFO"], "\\*", "/")
variable("no HTTP_CONTENT_LENGTH", ENVIRON,
         lambda server: "HTTP_CONTENT_LENGTH" in server.environ(headers=b"Content-Length: 0\r\n"), "False")  # fmt: skip
variable("a client cannot set other variables", "RFC 3875, 4.1",
         lambda server: server.environ(headers=b"Script-Name: /evil\r\nRemote-User: evil\r\nwsgi.url_scheme: https\r\n")
         .keys() & {"REMOTE_USER"}, r"set\(\)")  # fmt: skip

for name, data in {
    "GET": get("/valid"),
    "HEAD": get("/valid", method="HEAD"),
    "a query": get("/valid/x?a=b&c=%20"),
    "an encoded path": get("/valid/%2F%C3%A9"),
    "a Cookie above 0x7f": get("/valid", headers="Cookie: a=\xe9\r\nX-Empty:\r\n"),
    "an absolute target": get("http://test/valid"),
    "HTTP/1.0": get("/valid", version="1.0"),
    "POST": post("/valid", "Content-Length: 5\r\nContent-Type: text/plain\r\n", b"hello"),
    "PUT without a body": get("/valid", method="PUT", headers="Content-Length: 0\r\n"),
    "DELETE": get("/valid", method="DELETE"),
    "PATCH in chunks": post("/valid", TE, b"5\r\nhello\r\n0\r\n\r\n").replace(b"POST", b"PATCH"),
    "100-continue": post("/valid", "Content-Length: 5\r\nExpect: 100-continue\r\n", b"hello"),
}.items():
    wanted = "200" if name == "HEAD" else "200 ok(hello)?"
    simple(f"wsgiref.validate: {name}", "wsgiref.validate", data, wanted)


# 7. What only a service shows.


@check("wsgi.errors goes to the journal", INPUT, "in the journal, in the journal", unit=True)
def errors(server: Server) -> str:
    """Look for what the application wrote."""
    name = key()
    server.ask(f"/errors?{name}")
    return f"{server.journal(f'written {name}')}, {server.journal(f'lines {name}')}"


@check("an error of the application goes to the journal", ERRORS, "in the journal", unit=True)
def traceback(server: Server) -> str:
    """Look for its message."""
    name = key()
    server.ask(f"/fails?{name}")
    return server.journal(f"fails before it starts {name}")


class Requests:
    """Requests that wait for their answers, each on a connection of its own."""

    def __init__(self, server: Server, count: int, path: str) -> None:
        self.connections = [server.connect() for _ in range(count)]
        for connection in self.connections:
            connection.socket.settimeout(60.0)
            connection.send(get(path))
            time.sleep(0.01)

    def answers(self) -> list[str]:
        """Return what becomes of them, the bodies left out."""
        found = []
        for connection in self.connections:
            with connection, contextlib.suppress(TimeoutError):
                answer = connection.answer()
                found.append(str(answer.status) if answer.complete else "cut")
        return found


@check(
    "as many requests run at once as the app has threads, and no more",
    "the key threads",
    "as many as threads, health 200 at once",
    unit=True,
)
def at_once(server: Server) -> str:
    """Send three times as many, and the health check meanwhile."""
    waiting = Requests(server, 3 * server.threads, "/busy?2")
    status = server.ask("/health").status
    first = not select.select([one.socket for one in waiting.connections], [], [], 0)[0]
    health = f"{status} {'at once' if first else 'late'}"
    waiting.answers()
    most = json.loads(server.ask("/busy?0").body)["most"]
    return f"{'as many as threads' if most == server.threads else most}, health {health}"


@check(
    "a stop finishes what runs and waits, and what comes meanwhile is answered after it",
    "systemd.service(5), systemd.socket(5)",
    "22 of 22 answered 200, ended well in time",
    unit=True,
)
def stopped(server: Server) -> str:
    """Restart the unit while requests run and wait, and others come in."""
    before, began = server.property("MainPID"), time.time()
    requests = Requests(server, 12, "/busy?0.7")
    with subprocess.Popen(["systemctl", "restart", f"{server.unit}.service"]) as restart:
        time.sleep(0.3)
        late = Requests(server, 10, "/ok")
        found = requests.answers() + late.answers()
        restart.wait(timeout=60)
    took = time.time() - began
    journal = server.system(*JOURNAL, f"--unit={server.unit}.service", f"--since=@{int(began)}")
    failed = re.findall(r".*(?:code=|Failed with|State 'stop-sigterm' timed out).*", journal)
    ended = "not restarted" if server.property("MainPID") == before else "; ".join(failed) or "ended well"
    return f"{found.count('200')} of 22 answered 200, {ended}{' in time' if took < 10 else f' after {took:.0f} s'}"


@check(
    "a stop that a slow request holds up answers others meanwhile",
    "the key stop_timeout",
    "10 of 10 answered 200 before the slow one, which was answered 200",
    unit=True,
)
def held_up(server: Server) -> str:
    """Restart the unit while one request runs for long, and others come in."""
    slow = Requests(server, 1, "/busy?5")
    with subprocess.Popen(["systemctl", "restart", f"{server.unit}.service"]) as restart:
        time.sleep(0.5)
        found = Requests(server, 10, "/ok").answers()
        first = not select.select([slow.connections[0].socket], [], [], 0)[0]
        answers = slow.answers()
        restart.wait(timeout=60)
    when = "before the slow one" if first else "after the slow one"
    return f"{found.count('200')} of 10 answered 200 {when}, which was answered {answers[0] if answers else 'never'}"


def main() -> None:
    """Run the checks and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--unit", default="")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    server = Server(options.address, options.port, options.unit, options.threads)
    chosen = {
        name: check for name, check in CHECKS.items() if options.only in name and (options.unit or not check.unit)
    }
    json.dump({name: check.run(server) for name, check in chosen.items()}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
