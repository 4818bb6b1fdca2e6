"""The application `probe` of the scenarios: other releases of it, what runs of it, and what HAProxy says of it."""

import csv
import io
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

from tests.support import PROJECT, Load

PROBE = PROJECT / "molecule" / "shared" / "probe"

ORDER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("/run/haproxy/admin.sock")
    connection.sendall(sys.argv[1].encode() + b"\\n")
    connection.recv(9999)
"""
# Code of a release runs twice: in the check of the import, and in an instance.
IN_AN_INSTANCE = "import os, sys, time\nif 'wsgi_check' not in sys.orig_argv:\n    "


def copy_of_probe(
    folder: Path, text: str = "", health: str = "/health", hook: str = "", dependencies: bool = False
) -> str:
    """Return a copy of the probe, a new release, with code before its own and after, perhaps another health path.

    With `dependencies`, these are built and shipped anew as well.
    """
    source = folder / f"probe-{time.monotonic_ns()}"
    shutil.copytree(PROBE, source, symlinks=False)
    code = (PROBE / "app.py").read_text().replace('"/health"', f'"{health}"')
    (source / "app.py").write_text(f"# {time.time()}\n{text}{code}{hook}")
    if dependencies:
        with (source / "requirements.txt").open("a") as file:
            file.write(f"# {time.time()}\n")
    return str(source)


def order(words: str) -> str:
    """Return a command that gives HAProxy an order, where it runs."""
    return shlex.join(["python3", "-c", ORDER, words])


def running(web: Any, number: int) -> dict[str, str]:
    """Return the environment of the process that is an instance."""
    shown = web.check_output(
        "cat /proc/$(systemctl show --property=MainPID --value flask-probe@%s)/environ", str(number)
    )
    return dict(entry.split("=", 1) for entry in shown.split("\0") if "=" in entry)


def statistics(balancer: Any) -> dict[str, dict[str, str]]:
    """Return {server: row} of the probe's backend, from HAProxy's statistics."""
    shown = balancer.check_output("curl --silent --fail 'http://127.0.0.1:8404/;csv'").removeprefix("# ")
    rows = [row for row in csv.DictReader(io.StringIO(shown)) if row["pxname"] == "probe"]
    return {row["svname"]: row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")}


def in_rotation(balancer: Any) -> list[str]:
    """Return the servers that get requests, `probe/name` each."""
    return [f"probe/{name}" for name, row in statistics(balancer).items() if row["status"].startswith("UP")]


def tried_again(balancer: Any) -> int:
    """Return how often HAProxy has tried again or elsewhere."""
    return sum(int(row["wretr"] or 0) + int(row["wredis"] or 0) for row in statistics(balancer).values())


def nothing_lost(load: Load) -> None:
    """Require that every request was answered, and every POST once."""
    found = load.report
    assert (found.failed, found.lost, found.doubled) == (0, 0, 0), found
