"""A WSGI application without a framework: each path does one thing that PEP 3333 has a rule for. See tests/protocol.py.

What a path saw is in the answer or, where the client cannot know it, in `/told?KEY`, which lists what was noted.
"""

# ruff: noqa: ARG001

import collections
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
Path = Callable[[Environ, Start], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]
PATHS: dict[str, Path] = {}
notes: dict[str, list[str]] = collections.defaultdict(list)
running = threading.Lock()
at_once = {"now": 0, "most": 0}
# Nothing is closed by being forgotten.
held: list[object] = []


def path(function: Path) -> Path:
    """Serve a function under its name."""
    PATHS["/" + function.__name__] = function
    return function


def note(environ: Environ, what: str) -> None:
    """Note something under the request's query string."""
    notes[environ["QUERY_STRING"]].append(what)


class Noted:
    """An iterable that notes when it is closed, and fails after its last block if it is given an error."""

    def __init__(self, environ: Environ, blocks: list[bytes], error: BaseException | None = None) -> None:
        self.environ, self.blocks, self.error = environ, blocks, error

    def __iter__(self) -> Iterator[bytes]:
        """Give the blocks, then fail."""
        yield from self.blocks
        if self.error:
            raise self.error

    def close(self) -> None:
        """Note it."""
        note(self.environ, "closed")


def as_json(start_response: Start, value: Any) -> Iterable[bytes]:
    """Answer with a value as JSON."""
    body = json.dumps(value).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


