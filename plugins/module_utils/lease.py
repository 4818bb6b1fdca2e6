"""The deploy lock of a balancer: a lease, which is free when it has run out. Standard library only: this runs on the targets.

It is a file that says who holds it until when. Whoever works under it renews it, and so learns whether it still is his.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_json, write_file

# In /run, so a reboot lifts it.
LOCK = Path("/run/flask-deploy.lock")


class LeaseError(Exception):
    """Somebody else holds the lease; the message says who."""


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep others off the file between a look at it and its change (flock(2))."""
    with LOCK.with_suffix(".guard").open("wb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def held() -> dict[str, Any]:
    """Return who holds the lease, {who, what, pid, since, machine, token, until}; empty for nobody."""
    found = read_json(LOCK)
    # Releases of this project before the lease wrote no end; then it is held until it is given back.
    return {} if time.time() > float(found.get("until", "inf")) else found


def take(holder: Mapping[str, Any], seconds: float, gone: str = "") -> dict[str, Any]:
    """Take or renew the lease and return nothing, or return who holds it. A holder with the token `gone` counts no more."""
    with _alone():
        other = held()
        if other and other.get("token") not in (holder["token"], gone):
            return other
        # What works under a longer lease than the one that is asked for now keeps it.
        mine = other.get("until", 0) if other.get("token") == holder["token"] else 0
        write_file(LOCK, json.dumps(dict(holder) | {"until": max(time.time() + seconds, mine)}) + "\n")
    return {}


def renew(lease: Mapping[str, Any]) -> None:
    """Go on under a lease, as the module deploy_lock returns it, with `seconds` from now on; LeaseError where it is lost."""
    if "token" not in lease:
        return
    holder = {key: value for key, value in lease.items() if key != "seconds"}
    other = take(holder, float(lease["seconds"]))
    if other:
        raise LeaseError(
            f"the deploy lock has run out, and {other['who']} (pid {other['pid']}, {other.get('what', '')}) has taken it at "
            f"{other['since']}. Fix: wait until that has ended, then run this again"
        )


def give_back(token: str) -> bool:
    """Give the lease back, and say whether it was held under this token."""
    with _alone():
        if read_json(LOCK).get("token") != token:
            return False
        LOCK.unlink(missing_ok=True)
        return True
