"""What systemd, its journal and the kernel say of units, and what they are told."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

SYSTEMD = Path("/etc/systemd/system")
RUNTIME = Path("/run/systemd/system")


class HostError(Exception):
    """Something that a person has to look at; the message says what and how it is mended."""


def quoted(value: str) -> str:
    """Return a value as systemd's EnvironmentFile= reads it back (systemd.exec(5): double quotes, backslash escapes)."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def run(*command: str, check: bool = True) -> str:
    """Run a command and return what it printed; raise HostError with all of it where it fails and `check` is set."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if check and done.returncode:
        raise HostError(f"`{' '.join(command)}` failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


def unit_states(units: Sequence[str], *more: str) -> dict[str, dict[str, str]]:
    """Return what systemd says of units: {unit: {ActiveState, SubState, MainPID, NRestarts}}, and more properties.

    Times are `@` and seconds of the epoch, and empty for never.
    """
    if not units:
        return {}
    properties = ",".join(["Id", "ActiveState", "SubState", "MainPID", "NRestarts", *more])
    shown = run("systemctl", "show", "--timestamp=unix", f"--property={properties}", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    by_id = {block["Id"]: block for block in blocks}
    return {unit: by_id[unit] for unit in units}


def process_environment(pid: str) -> dict[str, str]:
    """Return the environment a process was started with (proc(5)); empty where there is no such process."""
    with contextlib.suppress(OSError):
        raw = Path("/proc", pid, "environ").read_bytes().decode(errors="replace")
        return dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)
    return {}


def replaced(pid: str | int) -> bool:
    """Say whether the program of a process is no longer the one on the disk, as after an upgrade of its package (proc(5))."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink()).endswith(" (deleted)")
    return False


def journal(unit: str, since: float, pattern: str = "", lines: int = 60) -> str:
    """Return the last lines that a unit wrote to the journal since a time (seconds of the epoch).

    With a pattern, lines that match it: a busy unit's own words would drown in what it logs of its requests.
    """
    options = [f"--since=@{since:.3f}", f"--lines={lines}", "--quiet", "--no-pager", "--output=short-iso"]
    if pattern:
        options.append(f"--grep={pattern}")
    return run("journalctl", f"--unit={unit}", *options, check=False).strip()


def said_once(shown: str, lines: int = 60) -> str:
    """Return the last lines of a journal (short-iso) in which each message is there once, when it was first said."""
    found: dict[str, str] = {}
    for line in shown.splitlines():
        found.setdefault(re.sub(r"^\S+ \S+ \S+: ", "", line), line)
    return "\n".join(list(found.values())[-lines:])


def audit(message: str) -> None:
    """Write a line to the journal under the name `flask-deploy`, for whoever asks later what was done when."""
    subprocess.run(
        ["systemd-cat", "--identifier=flask-deploy"],
        input=message + "\n",
        encoding="utf-8",
        errors="replace",
        check=False,
    )
