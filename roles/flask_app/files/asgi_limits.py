"""How much an ASGI application is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

TOO_LARGE = {"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]}


def limited(application: Application, most: int) -> Application:
    """Have requests answered 413 whose body turns out to be larger; 0 is no limit.

    The balancer looks at Content-Length alone, which a chunked body has not. To the application its client has gone then;
    whatever it does about that, the answer is ours, unless it had begun its own.
    """

    async def serve_one(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401
        got, begun, over = 0, False, False

        async def counted() -> Scope:
            nonlocal got, over
            message: Scope = {} if over else await receive()
            got += len(message.get("body", b""))
            over = over or got > most
            return {"type": "http.disconnect"} if over else message

        async def watched(message: Scope) -> None:
            nonlocal begun
            if begun or not over:
                begun = True
                await send(message)

        try:
            await application(scope, counted, watched)
        except Exception:
            if begun or not over:
                raise
        if over and not begun:
            await send(TOO_LARGE)
            await send({"type": "http.response.body", "body": b""})

    async def serve(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401
        await (serve_one if scope["type"] == "http" else application)(scope, receive, send)

    return serve if most else application
