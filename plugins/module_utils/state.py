"""The state of an application, /var/lib/flask-NAME, as one archive that is whole although the application goes on writing."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pwd
import shutil
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError

STATE = Path("/var/lib")
MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, section 1.3
BESIDE = ("-journal", "-wal", "-shm")  # what of a database is in files of its own while it is written
BUSY = 60.0  # seconds that a backup waits for whoever writes


def as_user(user: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do work in a child that is a user of this host, and return what it returns; HostError says why it did not.

    What lies in its folder is the application's doing. A link there must not lead whoever is root astray.
    """
    there = pwd.getpwnam(user)
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with os.fdopen(read, "rb") as file:
            said = json.loads(file.read() or b'{"problem": "it was killed"}')
        os.waitpid(child, 0)
        if "problem" in said:
            raise HostError(said["problem"])
        return dict(said)
    try:
        os.setgroups([])
        os.setgid(there.pw_gid)
        os.setuid(there.pw_uid)
        os.umask(0o077)
        said = work()
    except HostError as error:
        said = {"problem": str(error)}
    except BaseException as error:
        said = {"problem": f"{type(error).__name__}: {error}"}
    os.write(write, json.dumps(said).encode())
    os._exit(0)


def state_files(home: Path) -> Iterator[Path]:
    """Yield the folders, files and links below a folder, but for what belongs to a database that is being written."""
    for folder, folders, files in os.walk(home, onerror=_unless_it_is_gone):
        folders.sort()
        for name in sorted({*files, *folders}):
            if not is_beside_a_database(Path(folder, name)):
                yield Path(folder, name)


def _unless_it_is_gone(error: OSError) -> None:
    """Fail for a folder that cannot be read: os.walk would leave it out without a word."""
    # What is removed meanwhile was not to be kept.
    if not isinstance(error, FileNotFoundError):
        raise error


def is_beside_a_database(path: Path) -> bool:
    """Say whether a file is the journal of a database, which its copy has no use for; others have such names as well."""
    for end in BESIDE:
        base = path.with_name(path.name.removesuffix(end) or path.name)
        with contextlib.suppress(FileNotFoundError):
            if base != path and all(stat.S_ISREG(one.lstat().st_mode) for one in (path, base)) and is_database(base):
                return True
    return False


def is_database(path: Path) -> bool:
    """Say whether a file is a database of SQLite."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def copy_database(path: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it meanwhile (https://www.sqlite.org/backup.html)."""
    # A name is bytes, of whatever encoding.
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"
    try:
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            # That waits for whoever writes, for a time; the copy itself would do so for ever.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target)
            # Whole by itself, without a journal beside it, in whatever mode it is used.
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise HostError(
            f"{shown(path)} is a database of SQLite that could not be copied: {error}. Fix: where it is locked, wait for "
            "whoever writes to it; where it is broken, mend it or move it to another folder"
        ) from error
    shutil.copystat(path, copy)


def shown(path: Path) -> str:
    """Return a path as text, which its bytes need not be."""
    return os.fsencode(path).decode(errors="replace")


def save(home: Path, archive: BinaryIO) -> dict[str, Any]:
    """Write what is in a folder into an archive, and return what it came to."""
    databases, count = [], 0
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as scratch,
        tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar,
    ):
        for path in state_files(home):
            name = path.relative_to(home)
            # What is removed meanwhile was not to be kept.
            with contextlib.suppress(FileNotFoundError):
                kind = path.lstat().st_mode
                if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
                    continue
                if stat.S_ISREG(kind) and is_database(path):
                    copy = Path(scratch, "copy")
                    copy_database(path, copy)
                    tar.add(copy, name)
                    copy.unlink()
                    databases.append(shown(name))
                else:
                    _add(tar, path, name)
                count += 1
    # The process that has it ends without closing anything.
    archive.flush()
    return {"count": count, "databases": databases}


def _add(tar: tarfile.TarFile, path: Path, name: Path) -> None:
    """Add a file, folder or link; HostError for a file of which a part is gone before it has been read."""
    try:
        tar.add(path, name, recursive=False)
    except OSError as error:
        # tarfile's own, with no number of the system's: the archive has said already how long the file is.
        if error.errno is not None:
            raise
        raise HostError(
            f"{shown(path)} became shorter while it was read, as a log does that is emptied. Fix: save once more; where it "
            "is written anew all the time, have the app keep it elsewhere, as in /tmp or the journal"
        ) from error


@contextlib.contextmanager
def whole(archive: BinaryIO) -> Iterator[tarfile.TarFile]:
    """Open an archive, and read it to its end afterwards: EOFError for one that was cut off, OSError for one that was altered.

    tarfile itself stops at the end of the tar, before the checksum and the length of RFC 1952, section 2.3.1.
    """
    with gzip.GzipFile(fileobj=archive) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|") as tar:
            if hasattr(tarfile, "tar_filter"):  # security updates brought it to Pythons older than 3.12 (PEP 706)
                tar.extraction_filter = tarfile.tar_filter
            yield tar
        while unzipped.read(1 << 20):
            pass


def members(archive: BinaryIO) -> int:
    """Return how many files, folders and links are in an archive that is whole."""
    with whole(archive) as tar:
        return sum(1 for _ in tar)


def unpack(archive: BinaryIO, home: Path) -> dict[str, Any]:
    """Unpack an archive, which has to be whole, into an empty folder."""
    with whole(archive) as tar:
        tar.extractall(home)  # noqa: S202
        return {"count": len(tar.getmembers()), "databases": []}
