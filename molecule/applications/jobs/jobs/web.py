"""What is asked over HTTP."""

import os

from flask import Flask, request, url_for

from jobs import queue


def create_app():
    """Make the application."""
    app = Flask(__name__)

    @app.get("/health")
    def health():
        return "well"

    @app.post("/job/<name>")
    def job(name):
        queue.add(name)
        return "left", 202

    @app.get("/jobs")
    def jobs():
        return queue.counts()

    @app.get("/seen")
    def seen():
        return {
            "client": request.remote_addr,
            "scheme": request.scheme,
            "host": request.host,
            "root": request.script_root,
            "path": request.path,
            "link": url_for("seen", _external=True),
            "server": os.environ["APP_SERVER"],
        }

    @app.cli.command("create-queue")
    def create_queue():
        queue.create()

    @app.cli.command("nightly")
    def nightly():
        print("the release of the night is", os.environ["APP_RELEASE"], flush=True)

    return app
