"""Notes in a database: a package with a factory, as Flask's documentation teaches it."""

import os
from importlib.metadata import version
from pathlib import Path

from flask import Flask

from . import db, pages


def create_app() -> Flask:
    """Make the application, and its database where there is none."""
    app = Flask(__name__, instance_path=os.environ.get("STATE_DIRECTORY"), instance_relative_config=True)
    app.config["DATABASE"] = str(Path(app.instance_path, "notes.sqlite"))
    Path(app.instance_path).mkdir(exist_ok=True)
    with app.app_context():
        db.create()
    app.teardown_appcontext(db.close)
    app.register_blueprint(pages.blueprint)
    app.jinja_env.globals["version"] = version("notes")
    return app
