"""Build a release on the control node and ship it: the half of the module flask_release that runs here."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PROJECT = Path(__file__).resolve().parents[2]
# Raise it when the layout of a release changes: every release is then built anew.
LAYOUT = 2
KEEP_BUILDS = 40
# What a release has beside the application and its dependencies.
OURS = [PROJECT / "roles" / "flask_app" / "files" / name for name in ("wsgi_check.py", "wsgi_serve.py")]
# Debian 12's C library, the oldest that we serve (PEP 600: a wheel for an older one runs on it as well).
PLATFORM = "{architecture}-manylinux_2_36"
LEFT_OUT = {
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "node_modules",
}


def source_files(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name in the release, path) for each file and link of a source folder, sorted by name.

    A link that stays inside the source stays a link; one that leaves it stands for the file that it leads to, since
    the host has nothing there.
    """
    found = []
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*files, *links]:
            path = Path(folder, name)
            if path.suffix == ".pyc":
                continue
            if path.is_symlink() and not _stays_inside(path, source):
                if not path.is_file():
                    raise AnsibleActionFail(
                        f"{path} is a link to {path.readlink()}, which is no file. Fix: put what it means into {source}."
                    )
                path = path.resolve()
            found.append((Path(folder, name).relative_to(source).as_posix(), path))
    yield from sorted(found)


def _stays_inside(link: Path, source: Path) -> bool:
    target = link.readlink()
    return not target.is_absolute() and Path(os.path.normpath(link.parent / target)).is_relative_to(source)


def requirement_names(text: str) -> set[str]:
    """Return the normalised names (PEP 503) of what a requirements file lists."""
    names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", text, flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def refers_to_files(text: str) -> bool:
    """Say whether a requirements file takes in others of the source: `-r`, `-c`, `-f`, `./…`, `name @ file:…`."""
    return bool(re.search(r"^\s*(-(?!-hash)|[./])|@\s*file:", text, flags=re.MULTILINE))


def without(text: str, names: set[str]) -> str:
    """Return a requirements file without the entries (and their hashes) of some names."""
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if not requirement_names(entry) & names)


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
        found: dict[str, Any] = json.loads(self.record_path.read_text())
        return found

    def pack(self, members: Iterable[tuple[str, Path]], record: dict[str, Any], folder: Path) -> None:
        """Write archive and record, the archive's bytes being the same for the same members."""
        size, archive = 0, folder / self.archive.name
        with archive.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=6, filename="") as zipped, \
                tarfile.open(fileobj=zipped, mode="w") as tar:  # fmt: skip
            for name, path in members:
                info = tar.gettarinfo(path, name)
                info.uid = info.gid = info.mtime = 0
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
        (folder / "record").write_text(json.dumps(record | {"size": size}, indent=2) + "\n")
        (folder / "record").replace(self.record_path)


