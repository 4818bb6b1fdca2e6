"""An application that tells a test what reached it, and misbehaves on request. Never part of a deployment."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = Flask(__name__)
# Below /api it is the same once more, for a balancer that sends it what is there.
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/api": app.wsgi_app})  # type: ignore[method-assign]
state = {"healthy": True}
busy = {"now": 0, "most": 0}
counting = threading.Lock()


def make() -> Flask:
    """Return the application: `wsgi: app:make()` is a factory, hello is not."""
    return app


@app.get("/")
def seen() -> dict[str, Any]:
    """Return what this instance is and which headers reached it, one entry a header line."""
    return {
        "instance": os.environ["APP_INSTANCE"],
        "number": int(os.environ["APP_NUMBER"]),
        "release": os.environ["APP_RELEASE"],
        "url": request.url,
        "secure": request.is_secure,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
    }


@app.get("/health")
def health() -> Response:
    """Answer 200, or 500 after a POST to /health/500."""
    return Response("", status=200 if state["healthy"] else 500)


@app.post("/health/<int:status>")
def set_health(status: int) -> Response:
    """Set what /health answers from now on."""
    state["healthy"] = status == 200
    return Response("", status=204)


@app.get("/environment/<name>")
def environment(name: str) -> dict[str, str | None]:
    """Return the SHA-256 of an environment variable, so that a test can compare a secret without showing it."""
    value = os.environ.get(name)
    return {"sha256": None if value is None else hashlib.sha256(value.encode()).hexdigest()}


@app.route("/sleep/<float:seconds>", methods=["GET", "POST"])
def sleep(seconds: float) -> Response:
    """Answer after a while, 120 seconds at most; meanwhile it is counted."""
    with counting:
        busy["now"] += 1
        busy["most"] = max(busy["most"], busy["now"])
    time.sleep(min(seconds, 120.0))
    with counting:
        busy["now"] -= 1
    return Response("", status=204)


@app.post("/received")
def received() -> Response:
    """Write the request's body, an id, down where all instances of the host do; appending a line is atomic."""
    with open(f"{os.environ['STATE_DIRECTORY']}/received", "a") as file:  # noqa: PTH123
        file.write(request.get_data(as_text=True)[:64] + "\n")
    return Response("", status=204)


@app.after_request
def name_instance(response: Response) -> Response:
    """Say in each answer which instance it comes from, and which path it saw."""
    response.headers["X-Instance"] = os.environ["APP_INSTANCE"]
    response.headers["X-Path"] = quote(
        request.environ["SCRIPT_NAME"] + request.environ["PATH_INFO"], encoding="latin-1"
    )
    return response


@app.get("/write")
def write() -> dict[str, str]:
    """Return what happens when the app writes to places of the host, by place."""
    found = {}
    for path in ("/etc/probe", "/opt/flask/probe/probe", "/usr/probe", f"{os.environ['STATE_DIRECTORY']}/probe"):
        try:
            with open(path, "w"):  # noqa: PTH123
                found[path] = "written"
        except OSError as error:
            found[path] = type(error).__name__
    return found


@app.get("/call/<address>/<int:port>")
def call(address: str, port: int) -> dict[str, str]:
    """Return what comes of a TCP connection to somebody else."""
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError as error:
        return {"outcome": type(error).__name__}
    return {"outcome": "connected"}


@app.get("/apart/<int:count>")
def events_apart(count: int) -> Response:
    """Send a few server-sent events, the first one at once and the others half a second apart."""

    def one_by_one() -> Iterator[str]:
        for number in range(count):
            time.sleep(0.5 if number else 0)
            yield f"data: {number}\n\n"

    return Response(one_by_one(), content_type="text/event-stream")


@app.get("/busy")
def most_busy() -> dict[str, int]:
    """Return how many requests of /sleep this instance is working on, and how many it ever was at a time."""
    return busy


@app.get("/say/<word>")
def say(word: str) -> Response:
    """Say a word in each of the ways in which applications do."""
    app.logger.error("logged %s\nin two lines", word)
    print("printed", word, flush=True)
    request.environ["wsgi.errors"].write(f"written {word}\n")
    return Response("", status=204)


@app.get("/poison")
def poison() -> Response:
    """End the process."""
    os._exit(1)


@app.post("/upload")
def upload() -> dict[str, int]:
    """Read the request's body and return its length."""
    return {"bytes": sum(len(piece) for piece in iter(lambda: request.stream.read(65536), b""))}


@app.post("/refuse")
def refuse() -> Response:
    """Answer 401 and leave the request's body unread."""
    return Response("who are you?", status=401)


@app.get("/download/<int:size>")
def download(size: int) -> Response:
    """Answer with one piece of a size, 10 MB at most."""
    return Response(b"d" * min(size, 10_000_000))


@app.get("/stream/<int:size>")
def stream(size: int) -> Response:
    """Answer with pieces of 64 kB that are made one after the other, 100 MB at most in all."""
    return Response(b"s" * 65536 for _ in range(min(size, 100_000_000) // 65536))


@app.get("/events/<int:count>")
def events(count: int) -> Response:
    """Answer with server-sent events, one each 0.1 seconds, which say when they were made."""

    def made() -> Iterator[str]:
        for _ in range(min(count, 100)):
            yield f"data: {time.time()}\n\n"
            time.sleep(0.1)

    return Response(made(), mimetype="text/event-stream")
