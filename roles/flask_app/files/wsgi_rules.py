"""What PEP 3333 asks of an environ, and of the status and the headers that an application gives, for servers that do not look."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

# What has no place in a status or a header's value (RFC 9110, section 5.5).
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
STATUS = re.compile("[2-5][0-9][0-9](?: .*)?")
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers between server and balancer (RFC 2616, section 13.5.1, to which PEP 3333 refers).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)

Headers = list[tuple[str, str]]


def length_of(status: str, headers: Headers) -> int | None:
    """Return the Content-Length of an answer, None where it has none.

    Raises TypeError, ValueError or AssertionError for what an application must not give.
    """
    for text in (status, *(text for header in headers for text in header)):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} in status or headers is no text (PEP 3333)")
        if CONTROL.search(text):
            raise ValueError(f"{text!r} in status or headers has a control character")
        text.encode("latin-1")
    if not STATUS.fullmatch(status):
        raise ValueError(f"{status!r} is no final status, like 200 OK")
    for name, _ in headers:
        # The balancer would say 502, and nobody why.
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header (RFC 9110, section 5.1)")
    if forbidden := HOP_BY_HOP.intersection(header[0].lower() for header in headers):
        raise AssertionError(f"{', '.join(sorted(forbidden))} is between server and balancer only (PEP 3333)")
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if len(lengths) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
        raise ValueError(f"Content-Length is {', '.join(sorted(lengths))}")
    return int(lengths.pop()) if lengths else None


def has_body(status: str) -> bool:
    """Say whether an answer with this status has a body (RFC 9110, sections 15.3.5 and 15.4.5)."""
    return not status.startswith(("1", "204", "304"))


def mounted(application: Callable[..., Iterable[bytes]], folder: str) -> Callable[..., Iterable[bytes]]:
    """Put an application into a folder of the URL space, percent-encoded: SCRIPT_NAME is that, PATH_INFO the rest.

    What is asked for beside the folder, as the health check, is its own path.
    """
    prefix = unquote_to_bytes(folder).decode("latin-1")

    def serve_one(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = below(environ["PATH_INFO"], folder)
        return application(environ, start_response)

    return serve_one if folder else application


def below(path: str, folder: str) -> str:
    """Return the rest of a path that lies in a folder of the URL space, and any other as it is."""
    prefix = unquote_to_bytes(folder).decode("latin-1")
    return path[len(prefix) :] if f"{path}/".startswith(f"{prefix}/") else path


def static_files() -> Any:  # noqa: ANN401
    """Return what answers the files of `static`; None for an app without, which has no library for that either."""
    if not (folders := os.environ.get("APP_STATIC")):
        return None
    import wsgi_static

    return wsgi_static.Files(json.loads(folders))


def believe(environ: dict[str, Any]) -> None:
    """Take the client's address and the scheme from the balancer, which replaces what clients say of themselves."""
    if addresses := environ.get("HTTP_X_FORWARDED_FOR"):
        environ["REMOTE_ADDR"] = addresses.rpartition(",")[2].strip()
    environ["wsgi.url_scheme"] = environ.get("HTTP_X_FORWARDED_PROTO", environ["wsgi.url_scheme"])
    environ["HTTP_HOST"] = environ.get("HTTP_X_FORWARDED_HOST", environ.get("HTTP_HOST", "localhost"))
