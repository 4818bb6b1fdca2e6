"""What the worker does."""

import os
import time

from redis import Redis


def send(name: str) -> None:
    """Send a letter, which takes a moment."""
    time.sleep(0.3)
    redis = Redis.from_url("redis://127.0.0.1:6379/1")
    redis.hincrby("sent", name, 1)
    redis.sadd("releases", os.environ["APP_RELEASE"])
