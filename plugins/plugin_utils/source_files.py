"""Which files of a source belong to a release: those that git would show where it is in git, and never what is local.

`ignore` of an app decides last: patterns of gitignore(5), of which one with `!` brings back what would be left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import git, in_git

# Of version control: never walked through.
OF_GIT = {".git", ".hg", ".svn"}
LEFT_OUT = OF_GIT | {
    ".tox", ".nox", ".venv", ".eggs", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules",
    ".DS_Store", "Thumbs.db", ".env", ".envrc", ".direnv", ".vagrant", ".idea", ".hypothesis", ".ipynb_checkpoints",
    "__pypackages__",
}  # fmt: skip
# What git-crypt and Git LFS leave in the place of a file that they have not made.
ENCRYPTED = b"\0GITCRYPT\0"
POINTER, LARGEST_POINTER = b"version https://git-lfs.github.com/spec/", 1024
ENVIRONMENT = re.compile(r"\.env[._-](?!(example|sample|template|dist)$).*")
# What editors keep beside a file while it is open, or was.
EDITED = re.compile(r"\..+\.sw[a-p]|.+~|\.#.*|#.*#")
SAID = 5  # problems in a message
PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")


def source_files(source: Path, leave_out: Path | None = None, ignore: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Return (name in the release, path) for each file and link of a source folder but for one, sorted by name.

    A link that stays inside the source stays a link; one that leaves it stands for the file that it leads to, since
    the host has nothing there. What is neither, as a socket, a release cannot hold. Raises AnsibleActionFail for what
    cannot be read.
    """
    found, problems = [], []
    left_out = _names_of(leave_out, source) if leave_out else set()
    for name in sorted(_chosen(source, ignore)):
        path = source / name
        if any(name == one or name.startswith(f"{one}/") for one in left_out):
            continue
        if path.is_symlink() and not _stays_inside(path, source):
            if not path.is_file():
                inside = path.resolve().is_relative_to(source.resolve())
                fix = "one that is relative" if inside else f"put what it means into {source}"
                problems.append(f"{path} is a link to {path.readlink()}, which is no file. Fix: {fix}.")
                continue
            path = path.resolve()
        if problem := _problem(path, name, source):
            problems.append(problem)
        elif path.is_symlink() or path.is_file():
            found.append((name, path))
    refuse(problems)
    return found


def refuse(problems: Sequence[str]) -> None:
    """Raise AnsibleActionFail with all that is wrong, the first of many."""
    if problems:
        more = [f"… and {len(problems) - SAID} more."] if len(problems) > SAID else []
        raise AnsibleActionFail("\n".join([*problems[:SAID], *more]))


def _problem(path: Path, name: str, source: Path) -> str:
    """Return why the content of a file cannot be had; empty where it can, and for what is no file."""
    if not os.path.lexists(path):
        return (
            f"{path} is not there, though git has it. Fix: `git sparse-checkout disable` in {source}, "
            f"or `ignore: [/{name}]` of the app."
        )
    if path.is_symlink() or not path.is_file():
        return ""
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read. Fix: its mode, or `ignore: [/{name}]` of the app."
    with path.open("rb") as file:
        if file.read(len(ENCRYPTED)) == ENCRYPTED:
            return (
                f"{path} is encrypted by git-crypt. Fix: `git-crypt unlock` in {source}; for a source that git fetches, a clone of "
                f"your own in which that was done; or `ignore: [/{name}]` of the app."
            )
    if path.stat().st_size < LARGEST_POINTER and path.read_bytes().startswith(POINTER):
        return (
            f"{path} is a pointer of Git LFS in place of the file. Fix: `git lfs pull` in {source}; for a source that git "
            f"fetches, a clone of your own in which that was done; or `ignore: [/{name}]` of the app."
        )
    return ""


