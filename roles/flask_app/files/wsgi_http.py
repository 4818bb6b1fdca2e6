"""What waitress leaves out of HTTP/1.1 (RFC 9110, RFC 9112) and PEP 3333, in its own classes for a request."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error, RequestEntityTooLarge

from wsgi_chunks import Receiver
from wsgi_rules import Headers, length_of

# Of the head of an answer, HAProxy passes on no more (its tune.bufsize and tune.http.maxhdr, with what it adds).
MOST, MOST_HEADERS = 15_000, 98
TOO_MUCH = "the answer to %s has a head of %s bytes with %s headers; the balancer may say 502 instead"
TOGETHER = 1 << 16  # bytes of a body that are sent together with the head


class UnsupportedVersionError(Error):
    """Neither HTTP/1.0 nor HTTP/1.1."""

    code = 505
    reason = "HTTP Version Not Supported"


class Parser(HTTPRequestParser):
    """A request."""

    body_rcv: Any
    error: Error | None

    def received(self, data: bytes) -> int:
        """Take what belongs to the request, and return how many bytes that are."""
        taken: int = super().received(data)
        if self.completed:
            # To be told to continue, a request without a body would wait for ever.
            self.expect_continue = False
        if isinstance(self.error, RequestEntityTooLarge):
            # Waitress names the first length that it refuses.
            self.error.body = f"The body of the request has more than {self.adj.max_request_body_size - 1} bytes."
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Read line and headers; refuse what another server might read in another way (RFC 9112, section 11.2)."""
        if len(re.findall(rb"(?im)^host:", header_plus)) > 1:
            raise ParsingError("More than one Host")
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            # A target that is no URL; a Content-Length that is no number to Python.
            raise ParsingError("Line or headers cannot be read") from error
        coding = re.findall(rb"(?im)^transfer-encoding:(.*)", header_plus)
        if coding and (
            self.version != "1.1" or len(coding) > 1 or b"," in coding[0] or "CONTENT_LENGTH" in self.headers
        ):
            raise ParsingError("Transfer-Encoding is ambiguous")
        cookies = re.findall(rb"(?im)^cookie:[ \t]*(.*?)[ \t\r]*$", header_plus)
        if len(cookies) > 1:
            self.headers["COOKIE"] = b"; ".join(cookies).decode("latin-1")
        if self.version not in ("1.0", "1.1"):
            self.error = UnsupportedVersionError("HTTP/1.1 is spoken here")
        if self.proxy_netloc:
            # An absolute target has the last word on the host (RFC 9112, section 3.2.2).
            self.headers["HOST"] = self.proxy_netloc
        elif self.version == "1.1" and "HOST" not in self.headers:
            raise ParsingError("Host is missing")
        if "close" in {option.strip().lower() for option in self.headers.get("CONNECTION", "").split(",")}:
            self.headers["CONNECTION"] = "close"
            self.connection_close = True
        if self.chunked:
            self.body_rcv = Receiver(self.body_rcv.buf, self.adj.max_request_body_size - 1)
            # It counts the content; waitress, with what frames that, never gets to the limit.
            self.body_bytes_received = -sys.maxsize


def is_plain(file: Any) -> bool:  # noqa: ANN401
    """Say whether a file is read by the kernel alone: without code of the application, and without waiting for somebody.

    Others may lend it their number, as gzip.GzipFile does, which unpacks all of it for each look back.
    """
    try:
        return isinstance(getattr(file, "raw", file), io.FileIO) and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (AttributeError, OSError, TypeError, ValueError):
        return False


