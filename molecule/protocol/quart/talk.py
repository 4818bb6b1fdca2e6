"""An ASGI application with WebSockets, as its users write one with Quart."""

import asyncio
from typing import Any

from quart import Quart, Response, request, url_for, websocket

app = Quart(__name__)


@app.get("/health")
async def health() -> str:
    """Answer 200."""
    return "ok"


@app.get("/")
async def seen() -> dict[str, Any]:
    """Return what the app takes the request for."""
    return {"address": request.remote_addr, "scheme": request.scheme, "host": request.host, "url": request.url}


@app.get("/link")
async def link() -> dict[str, str]:
    """Return what the app takes for its places, its own and that of a link."""
    return {"root": request.root_path, "path": request.path, "link": url_for("link", _external=True)}


@app.post("/upload")
async def upload() -> dict[str, int]:
    """Return the length of the body."""
    return {"bytes": len(await request.get_data())}


@app.get("/sleep/<float:seconds>")
async def sleep(seconds: float) -> Response:
    """Answer after a while."""
    await asyncio.sleep(min(seconds, 60.0))
    return Response("", status=204)


@app.websocket("/echo")
async def echo() -> None:
    """Send back what comes, with the address of the client before it."""
    while True:
        said = await websocket.receive()
        await websocket.send(f"{websocket.remote_addr} {websocket.scheme} {said}")
