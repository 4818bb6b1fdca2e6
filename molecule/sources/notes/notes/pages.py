"""The pages."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from .db import connection

blueprint = Blueprint("notes", __name__)


@blueprint.get("/")
def index() -> str:
    """Show all notes."""
    notes = [text for (text,) in connection().execute("SELECT text FROM note ORDER BY id")]
    return render_template("index.html", notes=notes)


@blueprint.post("/add")
def add() -> Response:
    """Add a note."""
    with connection() as database:
        database.execute("INSERT INTO note (text) VALUES (?)", (request.args["text"],))
    return redirect(url_for("notes.index"))


@blueprint.get("/health")
def health() -> str:
    """Say that the database is there."""
    connection().execute("SELECT 1 FROM note LIMIT 1")
    return "well"