class Task(WSGITask):
    """A request and its answer."""

    response_headers: Headers
    content_length: int | None
    content_bytes_written: int
    complete: bool
    wrote_header: bool
    heading = False

    def execute(self) -> None:
        """Call the application and pass on what it gives. It may raise what it likes: the client is always told."""
        try:
            self._execute()
        except Exception:
            raise
        except BaseException as error:
            # SystemExit and its like would get past waitress, and the client would wait for ever.
            raise RuntimeError(f"the application raised {error!r}") from error

    def _execute(self) -> None:
        found = self.channel.server.application(self.get_environment(), self.start_response)
        close = getattr(found, "close", None)
        try:
            if not isinstance(found, ReadOnlyFileBasedBuffer):
                self._sends(found)
            elif self._sends_file(found):
                close = None
        finally:
            if close is not None:
                close()

    def _sends_file(self, file: ReadOnlyFileBasedBuffer) -> bool:
        """Answer with `wsgi.file_wrapper`; say whether the channel has taken the file over."""
        try:
            size = file.prepare(self.content_length) if is_plain(file.file) else 0
        except OSError:  # of /proc: it has no end before it is read
            size = 0
        if size and self.content_length is None:
            self.content_length = size
        if not self.has_body or self.request.command == "HEAD":
            return False
        if not size or size != self.content_length:
            self._sends(self._blocks(file))
            return False
        self.write(b"")
        self.channel.write_soon(file)
        return True

    def _blocks(self, file: ReadOnlyFileBasedBuffer) -> Iterator[bytes]:
        """Yield what a file has, up to the length that the application has announced: it may mean a part of it."""
        left = sys.maxsize if self.content_length is None else self.content_length
        while block := file.file.read(min(left, file.block_size)):
            yield block
            left -= len(block)

    def _sends(self, parts: Iterable[bytes]) -> None:
        only = isinstance(parts, Sized) and len(parts) == 1
        for part in parts:
            # Nothing in answer to HEAD says nothing of what GET would get.
            if (
                only
                and self.content_length is None
                and not self.wrote_header
                and (part or self.request.command != "HEAD")
            ):
                self.content_length = len(part)
            if part or not isinstance(part, bytes):
                self.write(part)
        cut = self.content_length is not None and self.content_bytes_written != self.content_length
        if cut and self.has_body and self.request.command != "HEAD":
            self.logger.warning(
                "the application gave %s bytes of the %s it announced", self.content_bytes_written, self.content_length
            )
            self.set_close_on_finish()

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Any:  # noqa: ANN401
        """Take status and headers, and return `write` (PEP 3333)."""
        if exc_info is None and self.complete:
            raise AssertionError("start_response was called again without exc_info (PEP 3333)")
        if exc_info is not None and self.wrote_header:
            raise exc_info[1].with_traceback(exc_info[2])
        headers = list(headers)  # It is read more than once, and some applications give an iterator.
        self.content_length = length_of(status, headers)
        # The application's `Server` would bring waitress' name with it, as `Via`.
        self.status, self.response_headers = status, [header for header in headers if header[0].lower() != "server"]
        self.complete = True
        return self.write

    def get_environment(self) -> dict[str, Any]:
        """Return the environ; all that names the server is text (PEP 3333, "environ Variables")."""
        environ: dict[str, Any] = super().get_environment()
        environ |= {"SERVER_SOFTWARE": "waitress", "wsgi.multithread": self.channel.server.task_dispatcher.limit > 1}
        return environ

    def build_response_header(self) -> bytes:
        """Return the head of the answer."""
        if self.channel.last or self.channel.server.stopping:
            self.set_close_on_finish()
        self.heading = True
        try:
            return super().build_response_header()
        finally:
            self.heading = False

    def set_close_on_finish(self) -> None:
        """Close after the answer, but not because it has no Content-Length: chunks end by themselves, as no body does."""
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if not self.heading or asked or self.version == "1.0":
            super().set_close_on_finish()

    def write(self, data: bytes) -> None:
        """Take a part of the body (PEP 3333: the `write` callable, and what the iterable yields)."""
        if not self.complete:
            raise AssertionError("start_response was not called before the body began (PEP 3333)")
        if not isinstance(data, bytes):
            raise TypeError(f"the application gave {type(data).__name__} where bytes are due (PEP 3333)")
        head = b""
        if not self.wrote_header:
            head, self.wrote_header = self.build_response_header(), True
            if len(head) > MOST or len(self.response_headers) > MOST_HEADERS:
                self.logger.warning(TOO_MUCH, self.request.request_uri, len(head), len(self.response_headers))
        body = self._framed(data) if data and self.has_body and self.request.command != "HEAD" else b""
        if len(body) > TOGETHER:
            self.channel.write_soon(head)
            head = b""
        if head or body:
            # One system call where waitress makes two, and one for the balancer to read.
            self.channel.write_soon(head + body)

    def _framed(self, data: bytes) -> bytes:
        """Return a part of the body as it is sent: a chunk, or what the Content-Length has room for."""
        if self.chunked_response:
            return b"%X\r\n%b\r\n" % (len(data), data)
        if self.content_length is not None:
            if len(data) > self.content_length - self.content_bytes_written:
                self.logger.warning("the application gave more than the %s bytes it announced", self.content_length)
            data = data[: self.content_length - self.content_bytes_written]
            self.content_bytes_written += len(data)
        return data

    def finish(self) -> None:
        """End the answer. That to HEAD has ended with its head (RFC 9110, section 9.3.2)."""
        if not self.wrote_header:
            self.write(b"")
        if self.request.command == "HEAD":
            self.chunked_response = False
        super().finish()


class Refusal(ErrorTask):
    """An answer of the server's own."""

    def write(self, data: bytes) -> None:
        """Take the body, which an answer to HEAD has not."""
        super().write(b"" if getattr(self.channel.requests[0], "command", "") == "HEAD" else data)
