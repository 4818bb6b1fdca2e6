"""Say on the control node who asks for the deploy lock, and whether another holder on it still lives."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.who import machine, token, who

AGAIN = 2.0  # seconds between two questions for a lock that is waited for


def holder() -> dict[str, Any]:
    """Return this run as a holder of the lock. Tasks run in children of the process that is the run."""
    pid = os.getppid()
    return {
        "who": who(),
        "what": " ".join([Path(sys.argv[0]).name, *context.CLIARGS.get("args", ())]),
        "pid": pid,
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": machine(),
        "token": token(pid),
    }


def has_ended(other: dict[str, Any]) -> bool:
    """Say whether a holder ran on this machine, in this boot or an earlier one, and is no longer there."""
    return other.get("machine") == machine() and other.get("token") != token(int(other.get("pid", 0)))


def refusal(other: dict[str, Any], host: str) -> str:
    """Return what whoever does not get the lock of a host is told."""
    left = other.get("until", 0.0) - time.time()
    free = f"its lock is free in {left:.0f} s unless it goes on" if left > 0 else "its lock does not run out by itself"
    return (
        f"{other['who']} (pid {other['pid']}, {other.get('what', '')}) has been deploying since {other['since']}; nothing "
        f"was changed. Fix: wait until that has ended, with `-e lock_wait=300`; {free}. If it is gone for good, lift it "
        f"with `sudo rm /run/flask-deploy.lock` on {host}."
    )


class ActionModule(ActionBase):
    """Ask for the lock; once more where its holder turns out to have ended, or while there is time to wait."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, held_by, lease}, failed where somebody else holds the lock."""
        super().run(tmp, task_vars)
        asked = dict(self._task.args)
        end = time.monotonic() + float(asked.pop("wait", 0))
        asked |= {"holder": holder()}
        while True:
            result = self._execute_module("flask_haproxy.deploy.deploy_lock", module_args=asked, task_vars=task_vars)
            other = result.get("held_by")
            if not other:
                return result
            if has_ended(other):
                asked["gone"] = other["token"]
            elif time.monotonic() > end:
                host = self._task.delegate_to or (task_vars or {}).get("inventory_hostname", "")
                return result | {"failed": True, "msg": refusal(other, host)}
            else:
                time.sleep(AGAIN)
