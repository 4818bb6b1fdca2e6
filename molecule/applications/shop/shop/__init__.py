"""A shop whose page names its style by a hash, as tools for browsers build it, and which answers slowly where it is asked to."""

import os
import time
from pathlib import Path

from flask import Flask


def create_app():
    """Make the application."""
    # What is in the folder is answered without it, so that a route of its own would never be asked.
    app = Flask(__name__, static_folder=None)
    styles = sorted(path.name for path in Path(__file__).with_name("static").glob("app.*.css"))

    @app.get("/health")
    def health():
        return "well"

    @app.get("/")
    def page():
        return f'<link rel="stylesheet" href="/static/{styles[0]}">{os.environ["APP_INSTANCE"]}'

    @app.get("/slow/<float:seconds>")
    def slow(seconds):
        time.sleep(min(seconds, 30.0))
        return "at last"

    @app.get("/static/<path:name>")
    def not_there(name):
        return f"the shop has no {name}", 404

    return app
