"""What an app asks for, read from its source: requirements files, a project's own list, or the lock of uv."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.release_project import (
    has_module,
    inner,
    is_project,
    project_table,
    read_requirements,
    refuse_others,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.source_files import PROJECT

COMMENT = re.compile(r"(^|\s+)#.*", re.MULTILINE)
# Of pip's options, those that take in another file or folder.
TAKES_IN = re.compile(r"(-r|-c|-e|--requirements?|--constraints?|--editable)(?:\s*=\s*|\s+|(?<=-[rce]))(\S.*)")
LINKS = re.compile(r"(?:-f|--find-links)(?:\s*=\s*|\s+)(\S+)")
# Before the path of what is on this machine.
NAMED = re.compile(r"^([\w.-]+\s*(\[[\w\s,.-]*\])?\s*@\s*)?(file:(//)?)?")
LOCAL = re.compile(r"(?P<path>\.{0,2}/?[^\s;\[@]*)(?:\[(?P<extras>[\w\s,.-]*)\])?\s*(?:;.*)?")


def names_in(text: str) -> set[str]:
    """Return the normalised names (PEP 503) of what a requirements file lists."""
    names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", text, flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


class Requirements:
    """What the source asks for: `texts` of requirements files by their names in it, without the source itself.

    `inputs` are the names of the files that the installer is given, `extras` those of the project. `whole` says that other
    files of the source decide as well, `project` that the source has a list of its own, `package` that it is installed.
    `local` are the paths of what is installed from the source beside it, and of what describes it.
    `module` is the one that the application is in, which may be found only once it is installed.
    """

    def __init__(self, source: Path, wanted: str = "", module: str = "") -> None:
        self.source, self.module = source, module
        self.texts: dict[str, str] = {}
        self.inputs: list[str] = []
        self.extras: set[str] = set()
        self.local: set[str] = set()
        self.whole = self.project = self.package = False
        self.lock = ""
        main = self._named(wanted) or ("requirements.txt" if (source / "requirements.txt").is_file() else "")
        if main in PROJECT:
            main = ""
        if main == "uv.lock" or (not main and (source / "uv.lock").is_file() and project_table(source)):
            self._take_lock()
        elif main:
            self._take(main)
            self.inputs.insert(0, main)
        else:
            self.project = is_project(source)
            refuse_others(source, self.project)
        if self._only_in_src() and is_project(source):
            self.project = self.package = True
        elif self.project and main in ("", "uv.lock"):
            self.package = self._is_package()
        if self.project and not self.lock:
            self._take_project()

    @classmethod
    def of_package(cls, text: str) -> Requirements:
        """Return those of an app that is a package itself."""
        found = cls(Path("/nowhere"))
        found.texts, found.inputs = {"requirements.txt": f"{text}\n"}, ["requirements.txt"]
        return found

    @property
    def hashed(self) -> bool:
        """Say whether every package must have a hash, as pip has it where one has."""
        return any(re.search(r"\s--hash[=\s]", COMMENT.sub("", text)) for text in self.texts.values())

    def names(self) -> set[str]:
        """Return the names of what is asked for, as far as the files say."""
        own = inner(project_table(self.source), "project").get("dependencies", []) if self.project else []
        own = [one for one in own if isinstance(one, str)] if isinstance(own, list) else []
        return names_in("\n".join([*self.texts.values(), *own])) | set(
            re.findall(r'^name = "(.+)"$', self.lock, re.MULTILINE)
        )

    def names_module(self, module: str) -> bool:
        """Say whether something of a module's name is asked for."""
        return module.split(".")[0].lower().replace("_", "-") in self.names()

    def anything(self) -> bool:
        """Say whether anything is asked for beside the source, by whatever kind of line."""
        lines = [line.strip() for text in self.texts.values() for line in text.split("\n")]
        return self.whole or bool(self.names()) or any(line and not line.startswith("#") for line in lines)

    def decide(self) -> list[Any]:
        """Return what decides which packages are installed, for a digest."""
        files = [name for name in (*PROJECT, "uv.lock") if (self.source / name).is_file()] if self.project else []
        own = [[name, (self.source / name).read_bytes().hex()] for name in files]
        # Folders of the source that a lock has were once left where they are; such a build is not to be found again.
        anew = ["installed"] if self.lock and self.whole else []
        return [sorted(self.texts.items()), self.inputs, sorted(self.extras), own, self.package, *anew]

    def newest(self) -> float:
        """Return when those files were last changed, in seconds of the epoch; 0 where there are none."""
        names = [*self.texts, *(PROJECT if self.project else ()), "uv.lock"]
        return max((path.stat().st_mtime for name in names if (path := self.source / name).is_file()), default=0.0)

    def _named(self, wanted: str) -> str:
        """Return the file that `requirements` of an app names, as it is called in the source."""
        name = os.path.normpath(wanted) if wanted else ""
        if name.startswith(("/", "../")):
            # The build writes requirements files into its copy of the source, where such a path leads out of it.
            raise AnsibleActionFail(
                f"requirements is {wanted!r}, which is not in the source. Fix: its name in {self.source}, or leave it out."
            )
        if name and not (self.source / name).is_file():
            raise AnsibleActionFail(
                f"requirements is {wanted!r}; there is no such file in {self.source}. Fix: its name, or leave it out."
            )
        folder, _, last = name.rpartition("/")
        if folder and last in (*PROJECT, "uv.lock"):
            raise AnsibleActionFail(
                f"requirements is {wanted!r}; what a package says of itself is read at the top of a source. "
                f"Fix: {self.source}/{folder} as `source`, or a requirements file that has ./{folder} in it."
            )
        if name in PROJECT and not is_project(self.source):
            raise AnsibleActionFail(
                f"requirements is {wanted!r}, which describes no package. Fix: `[project]` with `dependencies` in "
                f"{self.source}/{PROJECT[0]}, or leave it out."
            )
        return name

    def _take(self, name: str, by: str = "") -> None:
        """Read a file and those that it takes in; leave out the source itself, which is installed on its own."""
        if name in self.texts:
            return
        if not (self.source / name).is_file():
            raise AnsibleActionFail(f"{self.source / by} takes in {name}, which is not there. Fix: that line.")
        lines = read_requirements(self.source / name).split("\n")
        self.texts[name] = ""
        kept = [self._kept(line.strip(), name) for line in lines]
        self.texts[name] = "\n".join(line for line in kept if line is not None)

    def _kept(self, line: str, file: str) -> str | None:
        """Follow what a line takes in, and return it as the installer is to have it; None where it is the source itself.

        What is to be used where it lies (`-e`) is installed instead: that place is no part of a release.
        """
        bare = COMMENT.sub("", line)
        found = TAKES_IN.fullmatch(bare)
        what = re.sub(r"""^(["'])(.*)\1$""", r"\2", found[2].strip()) if found else bare
        if found and found[1].startswith(("-r", "-c", "--r", "--c")):
            self._follow(what, file)
            return line
        if links := LINKS.fullmatch(bare):
            # A folder of the source; others are indexes.
            if not ("://" in links[1] or links[1].startswith("/")):
                self.whole = True
                self.local.add(self._inside(links[1], file))
            return line
        path = NAMED.sub("", what)
        named = what.removesuffix(path)
        if not found and not named and not re.match(r"\.{1,2}(/|\[|;|\s|$)|/", what):
            # A folder or an archive by its bare name.
            first = re.split(r"[\s\[;]", what)[0] or "#"
            if first[0] not in "#-" and len(first) < 200 and (self.source / first).exists():
                self.whole = True
                self.local.add(self._inside(first, file))
            return line
        local = LOCAL.fullmatch(path)
        if "${" in path or "://" in path or local is None:
            self.whole = self.whole or "://" not in path
            return what if found else line
        target = self._inside(local["path"] or ".", file)
        if target == ".":
            self.project = self.package = True
            self.extras |= {extra.strip() for extra in (local["extras"] or "").split(",") if extra.strip()}
            return None
        self.whole = True
        self.local.add(target.partition("#")[0])
        there = f"{named.partition('file:')[0]}./{target}{path[local.end('path') :]}"
        return there if found or path.startswith("/") else line

    def _follow(self, target: str, file: str) -> None:
        if "://" not in target and "${" not in target:
            # Seen from the file, where packages are seen from the source.
            self._take(self._inside(os.path.join(os.path.dirname(file), target), file), file)  # noqa: PTH118, PTH120

    def _inside(self, target: str, file: str) -> str:
        """Return a path as it is called in the source; raise AnsibleActionFail where it is not in there."""
        name = os.path.relpath(os.path.normpath(self.source / target), self.source)
        if name == ".." or name.startswith("../"):
            raise AnsibleActionFail(
                f"{self.source / file} takes in {target}, which is not in {self.source}: it would not be noticed when it "
                "changes. Fix: the folder that holds both as `source`, or what it means as a package."
            )
        return name

    def _take_lock(self) -> None:
        self.project = True
        self.lock = read_requirements(self.source / "uv.lock")
        self.local |= {"uv.lock", PROJECT[0]}
        self.whole = bool(re.search(r'source = \{ (?:editable|directory|path) = "(?!\.")', self.lock))

    def _is_package(self) -> bool:
        """Say whether a project is one to install: without a build system, only its list counts, as uv has it."""
        table = project_table(self.source)
        if inner(table, "tool", "uv").get("package") is False:
            return False
        return not table or "build-system" in table or (self.source / "setup.py").is_file()

    def _only_in_src(self) -> bool:
        """Say whether the module of the application is found in src/ and not in the source itself."""
        found = [has_module(folder, self.module) for folder in (self.source, self.source / "src")]
        return bool(self.module) and found == [False, True]

    def _take_project(self) -> None:
        """Have the project's own list read."""
        table = project_table(self.source)
        names = [name for name in PROJECT if (self.source / name).is_file() and (name != PROJECT[0] or table)]
        if not names:
            raise AnsibleActionFail(
                f"{self.source} is to be installed as a package, and has no {' or '.join(PROJECT[:2])}. Fix: one of them, or a "
                "requirements file that does not ask for the source itself."
            )
        self.inputs.append(names[0])
        self.local.add(names[0])
        listed = inner(table, "project")
        # What works its list out may read any file for it.
        dynamic = "dependencies" in str(listed.get("dynamic", ""))
        self.whole = self.whole or not table or dynamic or not (listed or inner(table, "tool", "poetry"))
