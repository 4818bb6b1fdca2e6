"""What a source says of itself as a package: pyproject.toml, setup.py, setup.cfg, and what modules it has."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Locks of others, and the command that makes a requirements file of each.
LOCKS = {
    "poetry.lock": "`poetry export --output requirements.txt`",
    "Pipfile.lock": "`pipenv requirements > requirements.txt`",
    "Pipfile": "`pipenv lock && pipenv requirements > requirements.txt`",
    "pdm.lock": "`pdm export --output requirements.txt`",
    "pylock.toml": "the command that wrote it, with requirements.txt in place of pylock.toml",
}
CONDA = ("environment.yml", "environment.yaml")


def read_requirements(path: Path) -> str:
    """Return the text of a requirements file, which Windows may have written; raise AnsibleActionFail where it is none."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AnsibleActionFail(f"{path} cannot be read: {error.strerror}. Fix: its name, or its mode.") from None
    encoding = next((name for mark, name in MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise AnsibleActionFail(
            f"line {line} of {path} is not UTF-8: {raw.splitlines()[line - 1][:60]!r}. Fix: save the file as UTF-8."
        ) from None


def project_table(source: Path) -> dict[str, Any]:
    """Return pyproject.toml where it describes a package, empty where there is none, or only settings of tools."""
    path = source / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(read_requirements(path))
    except tomllib.TOMLDecodeError as error:
        raise AnsibleActionFail(f"{path} is no TOML: {error}. Fix: that line.") from None
    return found if "project" in found or "build-system" in found or inner(found, "tool", "poetry") else {}


def inner(table: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a table in a table in …, empty where there is none."""
    for name in names:
        found = table.get(name)
        table = found if isinstance(found, dict) else {}
    return table


def is_project(source: Path) -> bool:
    """Say whether a folder is what pip installs: a package with its description."""
    if (source / "setup.py").is_file() or project_table(source):
        return True
    setup = source / "setup.cfg"
    return setup.is_file() and "[metadata]" in setup.read_text(encoding="utf-8", errors="replace")


def has_module(folder: Path, module: str) -> bool:
    """Say whether a folder has the first part of a module's name, as a file or a folder."""
    first = folder / module.split(".")[0]
    return first.is_dir() or first.with_suffix(".py").is_file()


def refuse_others(source: Path, project: bool) -> None:
    """Raise AnsibleActionFail where only a file of another tool says what a source asks for, or which versions."""
    for name, command in LOCKS.items():
        if (source / name).is_file():
            raise AnsibleActionFail(f"{source} has {name} and no requirements.txt. Fix: have one written by {command}.")
    for name in CONDA:
        path = source / name
        # A file of this name may be about something else.
        if not project and path.is_file() and re.search(r"^dependencies:", read_requirements(path), re.MULTILINE):
            raise AnsibleActionFail(
                f"{source} has {name}, which is conda's, and no requirements.txt. Fix: one that lists what pip installs."
            )
