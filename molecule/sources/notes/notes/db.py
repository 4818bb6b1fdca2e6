"""The database of a request."""

import sqlite3

from flask import current_app, g


def connection() -> sqlite3.Connection:
    """Return the connection of this request."""
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"])
    return g.connection


def create() -> None:
    """Make the table where there is none."""
    connection().executescript("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL);")


def close(_: BaseException | None = None) -> None:
    """Close the connection, at the end of a request."""
    if "connection" in g:
        g.pop("connection").close()
