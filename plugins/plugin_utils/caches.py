"""Where what is made on the control node is kept for later runs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Return a folder of ours below the user's cache folder (XDG Base Directory Specification)."""
    found = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification has a relative one ignored.
    return (found if found.is_absolute() else Path("~/.cache").expanduser()) / "flask-haproxy" / name
