"""Our modules as Ansible ships them, packed once for many runs; the callback `waiting` brings and keeps them.

A module goes to a host as an archive of itself and of all that it imports. What that is, Ansible finds out in every run
anew, by parsing some thirty files for each module (0.1 s of processor, a quarter of a run that changes nothing), and puts the
archive into a folder of the run, where its other tasks find it (`_find_module_utils` of ansible/executor/module_common.py).
This folder gets those of earlier runs. Where a version of Ansible has another one, nothing is gained and nothing lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from pathlib import Path

import ansible.module_utils
from ansible import constants
from ansible.release import __version__
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.caches import user_cache

OURS = "ansible_collections.flask_haproxy.deploy.plugins.modules."
PLUGINS = Path(__file__).resolve().parents[1]
VERSIONS = 4  # of the collection or of Ansible, whose archives are kept


def folder_of_run() -> Path:
    """Return the folder in which Ansible keeps the archives of this run."""
    return Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")


def default_folder() -> Path:
    """Return the folder for the archives of these very modules."""
    return user_cache("modules") / _version()


def _version() -> str:
    """Return what the archives depend on as a name: ours by their content, Ansible's by their versions, sizes and times."""
    found = hashlib.sha256(f"{__version__} {sys.version}".encode())
    for file in sorted([*PLUGINS.glob("modules/*.py"), *PLUGINS.glob("module_utils/*.py")]):
        found.update(file.read_bytes())
    for file in sorted(Path(ansible.module_utils.__path__[0]).rglob("*.py")):
        about = file.stat()
        found.update(f"{file.name} {about.st_size} {about.st_mtime_ns}".encode())
    return found.hexdigest()[:16]


def bring(kept: Path, to: Path) -> None:
    """Give a run the archives of earlier ones. What lies where somebody else may write is not believed."""
    with contextlib.suppress(OSError):
        about = kept.stat()
        if about.st_uid == os.getuid() and not about.st_mode & 0o022:
            to.mkdir(exist_ok=True)
            for archive in kept.glob(f"{OURS}*"):
                _copy(archive, to / archive.name)


def keep(kept: Path, of: Path) -> None:
    """Keep what a run has packed for later ones, and of the versions before the last ones."""
    with contextlib.suppress(OSError):
        packed = [file for file in of.glob(f"{OURS}*") if not file.name.endswith((".lock", "-part"))]
        new = [file for file in packed if not (kept / file.name).exists()]
        if not new:
            return
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in new:
            _copy(file, kept / file.name)
        versions = sorted(kept.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in versions[VERSIONS:]:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(file: Path, to: Path) -> None:
    """Copy a file so that it is there as a whole or not at all."""
    part = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        shutil.copyfile(file, part)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
