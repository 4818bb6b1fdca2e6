"""An application that lies in its own repository."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def greet() -> str:
    """Greet."""
    return f"Version 1 from {os.environ['APP_NUMBER']}\n"


@app.get("/health")
def health() -> str:
    """Say that this instance is ready."""
    return "ready\n"
