"""A queue in SQLite: a job is taken by one worker, and done once."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

TABLE = """CREATE TABLE IF NOT EXISTS job (
  id TEXT PRIMARY KEY, state TEXT NOT NULL DEFAULT 'new', begun INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0, worker TEXT, release_id TEXT
)"""


@contextlib.contextmanager
def database():
    """Give a connection, in a transaction that nobody else is in."""
    path = Path(os.environ["STATE_DIRECTORY"], "queue.sqlite")
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def create():
    """Make the table."""
    with database() as connection:
        connection.execute(TABLE)


def add(name):
    """Leave a job."""
    with database() as connection:
        connection.execute("INSERT INTO job (id) VALUES (?)", (name,))


def take():
    """Take the next job, and return its name, None where there is none."""
    with database() as connection:
        row = connection.execute("SELECT id FROM job WHERE state = 'new' LIMIT 1").fetchone()
        if row:
            connection.execute("UPDATE job SET state = 'begun', begun = begun + 1 WHERE id = ?", row)
        return row[0] if row else None


def finish(name):
    """Write down that a job is done, and by whom."""
    by = (os.environ["APP_INSTANCE"], os.environ["APP_RELEASE"], name)
    with database() as connection:
        connection.execute(
            "UPDATE job SET state = 'done', done = done + 1, worker = ?, release_id = ? WHERE id = ?", by
        )


def counts():
    """Return how the jobs are, and the releases that have done some."""
    with database() as connection:
        rows = connection.execute("SELECT state, begun, done, worker, release_id FROM job").fetchall()
    return {
        "all": len(rows),
        "done": sum(row[0] == "done" for row in rows),
        "once": sum(row[1:3] == (1, 1) for row in rows),
        "workers": sorted({row[3] for row in rows if row[3]}),
        "releases": sorted({row[4] for row in rows if row[4]}),
    }


def work(seconds=0.3):
    """Work until SIGTERM, and then to the end of the job in hand."""
    import signal

    ends = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
    print("working", flush=True)
    while not ends:
        if name := take():
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                time.sleep(left)
            finish(name)
        else:
            time.sleep(0.05)


if __name__ == "__main__":
    work()
