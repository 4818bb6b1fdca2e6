"""Write, read."""

import os

from flask import Blueprint, redirect, render_template, request, session, url_for

from flaskr.database import database
from flaskr.users import required

pages = Blueprint("blog", __name__)


@pages.get("/")
def index():
    """List the posts."""
    posts = database().execute("SELECT title, author FROM post ORDER BY id").fetchall()
    return render_template("index.html", posts=posts), {"X-Instance": os.environ["APP_INSTANCE"]}


@pages.post("/create")
@required
def create():
    """Write a post."""
    with database() as connection:
        connection.execute("INSERT INTO post (author, title) VALUES (?, ?)", (session["user"], request.form["title"]))
    return redirect(url_for("blog.index"))
