"""What a release is packed from, and the archives that it is packed into: the same input gives the same bytes."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# No archive format has times before it that all programs take: zipfile ends at 1980.
EARLIEST = 315_619_200  # seconds of the epoch, 2 January 1980

# The first line of a command in Python; or, where the path of Python is too long for that or has a space in it, the three that
# are sh's, which starts it, and a text without use in Python.
BY_PYTHON = re.compile(rb"#![^\n]*python[^\n]*(\n|\Z)|#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n")

# An address of this machine, or one with a name and a password in it.
HERE = re.compile(r'"(file:|[^"]*://[^"/]*@)')


def at_home(folder: Path) -> None:
    """Have the commands in a folder run by the hosts' Python; they were written for that of the machine that builds."""
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.is_symlink():
            found = BY_PYTHON.match(text := path.read_bytes())
            if found:
                path.write_bytes(b"#!/usr/bin/python3\n" + text[found.end() :])


def forget_origins(folder: Path) -> None:
    """Leave out where packages were on the machine that builds, and what addresses have of names and passwords (PEP 610).

    It differs each time, and is nobody's business on a host.
    """
    for info in folder.glob("*.dist-info"):
        # uv's notes for itself differ as well.
        gone = [path for name in ("direct_url.json", "uv_cache.json") if (path := info / name).is_file()]
        gone = [path for path in gone if path.name == "uv_cache.json" or HERE.search(path.read_text(encoding="utf-8"))]
        for path in gone:
            path.unlink()
        if gone and (record := info / "RECORD").is_file():
            lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
            names = tuple(f"{info.name}/{path.name}," for path in gone)
            record.write_text("".join(line for line in lines if not line.startswith(names)), encoding="utf-8")


class Part:
    """An archive in the cache, and its record: `size` is what it takes unpacked, in bytes."""

    def __init__(self, cache: Path, kind: str, identity: str) -> None:
        self.kind, self.id = kind, identity
        self.archive = cache / f"{kind}-{identity}.tar.gz"
        self.record_path = cache / f"{kind}-{identity}.json"

    def ready(self) -> bool:
        """Say whether it has been made; the record is written last."""
        return self.record_path.is_file() and self.archive.is_file()

    def record(self) -> dict[str, Any]:
        """Return the record."""
        found: dict[str, Any] = json.loads(self.record_path.read_bytes())
        return found

    def pack(
        self,
        members: Iterable[tuple[str, Path]],
        record: dict[str, Any],
        folder: Path,
        when: Mapping[str, float] | float = 0,
    ) -> None:
        """Write archive and record, the archive's bytes being the same for the same members and times.

        `when` is the time of all of them, or {name: time}; others have their file's own. In seconds of the epoch.
        """
        size, archive = 0, folder / self.archive.name
        with archive.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=6, filename="") as zipped, \
                tarfile.open(fileobj=zipped, mode="w") as tar:  # fmt: skip
            for name, path in members:
                info = tar.gettarinfo(path, name)
                info.uid = info.gid = 0
                info.mtime = max(EARLIEST, int(when.get(name, info.mtime) if isinstance(when, Mapping) else when))
                info.uname = info.gname = ""
                info.mode = 0o755 if info.mode & 0o100 else 0o644
                size += info.size
                if info.isreg():
                    # A hard link would be one only in the build folder.
                    info.type = tarfile.REGTYPE
                    with path.open("rb") as file:
                        tar.addfile(info, file)
                else:
                    tar.addfile(info)
        archive.replace(self.archive)
        text = json.dumps(record | {"size": size}, indent=2) + "\n"
        (folder / "record").write_text(text, encoding="utf-8")
        (folder / "record").replace(self.record_path)
