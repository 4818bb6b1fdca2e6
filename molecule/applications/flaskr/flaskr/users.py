"""Register, log in."""

import functools

from flask import Blueprint, redirect, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash

from flaskr.database import database

pages = Blueprint("users", __name__, url_prefix="/auth")
FORM = '<form method="post"><input name="name"><input name="password" type="password"><button>Go</button></form>'


@pages.get("/register")
@pages.get("/login")
def form():
    """Ask who it is."""
    return FORM


@pages.post("/register")
def register():
    """Remember somebody."""
    password = generate_password_hash(request.form["password"], method="pbkdf2:sha256:1000")
    with database() as connection:
        connection.execute("INSERT INTO user (name, password) VALUES (?, ?)", (request.form["name"], password))
    return redirect(url_for("users.form"))


@pages.post("/login")
def login():
    """Begin a session."""
    row = database().execute("SELECT * FROM user WHERE name = ?", (request.form["name"],)).fetchone()
    if row is None or not check_password_hash(row["password"], request.form["password"]):
        return FORM, 401
    session["user"] = row["name"]
    return redirect(url_for("blog.index"))


def required(view):
    """Send whoever is not logged in to the form."""

    @functools.wraps(view)
    def wrapped(**arguments):
        return view(**arguments) if "user" in session else redirect(url_for("users.form"))

    return wrapped
