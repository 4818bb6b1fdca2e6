"""Install what an app asks for into a folder, for the hosts' Python, by uv: from wheels, and others where that is asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.compiled import (
    Host,
    python_for,
    refuse_foreign,
    version_of,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.requirements import Requirements

# Where setuptools-scm and hatch-vcs, pdm and poetry's plugin look for a version before they ask git, which the copy has not.
VERSIONS = ("SETUPTOOLS_SCM_PRETEND_VERSION", "PDM_BUILD_SCM_VERSION", "POETRY_DYNAMIC_VERSIONING_BYPASS")
# Of what uv says, so much is shown: its solver can explain at length.
LINES, WIDTH = 14, 700


class Installer:
    """Installs the requirements of one app; `work` is a copy of its source, in which it is also built."""

    def __init__(self, label: str, wanted: Requirements, host: Host, work: Path) -> None:
        self.label, self.wanted, self.host, self.work = label, wanted, host, work
        self.python = python_for(host.python)
        self.environment: dict[str, str] = {}
        self.for_host = ["--python-version", host.python, "--python-platform", host.platform]

    def lock(self, server: str, asked: str) -> str:
        """Return the versions to install, a requirements file. Those of `server` are preferences; `asked` is what it needs."""
        lock = self.work / ".lock.txt"
        lock.write_text(server, encoding="utf-8")
        (self.work / ".server.in").write_text(asked, encoding="utf-8")
        extras = [option for extra in sorted(self.wanted.extras) for option in ("--extra", extra)]
        self._uv(
            "pip", "compile", *self.for_host, "--no-header", "--no-annotate", "--emit-index-url", "--emit-find-links",
            "--output-file", lock.name, *self._inputs(), *extras, ".server.in",
            what=f"cannot be had together ({', '.join(asked.split())} is what its server needs; the rest is the app's)",
        )  # fmt: skip
        return lock.read_text(encoding="utf-8")

    def built_here(self, allowed: list[str]) -> list[str]:
        """Return the names of what has to be built, because there is no wheel for the host; refuse what is not `allowed`."""
        out = self._uv(
            "pip",
            "compile",
            *self.for_host,
            "--no-deps",
            "--format",
            "pylock.toml",
            ".lock.txt",
            what="cannot be found",
        )
        found = tomllib.loads(out).get("packages", [])
        # Where the app asks for a folder, an archive or a repository, that is what is meant.
        given = [one for one in found if {"directory", "vcs", "archive"} & set(one)]
        archives = [one for one in found if one not in given and not one.get("wheels")]
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in allowed}
        refused = [one for one in archives if one["name"] not in names or "sdist" not in one]
        if refused:
            raise AnsibleActionFail(self._no_wheels(refused, sorted(one["name"] for one in archives)))
        wheels = [one for one in given if str(one.get("archive", {})).find(".whl") >= 0]
        return [one["name"] for one in (*given, *archives) if one not in wheels]

    def install(self, target: Path, lock: str, server: str, build: list[str]) -> None:
        """Install all of it, in the versions of `lock`; what the app gives hashes of has them checked."""
        pins = "\n".join(re.findall(r"^[A-Za-z0-9][\w.-]*==\S+", lock, flags=re.MULTILINE)) + "\n"
        (self.work / ".pins.txt").write_text(pins, encoding="utf-8")
        (self.work / ".server.txt").write_text(agreeing(server, pins), encoding="utf-8")
        inputs = [option for name in self._inputs() for option in ("--requirements", name)]
        extras = [option for extra in sorted(self.wanted.extras) for option in ("--extra", extra)]
        if self.wanted.hashed:
            # What the project lists without a hash has one in the file, or cannot be taken.
            inputs, extras = [option for name in self.wanted.texts for option in ("--requirements", name)], []
        self._uv(
            "pip", "install", *self.for_host, "--python", self.python, "--target", str(target), "--link-mode", "copy",
            "--only-binary", ":all:", *[option for name in build for option in ("--no-binary", name)],
            *inputs, *extras, "--requirements", ".server.txt", "--constraints", ".pins.txt",
            *(["--require-hashes"] if self.wanted.hashed else []), what="cannot be installed",
        )  # fmt: skip
        if build:
            refuse_foreign(self.label, target, build, self.host, self.python)

    def wheel(self, target: Path, version: str) -> None:
        """Build the source itself, a package, and unpack it; `version` is what its backend would ask git for, if it is in git."""
        self.environment = dict.fromkeys(VERSIONS, version) if version else {}
        (self.work / ".wheels").mkdir()
        self._uv(
            "build",
            "--wheel",
            "--python",
            self.python,
            "--out-dir",
            ".wheels",
            "--no-create-gitignore",
            ".",
            what="belong to a package that cannot be built",
        )
        with zipfile.ZipFile(next((self.work / ".wheels").glob("*.whl"))) as archive:
            archive.extractall(target)
        refuse_foreign(self.label, target, [], self.host, self.python)

    def _inputs(self) -> list[str]:
        if not self.wanted.lock:
            return self.wanted.inputs
        if not (self.work / ".uv.txt").exists():
            self._uv(
                "export", "--frozen", "--no-dev", "--no-emit-project", "--no-editable", "--no-header", "--no-annotate",
                "--format", "requirements.txt", "--output-file", ".uv.txt", what="cannot be read from uv.lock",
            )  # fmt: skip
        return [".uv.txt"]

    def _no_wheels(self, refused: list[dict[str, Any]], names: list[str]) -> str:
        packages = ", ".join(f"{one['name']}=={one['version']}" for one in refused)
        buildable = [one["name"] for one in refused if "sdist" in one]
        fixes = (
            [f"`build: [{', '.join(names)}]` of the app builds them on this machine, which runs code of theirs"]
            if buildable
            else []
        )
        return (
            f"{self.label} cannot be installed from wheels: there is none for {self.host} of {packages}; no host was changed. "
            f"Fix: {'; or '.join([*fixes, 'versions, or packages, that have wheels'])}."
        )

    def _uv(self, *arguments: str, what: str) -> str:
        """Run uv in the copy and return what it prints."""
        first = [_program(), *arguments[: 2 if arguments[0] == "pip" else 1]]
        done = subprocess.run(
            [*first, "--quiet", "--no-config", "--no-python-downloads", *arguments[len(first) - 1 :]],
            cwd=self.work, env=os.environ | self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            words = shortened(done.stderr.replace(f"{self.work}/", "").replace(str(self.work), "the source"))
            raise AnsibleActionFail(
                f"{self.label} {what}, for {self.host}; no host was changed.\n{words}{self._python_note(words)}"
            )
        return done.stdout

    def _python_note(self, words: str) -> str:
        """Return what to say where a build failed on a machine without the hosts' Python."""
        if "build" not in words.lower() or version_of(self.python) == self.host.python:
            return ""
        return f"\nThis machine has no Python {self.host.python}, with which alone compiled parts can be built for the hosts."


def agreeing(server: str, pins: str) -> str:
    """Return those entries of the server's requirements file, with their hashes, whose versions were chosen."""
    chosen = set(pins.split())
    entries = re.split(r"^(?=[A-Za-z0-9])", server, flags=re.MULTILINE)
    return "".join(entry for entry in entries if entry.split(" ")[0].strip() in chosen)


def shortened(words: str) -> str:
    """Return the beginning of what uv says, and its hints."""
    lines = [line[:WIDTH] for line in words.strip().splitlines() if line.strip()]
    rest = lines[LINES:]
    return "\n".join(
        [*lines[:LINES], *(["…"] if rest else []), *[line for line in rest if line.startswith("hint:")][:3], *rest[-3:]]
    )


def _program() -> str:
    try:
        from uv import find_uv_bin

        return os.fsdecode(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found:
            return found
    raise AnsibleActionFail(
        "uv, which builds releases, is not installed on this machine. Fix: `pip install uv`, or in a clone `make setup`."
    )
