"""A chat with Flask-SocketIO, which is long polling here, and letters that a worker of rq sends."""

import os
from typing import Any

from flask import Flask
from flask_socketio import SocketIO, emit
from redis import Redis
from rq import Queue

REDIS = "redis://127.0.0.1:6379"

app = Flask(__name__)
# What is said on one instance reaches the clients of the others through Redis. A WSGI server has no WebSocket to offer.
socketio = SocketIO(
    app, async_mode="threading", transports=["polling"], message_queue=f"{REDIS}/0", channel="chat",
    ping_interval=5, ping_timeout=10,
)  # fmt: skip
redis = Redis.from_url(f"{REDIS}/1")
queue = Queue("letters", connection=redis)


@app.get("/health")
def health() -> str:
    """Answer 200."""
    return "well"


@app.post("/job/<name>")
def job(name: str) -> tuple[str, int]:
    """Leave a letter."""
    queue.enqueue("letters.send", name)
    return "left", 202


@app.get("/jobs")
def jobs() -> dict[str, Any]:
    """Return how often each letter was sent, and by which releases."""
    sent = {name.decode(): int(times) for name, times in redis.hgetall("sent").items()}
    return {"sent": sent, "releases": sorted(one.decode() for one in redis.smembers("releases"))}


@socketio.on("say")
def say(text: str) -> None:
    """Tell everybody, on all instances."""
    emit("said", {"text": text, "by": os.environ["APP_INSTANCE"]}, broadcast=True)
