"""What git says of a folder on the control node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ansible.errors import AnsibleActionFail

# Somebody else's repository may be read, and runs nothing of its own meanwhile (git-config(1)).
READ_ONLY = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "gc.auto=0")
NETWORK = 900.0  # seconds
# An address with a scheme, or the short form of ssh's, `host:path` (git-clone(1), GIT URLS); other ones are paths.
REMOTE = re.compile(
    r"(?:[\w+.-]+://(?:[^/]*@)?(?P<host>\[[^]]+\]|[^:/]+)(?::\d+)?/|(?:[^/@]*@)?(?P<scp>\[[^]]+\]|[^:/]+):)/*"
    r"(?P<path>.+?)(?:\.git)?/*"
)


def git(folder: Path, *arguments: str, problem: str = "") -> bytes:
    """Return what git prints in a folder; raise AnsibleActionFail with its words where it fails, `problem` before them."""
    # A hook of git has some that mean its own repository.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    # Nobody is there to answer a question. Of Git LFS, nothing can be had by way of the mirror; its pointers are refused by name.
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
    command = [_program(folder), *READ_ONLY, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=NETWORK
        )
    except subprocess.TimeoutExpired:
        raise AnsibleActionFail(f"`git {arguments[0]}` in {folder} was not done after {NETWORK:g} s.") from None
    if done.returncode:
        words = without_secrets(done.stderr.decode(errors="replace").strip())
        raise AnsibleActionFail(
            f"{problem or f'`git {arguments[0]}` failed in {folder}'}: {words or done.returncode}. Fix: what it says."
        )
    return done.stdout


def without_secrets(text: str) -> str:
    """Return a text without what addresses in it have of names and passwords."""
    return re.sub(r"(https?://)[^/\s]+@", r"\1", text)


def in_git(folder: Path) -> bool:
    """Say whether a folder is in a work tree of git."""
    return any((one / ".git").exists() for one in (folder, *folder.parents))


def state(folder: Path, but: Path | None = None) -> dict[str, str]:
    """Return {commit} of a folder in git, with {changed: yes} where its files are not those of the commit; empty without one.

    Files in the folder `but`, where that lies in it, are not looked at. AnsibleActionFail where git cannot say.
    """
    if not in_git(folder):
        return {}
    try:
        commit = git(folder, "rev-parse", "--verify", "HEAD").decode().strip()
    except AnsibleActionFail:  # there is no commit yet
        return {}
    home = folder.resolve()
    left_out = but.resolve().relative_to(home) if but and home in but.resolve().parents else None
    paths = [".", *([f":(exclude,literal){left_out}"] if left_out else [])]
    changed = git(folder, "status", "--porcelain", "--untracked-files=normal", "--", *paths)
    # What git was told not to look at (skip-worktree, assume-unchanged) may be anything.
    changed = changed or b"\n".join(
        re.findall(rb"^[Sa-z] .*", git(folder, "ls-files", "-v", "--", *paths), re.MULTILINE)
    )
    return {"commit": commit} | ({"changed": "yes"} if changed else {})


def address(folder: Path) -> str:
    """Return where the repository is from that a folder is in, without scheme, user, password and port, and the folder there.

    It is the same for every clone, however it was made; without a remote, it is the machine and the folder.
    """
    home = folder.resolve()
    try:
        remote = git(home, "remote", "get-url", "origin").decode().strip() if in_git(home) else ""
        below = git(home, "rev-parse", "--show-prefix").decode().strip() if remote else ""
    except AnsibleActionFail:  # there is none, or no git
        remote = ""
    found = re.fullmatch(REMOTE, remote)
    if found is None or remote.startswith("file:"):
        return f"{os.uname().nodename}:{home}"
    host, path = found["host"] or found["scp"], found["path"]
    return f"{host.lower()}/{path}/{below}".rstrip("/")


def version(folder: Path) -> str:
    """Return the version (PEP 440) that the last tag of a folder in git gives it; empty where it is not in git."""
    if not state(folder):
        return ""
    try:
        shown = git(folder, "describe", "--tags", "--long", "--match", "*[0-9]*").decode().strip()
    except AnsibleActionFail:  # there is no such tag
        shown = ""
    found = re.fullmatch(r"\D*(\d+(?:\.\d+)*)-(\d+)-g([0-9a-f]+)", shown)
    if found is None:
        return f"0+g{git(folder, 'rev-parse', '--short=12', 'HEAD').decode().strip()}"
    return found[1] if found[2] == "0" else f"{found[1]}.post{found[2]}+g{found[3]}"


def times(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return {name: time of the last commit that changed it} of unchanged files, in seconds of the epoch.

    It is the same on all machines, and later whenever a file is another one. Merges count as changes of what they bring.
    """
    if not state(folder):
        return {}
    changed = set(
        git(folder, "diff", "--name-only", "--relative", "HEAD").decode(errors="surrogateescape").splitlines()
    )
    wanted, when = set(names) - changed, 0
    found: dict[str, int] = {}
    shown = git(
        folder,
        "log",
        "--first-parent",
        "-m",
        "--no-renames",
        "--relative",
        "--name-only",
        "--format=%x00%ct",
        "--",
        ".",
    )
    for line in shown.decode(errors="surrogateescape").splitlines():
        if line.startswith("\0"):
            when = int(line[1:])
        elif line in wanted:
            found.setdefault(line, when)
    return found


def _program(folder: Path) -> str:
    found = shutil.which("git")
    if found is None:
        raise AnsibleActionFail(f"{folder} needs git, which is not installed on this machine. Fix: install git.")
    return found
