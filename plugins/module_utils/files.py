"""Files that are whole or not there, whatever happens while they are written. Standard library only, like all of this folder."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

TIME = "%Y-%m-%dT%H:%M:%S%z"  # as the files of deployments, drains and canaries have it


def read_file(path: Path) -> str:
    """Return a file as it is: UTF-8 whatever the locale says, bytes that are none and line ends kept (PEP 383)."""
    return path.read_bytes().decode(errors="surrogateescape")


def write_file(path: Path, text: str, mode: int = 0o644) -> bool:
    """Put a file in place in one step, and say whether anything changed. The text is on disk before its name is."""
    content = text.encode(errors="surrogateescape")
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut (fsync(2): a file's own fsync does not cover its name)."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file as a mapping, empty where it is missing or no mapping."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}
