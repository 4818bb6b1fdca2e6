"""Who listens on which TCP port of this host, out of /proc (proc(5)) alone."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file

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


def socket_units(listed: str) -> dict[int, str]:
    """Return {port: unit} of what `systemctl list-sockets` prints: `127.0.0.1:5001 flask-hello@1.socket flask-…`."""
    found = re.findall(r"^\S*:(\d+)\s+(\S+\.socket)\b", listed, flags=re.MULTILINE)
    return {int(port): unit for port, unit in found}


def _held_by_systemd() -> dict[int, str]:
    command = ["systemctl", "list-sockets", "--no-legend", "--no-pager", "--plain", "--full"]
    return socket_units(
        subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
    )


def listeners(ports: set[int]) -> dict[int, Listener]:
    """Return who listens, for those of some ports on which somebody does."""
    wanted: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for port, inodes in listening_inodes(read_file(Path("/proc/net", name))).items():
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
                        command = read_file(process / "comm").strip()
                        found[port] = Listener(int(process.name), command, unit_of(read_file(process / "cgroup")))
    if any(holder.pid == 1 for holder in found.values()):
        # Sockets that systemd holds are also those of their services, where these run.
        units = _held_by_systemd()
        found |= {port: Listener(1, "systemd", units[port]) for port in found if port in units}
    return found
