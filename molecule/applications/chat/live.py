"""The same chat with python-socketio's server for ASGI, which has WebSockets."""

import os
from typing import Any

import socketio

server = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager("redis://127.0.0.1:6379/0", channel="live"),
    ping_interval=5, ping_timeout=10,
)  # fmt: skip


async def other(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
    """Answer 200 to the health check."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"well"})


app = socketio.ASGIApp(server, other)


@server.event
async def say(sid: str, text: str) -> None:  # noqa: ARG001
    """Tell everybody, on all instances."""
    await server.emit("said", {"text": text, "by": os.environ["APP_INSTANCE"]})
