"""Whose haproxy.cfg it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible.module_utils.flask_layout import run

CONFIG = Path("/etc/haproxy/haproxy.cfg")
OURS = "Written by the role haproxy;"


def foreign(path: Path) -> bool:
    """Say whether a file is neither ours nor as the package brought it (dpkg keeps the checksum of its conffiles)."""
    if not path.is_file() or OURS in path.read_text(errors="replace"):
        return False
    shown = run("dpkg-query", "--show", "--showformat=${Conffiles}", "haproxy", check=False)
    packaged = dict(line.split()[:2] for line in shown.splitlines() if line.strip())
    return packaged.get(str(path)) != hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
