"""Uvicorn on the socket that systemd holds, for an ASGI application behind our balancer."""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import unquote

import uvicorn

import wsgi_log
from asgi_limits import Application, Scope, limited

BACKLOG = 4096
# Beyond the five seconds after which HAProxy closes what it does not use (pool-purge-delay): a connection that both use and
# close at once costs a request.
IDLE = 120  # seconds
SECURE = {"http": "https", "ws": "wss"}


def behind_balancer(application: Application, folder: str) -> Application:
    """Give an application the client's address and scheme, the host that was asked for, and the folder of the URL space.

    The balancer replaces what clients say of themselves, and of several addresses the last one is its own word. Uvicorn's
    own middleware would take the first one where everybody is trusted.
    """
    prefix = unquote(folder)

    async def serve_one(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] in ("http", "websocket"):
            said = dict(scope["headers"])
            wsgi_log.begin(said.get(b"x-request-id", b"").decode("latin-1"))
            if address := said.get(b"x-forwarded-for", b"").decode("latin-1").rpartition(",")[2].strip():
                scope["client"] = (address, 0)
            if said.get(b"x-forwarded-proto") == b"https":
                scope["scheme"] = SECURE.get(scope["scheme"], scope["scheme"])
            # A trusted proxy may ask for another one than its client did.
            host = said.get(b"x-forwarded-host", b"").rpartition(b",")[2].strip()
            if host not in (b"", said.get(b"host")):
                scope["headers"] = [(name, host if name == b"host" else value) for name, value in scope["headers"]]
            # The path stays whole (ASGI, "HTTP Connection Scope"); the health check is asked for beside the folder.
            if f"{scope['path']}/".startswith(f"{prefix}/"):
                scope["root_path"] = prefix
        await application(scope, receive, send)

    return serve_one


def serve(application: Application, listening: socket.socket, folder: str) -> bool:
    """Serve until SIGTERM, which lets requests end and closes WebSockets; False if the application did not start."""
    server = uvicorn.Server(
        uvicorn.Config(
            behind_balancer(limited(application, int(os.environ["APP_MAX_BODY"])), folder),
            backlog=BACKLOG,
            timeout_keep_alive=IDLE,
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
        )
    )
    try:
        # Of its own, for it closes what it is given, and whoever is turned away afterwards needs it still.
        server.run([listening.dup()])
    except SystemExit:
        # The lifespan protocol: the application has said why.
        return False
    return True
