"""Files of a balancer: whose haproxy.cfg it is, and which servers are out by hand."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ansible.module_utils.flask_layout import read_json, run

CONFIG = Path("/etc/haproxy/haproxy.cfg")
# {"backend/server": {"who": …, "since": …}}
DRAINED = Path("/etc/haproxy/drained.json")
OURS = "Written by the role haproxy;"


def foreign(path: Path) -> bool:
    """Say whether a file is neither ours nor as the package brought it (dpkg keeps the checksum of its conffiles)."""
    if not path.is_file() or OURS in path.read_text(errors="replace"):
        return False
    shown = run("dpkg-query", "--show", "--showformat=${Conffiles}", "haproxy", check=False)
    packaged = dict(line.split()[:2] for line in shown.splitlines() if line.strip())
    return packaged.get(str(path)) != hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def drained() -> dict[str, dict[str, str]]:
    """Return the servers that are out by hand, with who took them out and when."""
    return read_json(DRAINED)


def with_drained(config: str, out: dict[str, dict[str, str]]) -> str:
    """Return a configuration in which the servers that are out by hand, and no others, are `disabled`."""
    lines, backend = [], ""
    for line in config.splitlines():
        section = re.match(r"(?:backend|listen)\s+(\S+)", line)
        if section:
            backend = section[1]
        server = re.match(r"\s+server\s+(\S+)\s", line)
        if server:
            line = line.removesuffix(" disabled") + (" disabled" if f"{backend}/{server[1]}" in out else "")
        lines.append(line)
    return "\n".join(lines) + "\n"