@path
def ok(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer, for what comes after something else on a connection."""
    start_response("200 OK", [*TEXT, ("Content-Length", "2")])
    return [b"ok"]


@path
def health(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer the health check."""
    return ok(environ, start_response)


@path
def told(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with what was noted under a key."""
    return as_json(start_response, notes[environ["QUERY_STRING"]])


@path
def environ(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with the environment: strings as they are, else their type."""
    shown = {key: value if isinstance(value, str) else f"({type(value).__name__})" for key, value in environ.items()}
    shown["type"] = f"{type(environ).__module__}.{type(environ).__name__}"
    shown["not native"] = ",".join(key for key, value in environ.items() if key.isupper() and type(value) is not str)
    shown["version"] = repr(environ.get("wsgi.version"))
    return as_json(start_response, shown)


# What an application may do with start_response and with what it returns.


@path
def late(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Give the status on the first next()."""
    start_response("401 Unauthorized", [*TEXT, ("WWW-Authenticate", "Basic"), ("Set-Cookie", "a=1")])
    yield b"who?"


@path
def twice(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Call start_response a second time without exc_info."""
    start_response("200 OK", TEXT)
    start_response("201 Created", TEXT)
    return [b"both"]


@path
def replaced(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Call start_response a second time with exc_info before headers are sent, an empty string before it."""
    start_response("200 OK", [*TEXT, ("Content-Length", "3"), ("X-First", "1")])
    yield b""
    try:
        raise ValueError("noted")
    except ValueError:
        start_response("503 Service Unavailable", [*TEXT, ("X-Second", "1")], sys.exc_info())
    yield b"sorry, later"


@path
def too_late(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Call start_response with exc_info when headers are sent: it has to raise what it is given."""
    start_response("200 OK", [*TEXT, ("Content-Length", "8")])
    yield b"half"
    try:
        raise ValueError("given")
    except ValueError:
        try:
            start_response("500 Internal Server Error", TEXT, sys.exc_info())
        except ValueError as error:
            note(environ, f"raised {error}")
            raise
    note(environ, "went on")
    yield b"half"


@path
def never_started(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return a body without a status."""
    return [b"no status"]


@path
def write(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Use the callable that start_response returns, and return more."""
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three"]


@path
def write_all(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Write everything with the length given, return nothing, as Trac does."""
    write = start_response("200 OK", [*TEXT, ("Content-Length", "7")])
    write(b"one ")
    write(b"two")
    return []


@path
def empty(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return nothing, without a length."""
    start_response("200 OK", TEXT)
    return []


@path
def empty_strings(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Yield empty strings, which must not end a chunked answer."""
    start_response("200 OK", TEXT)
    yield from (b"", b"a", b"", b"", b"b", b"")


@path
def lone(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return one block in a list without a length."""
    start_response("200 OK", TEXT)
    return [b"lone"]


@path
def stream(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Yield three blocks, of which the client has to have one before the next is made."""
    start_response("200 OK", TEXT)
    for number in range(3):
        yield b"block %d\n" % number
        time.sleep(3 if number == 0 else 0)


@path
def closed(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return an iterable with close()."""
    start_response("200 OK", TEXT)
    return Noted(environ, [b"a", b"b"])


@path
def endless(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Yield 64 kB a time for 20 seconds; note what ends it."""
    start_response("200 OK", TEXT)

    def blocks() -> Iterator[bytes]:
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                yield bytes(65536)
                time.sleep(0.01)
        finally:
            note(environ, "went on to its end" if time.monotonic() >= end else "closed")

    return blocks()


@path
def fails(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Fail before anything."""
    raise ValueError(f"fails before it starts {environ['QUERY_STRING']}")


@path
def fails_first(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Fail on the first next(), after start_response."""
    start_response("200 OK", [*TEXT, ("Content-Length", "4")])
    return Noted(environ, [], ValueError("first"))


@path
def fails_halfway(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Fail after a block, no length given."""
    start_response("200 OK", TEXT)
    return Noted(environ, [b"half"], ValueError("half-way"))


@path
def fails_in_length(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Fail after a block, a length given."""
    start_response("200 OK", [*TEXT, ("Content-Length", "8")])
    return Noted(environ, [b"half"], ValueError("half-way"))


@path
def exits(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Raise what is no Exception, as sys.exit() and a cancelled asyncio task do."""
    raise SystemExit("exits")


@path
def exits_halfway(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Raise what is no Exception after a block."""
    start_response("200 OK", TEXT)
    return Noted(environ, [b"half"], SystemExit("half-way"))


@path
def too_few(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return fewer bytes than Content-Length says."""
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    return [b"short"]


@path
def too_many(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return more bytes than Content-Length says."""
    start_response("200 OK", [*TEXT, ("Content-Length", "4")])
    return [b"abcdEVIL", b"EVIL"]


@path
def status(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with the status in the query string, and with a body in any case."""
    start_response(environ["QUERY_STRING"].replace("+", " "), [*TEXT, ("Content-Length", "6")])
    return [b"a body"]


@path
def status_stream(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with the status in the query string, and yield a body of no given length in any case."""
    start_response(environ["QUERY_STRING"].replace("+", " "), TEXT)
    yield b"a "
    yield b"body"


BAD: dict[str, tuple[Any, Any, Any]] = {
    "text": ("200 OK", TEXT, ["text"]),
    "later+text": ("200 OK", TEXT, ["", "text"]),
    "number": ("200 OK", TEXT, [5]),
    "none": ("200 OK", TEXT, None),
    "bytes+status": (b"200 OK", TEXT, [b"x"]),
    "number+status": (200, TEXT, [b"x"]),
    "bytes+header": ("200 OK", [("X-Bytes", b"x")], [b"x"]),
    "number+header": ("200 OK", [("X-Number", 5)], [b"x"]),
    "newline": ("200 OK", [("X-Split", "x\r\nX-Evil: 1")], [b"x"]),
    "newline+name": ("200 OK", [("X-Evil: 1\r\nX-Split", "x")], [b"x"]),
    "newline+status": ("200 OK\r\nX-Evil: 1", TEXT, [b"x"]),
    "bare+cr": ("200 OK", [("X-Split", "x\rX-Evil: 1")], [b"x"]),
    "nul": ("200 OK", [("X-Nul", "x\0y")], [b"x"]),
    "wide": ("200 OK", [("X-Wide", "\u20ac")], [b"x"]),
    "negative": ("200 OK", [("Content-Length", "-5")], [b"x"]),
    "two+lengths": ("200 OK", [("Content-Length", "1"), ("Content-Length", "3")], [b"x"]),
    "chunked": ("200 OK", [("Transfer-Encoding", "chunked")], [b"1\r\nx\r\n0\r\n\r\n"]),
    "keep-alive": ("200 OK", [("Connection", "x-private"), ("Keep-Alive", "timeout=99")], [b"x"]),
}


@path
def bad(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Break a rule of the types and characters of an answer."""
    status, headers, body = BAD[environ["QUERY_STRING"]]
    start_response(status, headers)
    return body


@path
def headers(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with two cookies, an empty header, one above 0x7f and a Server of its own."""
    many = [
        ("Set-Cookie", "a=1; Path=/"),
        ("X-Empty", ""),
        ("X-Latin", "\xe9"),
        ("Set-Cookie", "b=2"),
        ("Server", "own"),
    ]
    start_response("200 OK", [*TEXT, *many])
    return [b"x"]


@path
def file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return 200,000 bytes by wsgi.file_wrapper where there is one; the query string says with which length."""
    size = environ["QUERY_STRING"].partition("=")[2]
    start_response("200 OK", [*TEXT, *([("Content-Length", size)] if size else [])])
    content = Content(bytes(200_000), environ)
    content.seek(100)
    held[:] = [*held[-20:], content]
    return environ.get("wsgi.file_wrapper", FileWrapper)(content, 8192)


@path
def pipe(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return what has read() and nothing else by wsgi.file_wrapper."""
    start_response("200 OK", TEXT)
    content = io.BytesIO(b"piped " * 1000)

    class Pipe:
        def read(self, size: int = -1) -> bytes:
            return content.read(size)

        def close(self) -> None:
            note(environ, "closed")

    return environ.get("wsgi.file_wrapper", FileWrapper)(Pipe(), 8192)


@path
def large_file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return a file of 50 MB by wsgi.file_wrapper."""
    start_response("200 OK", TEXT)
    content = File("/tmp/large", "wb+", environ)
    content.truncate(50_000_000)
    held[:] = [*held[-20:], content]
    return environ.get("wsgi.file_wrapper", FileWrapper)(content, 8192)


@path
def file_of_proc(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Return a file whose end nobody knows before it is read by wsgi.file_wrapper."""
    start_response("200 OK", TEXT)
    content = File("/proc/self/status", "rb", environ)
    held[:] = [*held[-20:], content]
    return environ.get("wsgi.file_wrapper", FileWrapper)(content, 8192)


class File(io.FileIO):
    """A file of the kernel's that notes each call of close()."""

    def __init__(self, name: str, mode: str, environ: Environ) -> None:
        super().__init__(name, mode)
        self.environ = environ

    def close(self) -> None:
        """Note it, each time."""
        note(self.environ, "closed")
        super().close()


class Content(io.BytesIO):
    """A file that notes when it is closed."""

    def __init__(self, content: bytes, environ: Environ) -> None:
        super().__init__(content)
        self.environ = environ

    def close(self) -> None:
        """Note it, once."""
        if not self.closed:
            note(self.environ, "closed")
        super().close()


# What an application may do with wsgi.input.


@path
def body(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Read the body in the way that the query string names; answer with the pieces, and with what is read after the end."""
    stream, way = environ["wsgi.input"], environ["QUERY_STRING"]
    pieces = {
        "read": lambda: [stream.read()],
        "read+n": lambda: [stream.read(3), stream.read(4), stream.read(100)],
        "readline": lambda: [stream.readline(), stream.readline(), stream.readline()],
        "readline+n": lambda: [stream.readline(2), stream.readline(100), stream.readline(100)],
        "readlines": lambda: list(stream.readlines()),
        "readlines+hint": lambda: [*stream.readlines(1), *stream.readlines()],
        "iterate": lambda: list(stream),
        "mixed": lambda: [stream.read(1), stream.readline(), stream.read(2), *stream.readlines()],
        "length": lambda: [stream.read(int(environ["CONTENT_LENGTH"]))],
    }[way]()
    after = [stream.read(), stream.read(5), stream.readline(), b"".join(stream.readlines())]
    shown = [repr(piece) for piece in pieces]
    rest = "" if after == [b""] * 4 else f", then {after}"
    length = environ.get("CONTENT_LENGTH") or ("ended" if environ.get("wsgi.input_terminated") else "unknown")
    return as_json(start_response, {"pieces": " ".join(shown) + rest, "length": length})


@path
def echo(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer with the body of the request, and note its length once it is complete."""
    content = environ["wsgi.input"].read()
    note(environ, f"complete with {len(content)}")
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(content)))])
    return [content]


@path
def unread(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answer without a look at the body."""
    note(environ, "called")
    return ok(environ, start_response)


@path
def errors(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Write to wsgi.errors."""
    environ["wsgi.errors"].write(f"written {environ['QUERY_STRING']}\n")
    environ["wsgi.errors"].writelines([f"lines {environ['QUERY_STRING']}\n"])
    environ["wsgi.errors"].flush()
    return ok(environ, start_response)


@path
def busy(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Take as long as the query string says, five seconds at most; count how many do so at once."""
    with running:
        at_once["now"] += 1
        at_once["most"] = max(at_once.values())
    time.sleep(min(float(environ["QUERY_STRING"]), 5.0))
    with running:
        at_once["now"] -= 1
    return as_json(start_response, {"most": at_once["most"], "process": os.getpid()})


def valid(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Read a body and answer, by the book."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content = environ["wsgi.input"].read(length)
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(content) + 2))])
    return [b"ok", content]


def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Serve the paths above. `/valid...` runs between wsgiref's validator and the server."""
    if environ["PATH_INFO"].startswith("/valid"):
        try:
            return validator(valid)(environ, start_response)
        except AssertionError as error:
            start_response("500 Internal Server Error", TEXT)
            return [f"AssertionError: {error}".encode()]
    return PATHS.get(environ["PATH_INFO"], PATHS["/environ"])(environ, start_response)
