"""An application that tells a test what reached it, and misbehaves on request. Never part of a deployment."""

import hashlib
import os
import socket
import time
from typing import Any

from flask import Flask, Response, request

app = Flask(__name__)
state = {"healthy": True}


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
    """Answer after a while, 30 seconds at most."""
    time.sleep(min(seconds, 30.0))
    return Response("", status=204)


@app.post("/received")
def received() -> Response:
    """Write the request's body, an id, down where all instances of the host do; appending a line is atomic."""
    with open(f"{os.environ['STATE_DIRECTORY']}/received", "a") as file:  # noqa: PTH123
        file.write(request.get_data(as_text=True)[:64] + "\n")
    return Response("", status=204)


@app.after_request
def name_instance(response: Response) -> Response:
    """Say in each answer which instance it comes from."""
    response.headers["X-Instance"] = os.environ["APP_INSTANCE"]
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
