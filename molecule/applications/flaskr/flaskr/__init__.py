"""A small blog as Flask's users write one: a factory, an instance folder, SQLite, sessions, a command."""

from pathlib import Path

from flask import Flask

from flaskr import blog, database, users


def create_app():
    """Make the application."""
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(DATABASE=str(Path(app.instance_path) / "flaskr.sqlite"))
    app.config.from_prefixed_env()
    Path(app.instance_path).mkdir(parents=True, exist_ok=True)

    @app.get("/hello")
    def hello():
        return "Hello, World!"

    database.attach(app)
    app.register_blueprint(users.pages)
    app.register_blueprint(blog.pages)
    return app
