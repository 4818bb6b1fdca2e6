"""An application of two files."""

from flask import Flask

from .pages import greet


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=greet)
    app.add_url_rule("/health", endpoint="health", view_func=greet)
    return app