class Build:
    """A release to be: its inputs, and its two parts, the application and the dependencies (`lib`), with an id each.

    Most releases change the application alone; what a host has of the rest is then neither built nor shipped again.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        self.name = str(args["name"])
        self.source = Path(PROJECT, str(args["source"])).expanduser()
        if not self.source.is_dir():
            raise AnsibleActionFail(
                f"source of {self.name} is {self.source}, which is no folder. Fix: the app's folder."
            )
        wanted = str(args.get("requirements") or "requirements.txt")
        self.requirements = self.source / wanted
        if not self.requirements.is_file() and args.get("requirements"):
            raise AnsibleActionFail(f"requirements of {self.name} is {wanted}; {self.source} has no such file.")
        host = [str(args["python_version"]), PLATFORM.format(architecture=args["architecture"])]
        self.python_version, self.platform = host
        text = self.requirements.read_text() if self.requirements.is_file() else ""
        self.hashed = "--hash=" in text
        # What the app pins itself wins over what we pin for the server.
        self.server = without(Path(str(args["server_requirements"])).read_text(), requirement_names(text))
        self.cache = Path(PROJECT, str(args.get("cache", ".cache/releases"))) / self.name
        dependencies = [LAYOUT, [path.read_text() for path in OURS], self.server, text]
        self.content = self._content(dependencies)
        of_lib = [self.content] if refers_to_files(text) else dependencies
        self.lib = Part(self.cache, "lib", _short([*of_lib, *host]))
        self.release = Part(self.cache, "release", _short([self.content, *host]))
        self.parts = (self.lib, self.release)

    def _content(self, dependencies: list[Any]) -> str:
        """Return a digest of all inputs that do not depend on the host."""
        digest = hashlib.sha256(json.dumps(dependencies).encode())
        for name, path in source_files(self.source):
            digest.update(f"{name}\0{path.stat().st_mode & 0o100 if path.exists() else 0}\0".encode())
            digest.update(
                b"-> " + str(path.readlink()).encode()
                if path.is_symlink()
                else hashlib.sha256(path.read_bytes()).digest()
            )
        return digest.hexdigest()

    def make(self) -> bool:
        """Build what is not in the cache; whoever else needs something of the app waits, and finds it there."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = [part for part in self.parts if not part.ready()]
            for part in missing:
                with tempfile.TemporaryDirectory(prefix=".build-", dir=self.cache) as folder:
                    if part is self.lib:
                        self._make_lib(Path(folder))
                    else:
                        self.release.pack(source_files(self.source), {"lib": self.lib.id}, Path(folder))
            for part in self.parts:
                # What was used last is kept.
                part.record_path.touch()
            self._prune()
        return bool(missing)

    def _make_lib(self, folder: Path) -> None:
        lib = folder / "lib"
        lib.mkdir()
        (folder / "server.txt").write_text(self.server)
        self._install(lib, folder / "server.txt")
        packages = sorted(
            "==".join(path.name.removesuffix(".dist-info").rsplit("-", 1)) for path in lib.glob("*.dist-info")
        )
        record = {"python": self.python_version, "platform": self.platform, "packages": packages}
        # Beside the dependencies on a host, for whoever wants to know what an app runs with.
        (lib / "packages.json").write_text(json.dumps(record, indent=2) + "\n")
        self.lib.pack([*source_files(lib), *((path.name, path) for path in OURS)], record, folder)

    def _install(self, lib: Path, server: Path) -> None:
        command = [
            _uv(), "pip", "install", "--quiet", "--no-config", "--target", str(lib), "--only-binary", ":all:",
            "--python-version", self.python_version, "--python-platform", self.platform, "--link-mode", "copy",
            "--requirements", str(server),
        ]  # fmt: skip
        if self.requirements.is_file():
            command += ["--requirements", str(self.requirements)]
        if self.hashed:
            command += ["--require-hashes"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.source)
        if done.returncode:
            raise AnsibleActionFail(
                f"The requirements of {self.name} ({self.requirements}) cannot be installed for Python "
                f"{self.python_version} on {self.platform}; no host was changed.\n{done.stderr.strip()}"
            )

    def _prune(self) -> None:
        for part in self.parts:
            youngest = sorted(
                self.cache.glob(f"{part.kind}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True
            )
            for record in youngest[KEEP_BUILDS:]:
                record.unlink()
                record.with_suffix(".tar.gz").unlink(missing_ok=True)


def _short(inputs: list[Any]) -> str:
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]


def _uv() -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found:
            return found
    raise AnsibleActionFail(
        "uv, which builds releases, is not installed on this machine. Fix: `make setup`, or `pip install uv`."
    )


class ActionModule(ActionBase):
    """Build where needed, ask the host, ship where needed."""

    _requires_connection = True
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, release, content, packages}."""
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        build = Build(args)
        built = build.make()
        result: dict[str, Any] = {
            "release": build.release.id,
            "content": build.content,
            "packages": build.lib.record()["packages"],
            "built": built,
        }
        if args.get("build_only", False):
            return result | {"changed": False}
        wanted: dict[str, Any] = {part.kind: part.id for part in build.parts}
        wanted |= {"name": build.name, "sizes": {part.kind: part.record()["size"] for part in build.parts}}
        answer = self._execute_module("flask_release", module_args=wanted, task_vars=task_vars)
        if not answer.get("failed") and answer["missing"] and not self._task.check_mode:
            folder = self._make_tmp_path()
            try:
                archives = {}
                for part in build.parts:
                    if part.kind in answer["missing"]:
                        archives[part.kind] = self._connection._shell.join_path(folder, part.archive.name)
                        self._transfer_file(str(part.archive), archives[part.kind])
                answer = self._execute_module(
                    "flask_release", module_args=wanted | {"archives": archives}, task_vars=task_vars
                )
            finally:
                self._remove_tmp_path(folder)
        return {**answer, **result}
