"""Build a release on the control node: the application as it is, and its dependencies, from wheels where there are."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.caches import user_cache
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.compiled import Host
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import times, version
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.installer import Installer
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.origins import origin
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.release_parts import Part, at_home, forget_origins
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.requirements import Requirements
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import ROLES
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.source_checks import (
    refuse_lost_links,
    refuse_state,
    refuse_unshipped,
    source_warnings,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.source_files import source_files, source_tree

# Raise it when the layout of a release changes: every release is then built anew.
LAYOUT = 5
KEEP_BUILDS = 40
# What a release has beside the application and its dependencies.
OURS = sorted(path for path in (ROLES / "flask_app" / "files").glob("*.py"))


class Build:
    """A release to be: its inputs, and its two parts, the application and the dependencies (`lib`), with an id each.

    Most releases change the application alone; what a host has of the rest is then neither built nor shipped again. `args` are
    those of M(flask_release). Raises AnsibleActionFail for a source that cannot be a release, OSError and ValueError for one
    that cannot be read.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        self.name = str(args["name"])
        cache = Path(args["cache"]) if args.get("cache") else user_cache("releases")
        self.cache = cache / self.name
        leave_out = Path(args["leave_out"]) if args.get("leave_out") else None
        self.origin = origin(str(args["source"]), cache / ".sources", leave_out)
        self.module = str(args.get("wsgi") or "").partition(":")[0]
        self.allowed = [str(one) for one in args.get("build") or []]
        self.host = Host(str(args["python_version"]), str(args["architecture"]))
        self.state = sorted(str(one) for one in args.get("state_paths") or [])
        self.files: list[tuple[str, Path]] = []
        self.ignore: list[str] = []
        if self.origin.folder is None:
            self.wanted = Requirements.of_package(self.origin.requirement)
        else:
            self.wanted = Requirements(self.origin.folder, str(args.get("requirements") or ""), self.module)
            self._read_folder(self.origin.folder, leave_out, args)
        server = Path(str(args["server_requirements"]))
        # What answers files is no part of a release without any.
        servers = [server, *([server.with_name("whitenoise.txt")] if args.get("static") else [])]
        self.server, self.asked = _together(servers, ".txt"), _together(servers, ".in")
        dependencies = [
            LAYOUT, [path.read_text(encoding="utf-8") for path in OURS], self.server, self.asked, self.wanted.decide(),
            self.origin.resolved.get("sha256", ""), self.state,
        ]  # fmt: skip
        self.content = self._content(dependencies)
        of_lib = [self.content] if self.wanted.whole else dependencies
        self.lib = Part(self.cache, "lib", _short([*of_lib, *self.host]))
        self.release = Part(self.cache, "release", _short([self.content, *self.host]))
        self.parts = (self.lib, self.release)

    def _read_folder(self, folder: Path, leave_out: Path | None, args: dict[str, Any]) -> None:
        """Find the files of a source that are shipped, and refuse what the keys of the app say of others."""
        self.ignore = [str(one) for one in args.get("ignore") or []]
        found = source_files(folder, leave_out, self.ignore)
        refuse_state(self.name, folder, self.state)
        self.files = [one for one in found if not any(f"{one[0]}/".startswith(f"{path}/") for path in self.state)]
        refuse_lost_links(self.files, folder, self.state)
        refuse_unshipped(self.name, self.files, folder, self.wanted.local)
        self._refuse_empty_folders([str(one) for one in args.get("static") or []])

    def _content(self, dependencies: list[Any]) -> str:
        """Return a digest of all inputs that do not depend on the host."""
        digest = hashlib.sha256(json.dumps(dependencies).encode())
        for name, path in self.files:
            executable = path.stat().st_mode & 0o100 if path.exists() else 0
            digest.update(os.fsencode(name) + f"\0{executable}\0".encode())
            digest.update(
                b"-> " + os.fsencode(path.readlink())
                if path.is_symlink()
                else hashlib.sha256(path.read_bytes()).digest()
            )
        return digest.hexdigest()

    def make(self) -> bool:
        """Build what is not in the cache; whoever else needs something of the app waits, and finds it there."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = [part for part in self.parts if not part.ready()]
            for part in missing:
                with tempfile.TemporaryDirectory(prefix=".build-", dir=self.cache) as folder:
                    if part is self.lib:
                        self._make_lib(Path(folder))
                    else:
                        self._make_release(Path(folder))
            for part in self.parts:
                # What was used last is kept.
                part.record_path.touch()
            self._prune()
        self._refuse_missing_module()
        return bool(missing)

    def _make_lib(self, folder: Path) -> None:
        lib = folder / "lib"
        lib.mkdir()
        self._install(lib, folder)
        at_home(lib / "bin")
        forget_origins(lib)
        packages = sorted(
            "==".join(path.name.removesuffix(".dist-info").rsplit("-", 1)) for path in lib.glob("*.dist-info")
        )
        record = {"python": self.host.python, "platform": self.host.platform, "packages": packages}
        # Beside the dependencies on a host, for whoever wants to know what an app runs with.
        (lib / "packages.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        record["modules"] = _modules(path.name for path in lib.iterdir())
        members = dict(source_tree(lib)) | {path.name: path for path in OURS}
        self.lib.pack(sorted(members.items()), record, folder, self.wanted.newest())

    def _install(self, lib: Path, folder: Path) -> None:
        installer = self._installer(folder)
        lock = installer.lock(self.server, self.asked)
        installer.install(lib, lock, self.server, installer.built_here(self.allowed))

    def _make_release(self, folder: Path) -> None:
        members = dict(self.files)
        when = {name: path.lstat().st_mtime for name, path in self.files}
        if self.origin.folder:
            when |= times(self.origin.folder, members)
        if self.wanted.package:
            made = folder / "package"
            self._installer(folder).wheel(made, version(self.origin.folder) if self.origin.folder else "")
            at_home(made / "bin")
            newest = max(when.values(), default=0.0)
            for name, path in source_tree(made):
                when[name] = when.get(name, newest)
                members.setdefault(name, path)
            # Beside what the build has made in them, packages in src/ are whole, as they are for who installs them to edit.
            for name, path in self.files:
                inside = name.removeprefix("src/")
                if inside != name and (made / inside.split("/")[0]).is_dir():
                    when[inside] = when[name]
                    members.setdefault(inside, path)
        record = {"lib": self.lib.id, "modules": _modules(name.split("/")[0] for name in members)}
        self.release.pack(sorted(members.items()), record, folder, when)

    def _installer(self, folder: Path) -> Installer:
        """Return an installer that works in a copy of the source, so that nothing is left in it."""
        work = folder / "source"
        work.mkdir()
        for name, path in self.files:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, work / name, follow_symlinks=False)
        for name, text in self.wanted.texts.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).unlink(missing_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        if self.origin.wheel:
            shutil.copy2(self.origin.wheel, work)
        return Installer(f"The requirements of {self.name} ({self._said()})", self.wanted, self.host, work)

    def _said(self) -> str:
        """Return what the dependencies come from, for messages."""
        first = next(iter([*self.wanted.inputs, *(["uv.lock"] if self.wanted.lock else [])]), "")
        return self.origin.requirement or f"{self.origin.folder}/{first}"

    def _refuse_missing_module(self) -> None:
        """Refuse an application that is in a module that nothing has."""
        first = self.module.split(".")[0]
        there = {name for part in self.parts for name in part.record()["modules"]}
        if first and first not in there:
            raise AnsibleActionFail(
                f"wsgi of {self.name} is in the module {self.module}, which neither its source nor what it requires has; "
                "no host was changed. Fix: the module that holds the application, or in the requirements the package that has it."
            )

    def _refuse_empty_folders(self, folders: list[str]) -> None:
        """Refuse a folder of `static` of which nothing would be shipped."""
        for folder in folders:
            shipped = any(name.startswith(f"{folder}/") for name, _ in self.files)
            if not shipped and not any(f"{folder}/".startswith(f"{path}/") for path in self.state):
                raise AnsibleActionFail(
                    f"static of {self.name} has the folder {folder}, of which no file is shipped; no host was changed. Fix: build "
                    f"what belongs there first; where git ignores it, `ignore: ['!{folder}']` ships it all the same."
                )

    def warnings(self) -> list[str]:
        """Return what is not as whoever wrote the source may think."""
        folder = self.origin.folder
        listed = bool(self.wanted.inputs or self.wanted.lock)
        return list(source_warnings(self.name, folder, self.files, self.ignore, listed)) if folder else []

    def _prune(self) -> None:
        for part in self.parts:
            youngest = sorted(
                self.cache.glob(f"{part.kind}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True
            )
            for record in youngest[KEEP_BUILDS:]:
                record.unlink()
                record.with_suffix(".tar.gz").unlink(missing_ok=True)


def _together(files: Iterable[Path], suffix: str) -> str:
    """Return the texts of requirements files, of those beside them that have a suffix, as one."""
    return "\n".join(path.with_suffix(suffix).read_text(encoding="utf-8").rstrip("\n") for path in files) + "\n"


def _short(inputs: list[Any]) -> str:
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]


def _modules(names: Iterable[str]) -> list[str]:
    """Return the names that can be imported from a folder that has these, as far as names say."""
    return sorted({name.split(".")[0] for name in names if not name.endswith((".dist-info", ".data"))} - {""})
