"""What Trac does with a WSGI server, in its shape (trac/web/api.py, Request): `write`, a status by exc_info, a file.

Trac itself does not run on Python 3.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any


class Request:
    """The part of Trac's Request that talks to the server."""

    def __init__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> None:
        self.environ, self.start_response = environ, start_response
        self.headers: list[tuple[str, str]] = []
        self.write: Callable[[bytes], object] = self.unstarted
        self.answer: Iterable[bytes] = []

    def unstarted(self, data: bytes) -> None:
        """Refuse to write before the headers."""
        raise RuntimeError(f"{len(data)} bytes before end_headers()")

    def end_headers(self, status: str, exc_info: Any = None) -> None:
        """Start the answer."""
        self.write = self.start_response(status, self.headers, exc_info)

    def send(self, content: bytes, status: str = "200 Ok") -> None:
        """Send a page of known length."""
        self.headers += [("Content-Type", "text/html;charset=utf-8"), ("Content-Length", str(len(content)))]
        self.headers.append(("Set-Cookie", "trac_session=1; Path=/"))
        self.end_headers(status)
        if self.environ["REQUEST_METHOD"] != "HEAD":
            self.write(content)

    def send_parts(self, parts: Iterable[bytes]) -> None:
        """Send a page in parts, of no known length."""
        self.headers.append(("Content-Type", "text/plain"))
        self.end_headers("200 Ok")
        for part in parts:
            self.write(part)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve pages the way Trac's dispatch_request does."""
    request = Request(environ, start_response)
    try:
        if environ["PATH_INFO"] == "/broken":
            raise KeyError("ticket")
        if environ["PATH_INFO"] == "/timeline":
            request.send_parts(b"event %d\n" % number for number in range(1000))
        else:
            request.send(b"<h1>WikiStart</h1>")
    except KeyError:
        request.headers = [("Content-Type", "text/plain")]
        request.end_headers("500 Internal Server Error", sys.exc_info())
        request.write(b"Trac detected an internal error")
    return request.answer
