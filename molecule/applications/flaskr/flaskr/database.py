"""The database, in the instance folder."""

import sqlite3

import click
from flask import current_app, g

TABLES = """
CREATE TABLE IF NOT EXISTS user (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS post (
  id INTEGER PRIMARY KEY, author TEXT NOT NULL, title TEXT NOT NULL, created TEXT DEFAULT CURRENT_TIMESTAMP
);
"""


def database():
    """Return the connection of the request."""
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"])
        g.database.row_factory = sqlite3.Row
    return g.database


def close(_error):
    """Close it."""
    if found := g.pop("database", None):
        found.close()


@click.command("init-db")
def init_db():
    """Make the tables that are missing."""
    database().executescript(TABLES)
    click.echo("The database is ready.")


def attach(app):
    """Give an application its database."""
    app.teardown_appcontext(close)
    app.cli.add_command(init_db)
