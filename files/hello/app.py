"""The seed's application: one Flask app, run three times, that says which of the three answered."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Greet, with the number of this instance."""
    return f"Hello from Flask App {os.environ['APP_NUMBER']}!\n"


@app.get("/health")
def health() -> dict[str, str]:
    """Say that this instance is ready, which one it is and which release it runs."""
    return {"instance": os.environ["APP_INSTANCE"], "release": os.environ["APP_RELEASE"]}
