"""Who listens on which TCP port of this host, out of /proc (proc(5)) alone."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NamedTuple

LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h


class Listener(NamedTuple):
    """A process that listens: its pid, its name, and the systemd unit it belongs to (empty where it has none)."""

    pid: int
    command: str
    unit: str


def listening_inodes(table: str) -> dict[int, set[str]]:
    """Return {port: inodes of its listening sockets} of a text like /proc/net/tcp."""
    found: dict[int, set[str]] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN:
            found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def unit_of(cgroup: str) -> str:
    """Return the unit in a text like /proc/PID/cgroup, the innermost one."""
    units = re.findall(r"([^/\n]+\.(?:service|scope))", cgroup)
    # systemd escapes what a path may not hold.
    return units[-1].encode().decode("unicode_escape") if units else ""


def listeners(ports: set[int]) -> dict[int, Listener]:
    """Return who listens, for those of some ports on which somebody does."""
    wanted: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for port, inodes in listening_inodes(Path("/proc/net", name).read_text()).items():
                if port in ports:
                    wanted |= dict.fromkeys(inodes, port)
    # A socket whose process cannot be seen is still a taken port.
    found = {port: Listener(0, "unknown", "") for port in wanted.values()}
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        with contextlib.suppress(OSError):
            for entry in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    link = str(entry.readlink())
                    if link.startswith("socket:[") and (port := wanted.get(link[8:-1], 0)):
                        command = (process / "comm").read_text().strip()
                        found[port] = Listener(int(process.name), command, unit_of((process / "cgroup").read_text()))
    return found
