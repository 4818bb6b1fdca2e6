"""A Flask app with what Flask apps do that a server can get wrong: uploads by lines, streams that fail, cookies, redirects."""

from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, redirect, request, stream_with_context, url_for

app = Flask(__name__)


@app.get("/health")
def health() -> Response:
    """Answer the health check."""
    return Response("", status=204 if "empty" in request.args else 200)


@app.post("/lines")
def lines() -> dict[str, Any]:
    """Read an upload line by line."""
    found = [line.decode() for line in request.stream]
    return {"count": len(found), "first": found[:1], "last": found[-1:]}


@app.post("/upload")
def upload() -> dict[str, Any]:
    """Take a form with a file."""
    return {"name": request.form["name"], "size": len(request.files["file"].read())}


@app.get("/export.csv")
def export() -> Response:
    """Stream a CSV of 1,000 lines, that fails half-way with ?fails."""

    def rows() -> Iterator[str]:
        for number in range(1000):
            if number == 500 and "fails" in request.args:
                raise OSError("the database is gone")
            yield f"{number},row\n"

    return Response(stream_with_context(rows()), mimetype="text/csv")


@app.get("/cookies")
def cookies() -> Response:
    """Answer with the cookies, and set two."""
    answer = Response(repr(sorted(request.cookies.items())))
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2")
    return answer


@app.post("/login")
def login() -> Any:
    """Send to the page of cookies."""
    return redirect(url_for("cookies"), code=303)
