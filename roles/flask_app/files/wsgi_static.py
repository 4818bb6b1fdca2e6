"""Answer the files of an app's `static` from its releases on disk, before the application is asked.

A file whose name has a hash is answered by every instance, whichever release on the host has it: while two releases run, and
for pages that were loaded before. A name without one means the file of the instance's own release alone, so that what is taken
out of the source is gone with the next release. What is in no folder is the application's to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from http import HTTPStatus
from typing import Any, BinaryIO
from wsgiref.headers import Headers
from wsgiref.util import FileWrapper

from static_conditions import Part, accepted, matches, part_of
from static_names import is_listed, looks_hashed
from whitenoise.media_types import MediaTypes
from whitenoise.responders import FileEntry, MissingFileError, Response, StaticFile

YEAR = 365 * 24 * 60 * 60  # seconds
TYPES = MediaTypes()
PACKED = {"br": ".br", "gzip": ".gz"}  # what a file's name has behind it, by encoding
# What releases give to files whose own time says nothing, as those of a wheel (seconds of the epoch, 2 January 1980). Of two
# versions with the same size, these would have the same ETag.
EARLIEST = 315_619_200
BLOCK = 1 << 16  # bytes that are read at a time
NOT_FOUND = Response(HTTPStatus.NOT_FOUND, [("Content-Length", "0")], None)
# The folder of the release that this file belongs to, /opt/flask/NAME/releases/ID; lib in it is a link.
RELEASE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (texts are faster)

Scope = MutableMapping[str, Any]


class File(StaticFile):
    """A file, with what whitenoise leaves out of the conditions and ranges of requests (RFC 9110, sections 13 and 14)."""

    def get_headers(self, headers_list: list[tuple[str, str]], files: dict[str | None, FileEntry]) -> Headers:
        """Return the headers of the file as it is. A time that says nothing is not said."""
        headers = super().get_headers(headers_list, files)
        if files[None].mtime <= EARLIEST:
            del headers["Last-Modified"]
        return headers

    def get_response(self, method: str, request_headers: dict[str, str]) -> Response:
        """Return status, headers and the open file, if there is a body."""
        if method not in ("GET", "HEAD"):
            return super().get_response(method, request_headers)
        said = request_headers.get
        path, found = self.get_path_and_headers({"HTTP_ACCEPT_ENCODING": accepted(said("HTTP_ACCEPT_ENCODING", ""))})
        headers = dict(found)
        if encoding := headers.get("Content-Encoding"):
            # Who has one encoding has not the other.
            headers["ETag"] = f'{self.etag[:-1]}-{encoding}"'
        if (etags := said("HTTP_IF_NONE_MATCH")) is not None:
            unchanged = matches(etags, headers["ETag"])
        else:
            unchanged = self.is_not_modified(request_headers)
        if unchanged:
            return self.get_not_modified_response(headers)
        file = open(path, "rb") if method == "GET" else None  # noqa: PTH123, SIM115 (a text; whoever sends it closes it)
        if file and said("HTTP_IF_RANGE", headers["ETag"]) == headers["ETag"]:
            size = int(headers["Content-Length"])
            if part := part_of(said("HTTP_RANGE", ""), size):
                return self._part(*part, size, headers, file)
        return Response(HTTPStatus.OK, list(headers.items()), file)

    def _part(self, first: int, last: int, size: int, headers: dict[str, str], file: BinaryIO) -> Response:
        if first > last:
            return self.get_range_not_satisfiable_response(file, size)
        headers |= {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(last - first + 1)}
        file.seek(first)
        return Response(HTTPStatus.PARTIAL_CONTENT, list(headers.items()), Part(file, last - first + 1))


class Hidden:
    """What is not shown, whatever is there."""

    def get_response(self, *_: object) -> Response:
        """Return 404."""
        return NOT_FOUND


def digest(path: str) -> str:
    """Return what stands for the content of a file."""
    with open(path, "rb") as file:  # noqa: PTH123 (a text, not a Path)
        return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=16)).hexdigest()


def version(path: str) -> tuple[int, int] | None:
    """Return what changes when a file is replaced (its time and its size); None for none, or what leads elsewhere."""
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_mtime_ns, found.st_size
    return None


@functools.lru_cache(maxsize=4096)
def described(path: str, forever: bool, now: tuple[int, int], packed: tuple[tuple[int, int] | None, ...]) -> File:
    """Return a file with its headers. `public` is left out: what the balancer asks a password for is for one client."""
    kind = str(TYPES.get_type(path))
    headers = [
        ("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind),
        ("Cache-Control", f"max-age={YEAR}, immutable" if forever else "no-cache"),
        ("Accept-Ranges", "bytes"),
    ]
    if now[0] <= EARLIEST * 10**9:
        headers.append(("ETag", f'"{digest(path)}"'))
    there = zip(PACKED.items(), packed, strict=True)
    return File(path, headers, encodings={name: path + end for (name, end), found in there if found})


def file_below(root: str, name: str, forever: bool) -> File | None:
    """Return a file by its path below a folder that has no links in its own path; None where it is not in there."""
    path = os.path.realpath(f"{root}/{name}")
    # A link in the folder may lead out of it.
    if not path.startswith(f"{root}/") or (now := version(path)) is None:
        return None
    # In a folder of state_paths, each of them may be replaced, or go.
    return described(path, forever, now, tuple(version(path + end) for end in PACKED.values()))


class Files:
    """The folders of `static`, {prefix of the URL: folder of the source}."""

    def __init__(self, folders: dict[str, str], release: str = RELEASE) -> None:
        # The longest first; `/` is everything.
        self.folders = sorted(((prefix.rstrip("/") + "/", folder) for prefix, folder in folders.items()), reverse=True)
        self.release = release
        self.own = {folder: list(self._roots(release, folder)) for folder in folders.values()}

    def find(self, path: str) -> File | Hidden | None:
        """Return the file that a path of the URL, decoded, stands for; None where there is none."""
        for prefix, folder in self.folders:
            if path.startswith(prefix):
                parts = path[len(prefix) :].split("/")
                # RFC 8615 has the exception.
                named = parts[1:] if parts[0] == ".well-known" else parts
                if any(part.startswith(".") for part in named):
                    return self._hidden(folder, parts)
                # What no file can be called, what may not be read, what has just been removed.
                with contextlib.suppress(OSError, ValueError, MissingFileError):
                    return self._find(folder, "/".join(parts)) if all(parts) else None
                return None
        return None

    def _hidden(self, folder: str, parts: list[str]) -> Hidden | None:
        """Return 404 for what is there, and for ways out of the folder. The application may have pages with such names."""
        there = (f"{root}/{'/'.join(parts)}" for root in self.own[folder])
        return Hidden() if {".", ".."} & set(parts) or any(map(os.path.lexists, there)) else None

    def _find(self, folder: str, name: str) -> File | None:
        # With a hash comes a full stop. Of what has none, as most pages of applications, no other release is asked.
        looks, may = looks_hashed(name), "." in name.rpartition("/")[2]
        for root in self.own[folder]:
            with contextlib.suppress(OSError):
                if found := file_below(root, name, looks or (may and is_listed(root, name))):
                    return found
        above = os.path.dirname(self.release)  # noqa: PTH120
        for release in os.listdir(above) if may else ():  # noqa: PTH208
            for root in self._roots(f"{above}/{release}", folder):
                with contextlib.suppress(OSError):
                    if (looks or is_listed(root, name)) and (found := file_below(root, name, forever=True)):
                        return found
        return None

    @staticmethod
    def _roots(release: str, folder: str) -> Iterator[str]:
        """Yield the places of a folder in a release: in the source and, of a wheel, where that is installed."""
        if not os.path.basename(release).startswith("."):  # noqa: PTH119 (one that is being unpacked)
            for part in ("app", "lib"):
                yield os.path.realpath(f"{release}/{part}/{folder}")

    def has(self, path: str) -> bool:
        """Say whether a path, as PATH_INFO has it, is answered without the application."""
        return self.find(_text(path)) is not None

    def before_wsgi(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Return a WSGI application that answers with files first."""

        def serve_one(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            found = self.find(_text(environ["PATH_INFO"]))
            if found is None or (answer := _answer(found, environ["REQUEST_METHOD"], environ)) is None:
                return application(environ, start_response)
            start_response(f"{answer.status.value} {answer.status.phrase}", list(answer.headers))
            if answer.file is None:
                return []
            if "wsgi.file_wrapper" not in environ:
                return FileWrapper(answer.file, BLOCK)
            # Waitress takes a file over from where it stands, for as long as Content-Length says, and lets the thread go.
            whole: Iterable[bytes] = environ["wsgi.file_wrapper"](getattr(answer.file, "file", answer.file), BLOCK)
            return whole

        return serve_one

    def before_asgi(self, application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return an ASGI application that answers with files first."""

        async def serve_one(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401
            path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
            found = self.find(path)
            answer = found and _answer(found, scope["method"], _as_wsgi(scope["headers"]))
            await (_send(answer, receive, send) if answer else application(scope, receive, send))

        return serve_one


def _answer(found: File | Hidden, method: str, said: dict[str, Any]) -> Response | None:
    """Return the answer to a request with these headers; None for a file that may not be read."""
    with contextlib.suppress(OSError):
        return found.get_response(method, said)
    return None


def _text(path: str) -> str:
    """Return a path of WSGI, where each character stands for a byte, as text."""
    return path.encode("latin-1").decode("utf-8", "surrogateescape")


def _as_wsgi(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers of ASGI under the names that they have in an environ."""
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in texts}


async def _send(answer: Response, receive: Any, send: Callable[[Scope], Awaitable[None]]) -> None:  # noqa: ANN401
    """Answer by ASGI; `send` waits while the client is slow."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
    if answer.file is not None:
        # For who has gone `send` does nothing, and a video of which the next part is wanted would be read to its end.
        leaving = asyncio.create_task(_leaves(receive))
        with contextlib.closing(answer.file) as file:
            while not leaving.done() and (data := await asyncio.to_thread(file.read, BLOCK)):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        leaving.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _leaves(receive: Callable[[], Awaitable[Scope]]) -> None:
    """Return once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
