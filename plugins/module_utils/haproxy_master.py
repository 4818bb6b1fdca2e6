"""The master socket of HAProxy (management guide, section 9.4): which workers run, and whether a reload took."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

MASTER_SOCKET = "/run/haproxy/master.sock"
FAILED = re.compile(r"\[failed: (\d+)\]")


class Processes(NamedTuple):
    """What `show proc` lists: the current workers, the old ones, and the reloads that failed since the last good one."""

    workers: tuple[int, ...]
    old_workers: tuple[int, ...]
    failed: int


def ask(command: str, path: str = MASTER_SOCKET, timeout: float = 2.0) -> str:
    """Send one command to a socket of HAProxy and return its answer. OSError where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(command.encode() + b"\n")
        # The master of 2.6 waits for more commands as long as more could come.
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def parse_processes(shown: str) -> Processes:
    """Read `show proc` of HAProxy 2.6 to 3.0. ValueError for anything else."""
    section, failed = "", None
    found: dict[str, list[int]] = {"# workers": [], "# old workers": []}
    for line in shown.splitlines():
        fields = line.split()
        if line.startswith("# "):
            section = line.strip()
        elif len(fields) >= 3 and fields[0].isdigit():
            if fields[1] == "master":
                match = FAILED.search(line)
                failed = int(match[1]) if match else 0
            elif fields[1] == "worker" and section in found:
                found[section].append(int(fields[0]))
    if failed is None:
        raise ValueError(f"this is no answer to `show proc`: {shown[:200]!r}")
    return Processes(tuple(found["# workers"]), tuple(found["# old workers"]), failed)


def processes(path: str = MASTER_SOCKET) -> Processes:
    """Return what the master says now. OSError or ValueError where it does not."""
    return parse_processes(ask("show proc", path))
