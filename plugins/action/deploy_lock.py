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
    """Return what tells this machine from all others (machine-id(5))."""
    try:
        return Path("/etc/machine-id").read_text().strip() or platform.node()
    except OSError:
        return platform.node()


def boot() -> str:
    """Return what tells this boot from others; empty where the kernel does not say (proc(5))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def token(pid: int) -> str:
    """Return what tells a process of this machine from all that there ever were."""
    return f"{machine()}/{boot()}/{pid}/{start_of(pid)}"


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
        "token": token(pid),
    }


def has_ended(other: dict[str, Any]) -> bool:
    """Say whether a holder ran on this machine, in this boot or an earlier one, and is no longer there."""
    return other.get("machine") == machine() and other.get("token") != token(int(other.get("pid", 0)))


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
