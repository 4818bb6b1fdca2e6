"""Say on the control node who asks for the deploy lock, and whether another holder on it still lives."""

from __future__ import annotations

import getpass
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def start_of(pid: int) -> str:
    """Return when a process was started (clock ticks since boot, proc(5)), empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def machine() -> str:
    """Return what tells this machine, since its last boot, from all others."""
    try:
        return platform.node() + "/" + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def holder() -> dict[str, Any]:
    """Return this run as a holder of the lock. Tasks run in children of the process that is the run."""
    pid = os.getppid()
    return {
        "who": f"{getpass.getuser()}@{platform.node()}",
        "what": " ".join(
            [Path(sys.argv[0]).name, *(arg for arg in sys.argv[1:] if arg.endswith(".yml") and "=" not in arg)]
        ),
        "pid": pid,
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": machine(),
        "token": f"{machine()}/{pid}/{start_of(pid)}",
    }


def has_ended(other: dict[str, Any]) -> bool:
    """Say whether a holder ran on this machine and is no longer there."""
    pid = int(other.get("pid", 0))
    return other.get("machine") == machine() and other.get("token") != f"{machine()}/{pid}/{start_of(pid)}"


class ActionModule(ActionBase):
    """Ask for the lock; once more where its holder turns out to have ended."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, held_by}, failed where somebody else holds the lock."""
        super().run(tmp, task_vars)
        asked = {"state": "present"} | dict(self._task.args) | {"holder": holder()}
        result = self._execute_module("deploy_lock", module_args=asked, task_vars=task_vars)
        other = result.get("held_by")
        if other and has_ended(other):
            result = self._execute_module(
                "deploy_lock", module_args=asked | {"gone": other["token"]}, task_vars=task_vars
            )
            other = result.get("held_by")
        if other:
            host = self._task.delegate_to or (task_vars or {}).get("inventory_hostname")
            result |= {
                "failed": True,
                "msg": f"{other['who']} (pid {other['pid']}, {other.get('what', '')}) has been deploying since "
                f"{other['since']}; nothing was changed. Fix: wait until that has ended; if it is gone for good, "
                f"lift its lock with `sudo rm /run/flask-deploy.lock` on {host}.",
            }
        return result