def source_tree(folder: Path) -> list[tuple[str, Path]]:
    """Return (name, path) of all that is in a folder that was made here, but for compiled code."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    # A module of its own without its text stays, as some sell them.
    names = [(path.relative_to(folder).as_posix(), path) for path in paths if path.parent.name != "__pycache__"]
    # uv's own.
    return sorted(pair for pair in names if pair[0] != ".lock")


def written_here(name: str) -> bool:
    """Say whether a file is one that programs make on a machine for themselves, or that holds its secrets."""
    *folders, last = name.split("/")
    if ENVIRONMENT.fullmatch(last) or EDITED.fullmatch(last):
        return True
    return last.endswith(".pyc") or any(part in LEFT_OUT or part.endswith(".egg-info") for part in (*folders, last))


def _names_of(folder: Path, source: Path) -> set[str]:
    """Return what a folder is called in a source, whichever links lead to the two: where it is, and where it is named."""
    home = source.resolve()
    places = (folder.resolve(), folder.parent.resolve() / folder.name)
    return {place.relative_to(home).as_posix() for place in places if home in place.parents}


def covers(pattern: str, name: str) -> bool:
    """Say whether a pattern, as gitignore(5) has them, means a file or a folder above it."""
    path = PurePosixPath(name)
    above = [str(one) for one in (path, *path.parents)][:-1]
    if pattern.endswith("/"):
        # Folders only.
        del above[0]
    # As fnmatch(3) has them in Python: [!a] for [^a], and [*] for a star that is one.
    pattern = re.sub(r"\\(.)", r"[\1]", pattern.rstrip("/").replace("[^", "[!"))
    whole, pattern = "/" in pattern, pattern.lstrip("/")
    if whole:
        return any(_means(pattern.split("/"), one.split("/")) for one in above)
    return any(fnmatchcase(one.rpartition("/")[2], pattern) for one in above)


def _means(pattern: list[str], names: list[str]) -> bool:
    """Say whether a pattern, part by part, means a path: `**` is any number of folders, and none, or at its end all in one."""
    if not pattern or pattern == ["**"]:
        return bool(names) == bool(pattern)
    if pattern[0] == "**":
        return any(_means(pattern[1:], names[start:]) for start in range(len(names)))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _means(pattern[1:], names[1:])


def _chosen(source: Path, ignore: Sequence[str]) -> set[str]:
    """Return the names of what is to go into the release."""
    bring_back = any(pattern.startswith("!") for pattern in ignore)
    if in_git(source):
        tracked, others, hidden = _as_git_shows(source, bring_back)
    else:
        tracked, others, hidden = [], _walked(source, "", bring_back), []
    if not tracked and not others:
        # A folder that git ignores as a whole.
        others = _walked(source, "", bring_back)
    made = _environments([*others, *hidden]) | _built([*tracked, *others])
    chosen = {name for name in tracked if not name.endswith(".pyc")}
    chosen |= {name for name in others if not (written_here(name) or any(name.startswith(one) for one in made))}
    for pattern in ignore:
        if pattern.startswith("!"):
            chosen |= {name for name in (*tracked, *others, *hidden) if covers(pattern[1:], name)}
        else:
            chosen = {name for name in chosen if not covers(pattern, name)}
    return chosen


def _environments(names: Iterable[str]) -> set[str]:
    """Return the folders, with a slash at their end, that are virtual environments (PEP 405)."""
    return {name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg")}


def _built(names: Sequence[str]) -> set[str]:
    """Return the folder `build/` where setuptools has made it."""
    made = any(name.startswith(("build/lib", "build/bdist.")) for name in names)
    return {"build/"} if made and any(name in names for name in PROJECT) else set()


def _walked(source: Path, below: str, everything: bool) -> list[str]:
    """Return the names of all files and links below a folder, without what is version control's, or never wanted."""

    def refuse(error: OSError) -> None:
        raise AnsibleActionFail(
            f"{error.filename} cannot be read: {error.strerror}. Fix: its mode, or what it is doing in {source}."
        )

    found = []
    for folder, folders, files in os.walk(source / below, onerror=refuse):
        folders[:] = [name for name in folders if name not in (OF_GIT if everything else LEFT_OUT)]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [Path(folder, name).relative_to(source).as_posix() for name in (*files, *links) if name not in OF_GIT]
    return found


def _as_git_shows(source: Path, everything: bool, below: str = "") -> tuple[list[str], list[str], list[str]]:
    """Return the names of what git has, of what it would take, and of what it ignores (only with `everything`).

    Repositories inside it are taken in as they show their own files. What git has may be missing where that was deleted,
    and is then left out, or where git was told to leave it out (`S`), which nobody said of a release.
    """
    lists: tuple[list[str], list[str], list[str]] = ([], [], [])
    options = [("--cached", "-t"), ("--others", "--exclude-standard"), ("--others", "--ignored", "--exclude-standard")]
    for found, option in zip(lists, options if everything else options[:2], strict=False):
        for raw in git(source / below, "ls-files", "-z", *option).split(b"\0"):
            name = os.fsdecode(raw[2:] if "-t" in option else raw).rstrip("/")
            path = source / below / name
            skipped = "-t" in option and raw.startswith(b"S ")
            if not name or not (skipped or os.path.lexists(path)):
                continue
            if path.is_dir() and not path.is_symlink():
                _take_in(source, lists, f"{below}{name}/", everything)
            else:
                found.append(f"{below}{name}")
    return lists


def _take_in(source: Path, lists: tuple[list[str], ...], below: str, everything: bool) -> None:
    """Add the files of a repository inside another one to the lists."""
    inner = source / below
    if not (inner / ".git").exists():
        if not any(inner.iterdir()):
            raise AnsibleActionFail(
                f"{inner} is a submodule that is not there. Fix: `git submodule update --init` in {source}; "
                "or, for a source that git fetches, a clone of your own with its submodules."
            )
        lists[1].extend(_walked(source, below, everything))
        return
    for mine, its in zip(lists, _as_git_shows(source, everything, below), strict=True):
        mine.extend(its)


def _stays_inside(link: Path, source: Path) -> bool:
    target = link.readlink()
    return not target.is_absolute() and Path(os.path.normpath(link.parent / target)).is_relative_to(source)
