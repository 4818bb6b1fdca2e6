"""What a host has that may come to hurt it: full disks, units that failed, processes that the kernel killed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run

# Of systemd's message catalogue (sd-messages.h): SD_MESSAGE_UNIT_OUT_OF_MEMORY and SD_MESSAGE_JOURNAL_DROPPED.
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
DROPPED = "a596d6fe7bfa4994828e72309e95d61e"
OURS = ("flask-", "haproxy.service")
REBOOT = Path("/run/reboot-required")


def disks(*paths: str) -> list[dict[str, Any]]:
    """Return {path, free, total, files_free, files} of the file systems that the paths are on, bytes and inodes."""
    found: dict[int, dict[str, Any]] = {}
    for path in paths:
        place = next(folder for folder in (Path(path), *Path(path).parents) if folder.is_dir())
        now = os.statvfs(place)
        about = {"path": str(place), "free": now.f_bavail * now.f_frsize, "total": now.f_blocks * now.f_frsize}
        found.setdefault(place.stat().st_dev, about | {"files_free": now.f_favail, "files": now.f_files})
    return list(found.values())


def failed_units() -> list[str]:
    """Return the units that have failed."""
    shown = run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full", check=False)
    return [line.split()[0] for line in shown.splitlines() if line.strip()]


def told(message: str, since: float) -> list[tuple[float, str]]:
    """Return (time, unit) of what systemd and its journal have said of our units since a time (seconds of the epoch).

    A field like UNIT= may come from anybody who writes to the journal; only root's are believed.
    """
    fields = "--output-fields=UNIT,_SYSTEMD_UNIT,OBJECT_SYSTEMD_UNIT"
    matches = [f"MESSAGE_ID={message}", "_UID=0"]
    shown = run("journalctl", f"--since=@{since:.0f}", "--output=json", "--quiet", fields, *matches, check=False)
    found = []
    for line in shown.splitlines():
        entry = json.loads(line)
        unit = entry.get("UNIT") or entry.get("OBJECT_SYSTEMD_UNIT") or entry.get("_SYSTEMD_UNIT", "")
        if str(unit).startswith(OURS):
            found.append((int(entry["__REALTIME_TIMESTAMP"]) / 1e6, str(unit)))
    return found


def reboot() -> str:
    """Return for which packages the host is to be started anew (debian-policy, update-notifier); empty for none."""
    if not REBOOT.exists():
        return ""
    packages = Path(f"{REBOOT}.pkgs")
    return ", ".join(sorted(set(read_file(packages).split()))) if packages.is_file() else "a package"


def forgetful() -> bool:
    """Say whether the journal is in memory only, so that a restart of the host loses it (systemd-journald(8)).

    By the files that journald has open: one in memory may be left from before.
    """
    pid, links = run("systemctl", "show", "--property=MainPID", "--value", "systemd-journald.service").strip(), []
    for fd in Path("/proc", pid, "fd").glob("*"):
        with contextlib.suppress(OSError):
            links.append(str(fd.readlink()))
    kept = any(link.startswith("/var/log/journal/") for link in links)
    return not kept and any(link.startswith("/run/log/journal/") for link in links)


def host_state(asked: float, hours: float = 24) -> dict[str, Any]:
    """Return what the host has: {ahead, disks, failed_units, out_of_memory, dropped, forgetful, reboot}.

    Of the journal the last `hours`.

    `ahead` is how many seconds the clock is ahead of that of whoever asked, with the time that the question took.
    """
    now = time.time()
    return {
        "ahead": now - asked if asked else 0.0,
        "disks": disks("/opt/flask", "/var/log/journal", "/etc/haproxy"),
        "failed_units": failed_units(),
        "out_of_memory": told(OUT_OF_MEMORY, now - hours * 3600),
        "dropped": told(DROPPED, now - hours * 3600),
        "forgetful": forgetful(),
        "reboot": reboot(),
    }
