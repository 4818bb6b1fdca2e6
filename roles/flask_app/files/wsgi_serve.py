"""Serve an application on the socket that systemd holds (sd_listen_fds(3)), with the server that its owner chose.

Usage: python3 -m wsgi_serve module:callable, or 'module:factory()'. From the environment come APP_SERVER (waitress, granian
or, for an ASGI application, uvicorn), APP_THREADS, APP_MAX_BODY (bytes, 0 for no limit), APP_HEALTH (the path of the health
check), APP_HEALTH_STATUS (what it expects, like 200 or 200-299,302), APP_SCRIPT_NAME (the folder of the URL space, or nothing),
APP_STATIC (what is answered from files, or nothing) and APP_STOP_TIMEOUT (seconds).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 3  # SD_LISTEN_FDS_START
# An application that cannot be imported now can hardly be imported a moment later.
PAUSE = 2.0  # seconds
ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def listener() -> socket.socket:
    """Return the listening socket that systemd passed on."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        raise SystemExit("This is run by systemd, which passes one listening socket on (LISTEN_FDS).")
    return socket.socket(fileno=FIRST)


def turn_away(listening: socket.socket, seconds: float) -> NoReturn:
    """Answer 503 for a while, so that the balancers' checks see at once that nobody serves here, and nobody waits; and end."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        listening.settimeout(left)
        try:
            connection = listening.accept()[0]
        except OSError:
            continue
        with connection:
            connection.settimeout(0.2)
            try:
                connection.recv(65536)
                connection.sendall(ANSWER)
            except OSError:
                continue
    sys.exit(1)


def main(target: str) -> None:
    """Import the application and serve it until SIGTERM, which lets requests end."""
    listening = listener()
    import wsgi_log

    wsgi_log.install()
    if os.environ["APP_SERVER"] == "granian":
        import wsgi_granian

        wsgi_granian.serve(listening, int(os.environ["APP_THREADS"]))
        return
    # Until the server has its own, SIGTERM ends the process at once: there is nothing yet to finish.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import wsgi_check
    import wsgi_rules

    folder, files = os.environ["APP_SCRIPT_NAME"], wsgi_rules.static_files()
    try:
        application = wsgi_check.load(target)
    except BaseException as error:
        print(wsgi_check.failure(error), file=sys.stderr, flush=True)
        turn_away(listening, PAUSE)
    if os.environ["APP_SERVER"] == "uvicorn":
        import asgi_uvicorn

        if not asgi_uvicorn.serve(files.before_asgi(application) if files else application, listening, folder):
            turn_away(listening, PAUSE)
        return
    if files:
        application = files.before_wsgi(application)
    serve_waitress(
        wsgi_log.named(wsgi_rules.mounted(application, folder)),
        listening,
        (lambda path: files.has(wsgi_rules.below(path, folder))) if files else None,
    )


def serve_waitress(
    application: Callable[..., Any], listening: socket.socket, is_file: Callable[[str], bool] | None
) -> None:
    """Serve a WSGI application with the default server, as the environment says."""
    import wsgi_waitress

    wsgi_waitress.serve(
        application,
        listening,
        threads=int(os.environ["APP_THREADS"]),
        max_body=int(os.environ["APP_MAX_BODY"]),
        health=os.environ["APP_HEALTH"],
        # Of several that are expected the first; 200 of a range that has it.
        healthy=max(200, int(os.environ["APP_HEALTH_STATUS"][:3])),
        stop_timeout=int(os.environ["APP_STOP_TIMEOUT"]),
        is_file=is_file,
    )


if __name__ == "__main__":
    main(sys.argv[1])
