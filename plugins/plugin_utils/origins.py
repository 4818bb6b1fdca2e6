"""Where an app's source comes from: a folder, a wheel, a commit of a git repository, or a package of the index."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import git, state, without_secrets
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.who import token

PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?\s*===?\s*[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# The file name of a wheel (PEP 427).
WHEEL = re.compile(r"[^-/]+-[^-/]+(-\d[^-/]*)?-[^-/]+-[^-/]+-[^-/]+\.whl")
# A package without a version, or with a range of them.
UNPINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*([~!<>]=|[<>]).*")
REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
KEEP_CHECKOUTS = 10
FORMS = (
    "a folder or a wheel on this machine, git+URL@REF (with #subdirectory=FOLDER), or a package of the index with its "
    "version, like httpbin==0.10.2"
)


class Repository(NamedTuple):
    """A source in git: `url` may be a path; `ref` is empty for the default branch, `folder` for all of it."""

    url: str
    ref: str
    folder: str


def repository(source: str) -> Repository | None:
    """Return what `git+URL@REF#subdirectory=FOLDER` names (as pip writes it); None for a source of another kind."""
    if not source.startswith("git+"):
        return None
    address, _, fragment = source.removeprefix("git+").partition("#")
    folder = next((part.partition("=")[2] for part in fragment.split("&") if part.startswith("subdirectory=")), "")
    # The name of a user comes before the path.
    at = address.find("/", address.find("://") + 3) if "://" in address else address.find(":") if "@" in address else 0
    head, path = address[: max(at, 0)], address[max(at, 0) :]
    path, _, ref = path.rpartition("@") if "@" in path else (path, "", "")
    # HEAD by name would be that of the mirror here, which follows nobody.
    return Repository(head + path, "" if ref == "HEAD" else ref, folder.strip("/"))


def repository_problems(found: Repository) -> Iterator[str]:
    """Yield what is wrong with how a repository is named."""
    if not found.url or found.url.startswith("-"):
        yield "there is no repository after git+"
    if found.ref and not REF.fullmatch(found.ref):
        yield f"{found.ref!r} is no branch, tag or commit"
    if ".." in Path(found.folder).parts:
        yield "subdirectory leaves the repository"
    if "://" not in found.url and ":" not in found.url and not Path(found.url).is_dir():
        yield f"there is no folder {found.url}"


def is_package(source: str) -> bool:
    """Say whether a source is written as a package of the index is, with its version."""
    return bool(PINNED.fullmatch(source) or UNPINNED.fullmatch(source))


class Origin(NamedTuple):
    """A source that was looked up.

    `folder` holds the app's files, and is None where the app is a package, which then is `requirement`, and `wheel` its file.
    `resolved` is what the source turned out to be, for the record.
    """

    folder: Path | None
    requirement: str
    wheel: Path | None
    resolved: dict[str, str]


def origin(source: str, cache: Path, leave_out: Path | None = None) -> Origin:
    """Look a source up, an absolute path if it is one, `leave_out` being a folder that is no part of it.

    What git fetches is kept below `cache`.
    """
    found = repository(source)
    if found:
        problem = next(repository_problems(found), "")
        if problem:
            raise AnsibleActionFail(f"source is {without_secrets(source)!r}; {problem}. Fix: {FORMS}.")
        return _from_git(found, cache)
    if PINNED.fullmatch(source):
        return Origin(None, source, None, {"package": re.sub(r"\s", "", source)})
    path = Path(source).expanduser()
    if path.suffix == ".whl" and path.is_file():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Origin(None, f"./{path.name}", path, {"wheel": path.name, "sha256": digest})
    if not path.is_dir():
        raise AnsibleActionFail(f"source is {source}, which is no folder. Fix: {FORMS}.")
    return Origin(path, "", None, state(path, leave_out))


def _from_git(found: Repository, cache: Path) -> Origin:
    home = cache / "git" / hashlib.sha256(found.url.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        commit = _resolve(found, home)
        checkout = home / commit
        if not checkout.is_dir():
            _check_out(home, commit)
        os.utime(checkout)
        kept = sorted(
            (one for one in home.iterdir() if COMMIT.fullmatch(one.name)), key=lambda one: one.stat().st_mtime
        )
        for old in kept[:-KEEP_CHECKOUTS]:
            shutil.rmtree(old)
    folder = checkout / found.folder
    if not folder.is_dir() or not folder.resolve().is_relative_to(checkout.resolve()):
        raise AnsibleActionFail(
            f"{without_secrets(found.url)} has no folder {found.folder} in its commit {commit[:12]}. Fix: #subdirectory="
        )
    return Origin(
        folder, "", None, {"repository": without_secrets(found.url), "ref": found.ref or "HEAD", "commit": commit}
    )


def _resolve(found: Repository, home: Path) -> str:
    """Return the commit that a ref means, the same for all hosts of a run."""
    mirror, chosen = home / "mirror", home / "chosen"
    if not mirror.is_dir():
        git(home, "init", "--quiet", "--bare", "mirror")
    if COMMIT.fullmatch(found.ref) and (commit := _commit(mirror, found.ref)):
        return commit
    # Tasks run in children of the process that is the run.
    run = f"{token(os.getppid())} {found.ref}"
    lines = chosen.read_text(encoding="utf-8").splitlines() if chosen.is_file() else []
    for line in lines:
        if line.rpartition(" ")[0] == run:
            return line.rpartition(" ")[2]
    _fetch(found, mirror)
    names = [f"refs/heads/{found.ref}", f"refs/tags/{found.ref}", found.ref] if found.ref else ["refs/the/head"]
    for name in names:
        if commit := _commit(mirror, name):
            chosen.write_text("\n".join([*lines[-50:], f"{run} {commit}"]) + "\n", encoding="utf-8")
            return commit
    raise AnsibleActionFail(
        f"{without_secrets(found.url)} has no branch, tag or commit {found.ref}. Fix: one that is there, in `source`."
    )


def _fetch(found: Repository, mirror: Path) -> None:
    wanted = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
    if not found.ref:
        # A repository may have a HEAD that names no branch of it, which matters to nobody who names one.
        wanted.append("+HEAD:refs/the/head")
    # Of a clone without its history, as CI makes them, git would else pass over the branches, without a word.
    options = ["--quiet", "--force", "--prune", "--update-shallow", "--no-write-fetch-head"]
    problem = f"{without_secrets(found.url)}, the source of an app, cannot be fetched"
    git(mirror, "fetch", *options, "--", found.url, *wanted, problem=problem)


def _commit(mirror: Path, name: str) -> str:
    try:
        return (
            git(mirror, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        )
    except AnsibleActionFail:
        return ""


def _check_out(home: Path, commit: str) -> None:
    """Make a folder of a commit, complete or not at all."""
    incoming = home / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    git(home, "clone", "--quiet", "--shared", "--no-checkout", "mirror", str(incoming))
    # A commit that no branch has comes along only where objects are shared, which those without their history are not.
    git(incoming, "fetch", "--quiet", "--update-shallow", "origin", "+refs/the/*:refs/the/*")
    git(incoming, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit)
    incoming.rename(home / commit)


def local_repository(source: str, folder: str) -> str:
    """Return a source in git with a path in it seen from a folder; others as they are."""
    found = repository(source)
    if found is None or urlsplit(found.url).scheme or ":" in found.url.partition("/")[0]:
        return source
    path = os.path.normpath(Path(folder, os.path.expanduser(found.url)))  # noqa: PTH111 (which leaves unknown users be)
    return (
        f"git+{path}"
        + (f"@{found.ref}" if found.ref else "")
        + (f"#subdirectory={found.folder}" if found.folder else "")
    )
