"""Who runs this, as others are told, and which process of all machines that is."""

from __future__ import annotations

import getpass
import os
import platform
from pathlib import Path


def who() -> str:
    """Return user@machine; of a user who has no name, as in a container of a CI, the number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def start_of(pid: int) -> str:
    """Return when a process was started (clock ticks since boot, proc(5)), empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def machine() -> str:
    """Return what tells this machine from all others (machine-id(5))."""
    try:
        return Path("/etc/machine-id").read_text(encoding="utf-8").strip() or platform.node()
    except OSError:
        return platform.node()


def boot() -> str:
    """Return what tells this boot from others; empty where the kernel does not say (proc(5))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def token(pid: int) -> str:
    """Return what tells a process of this machine from all that there ever were."""
    return f"{machine()}/{boot()}/{pid}/{start_of(pid)}"
