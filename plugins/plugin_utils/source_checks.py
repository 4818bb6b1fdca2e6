"""What a release of a source would lack: said, or refused, while nothing is built."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import in_git
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.source_files import covers, refuse, written_here

# Files that somebody may think are read.
LISTS = re.compile(r"(requirements?/[^/]+|[^/]*requirements?[^/]*)\.(txt|in)", re.IGNORECASE)

OF_DEVELOPERS = re.compile(r"dev|test|doc|lint", re.IGNORECASE)


def refuse_lost_links(files: Sequence[tuple[str, Path]], source: Path, state: Iterable[str]) -> None:
    """Refuse a link to what is there, but is no part of the release and no state either: on a host it would lead nowhere."""
    names = [name for name, _ in files]
    home, problems = source.resolve(), []
    for name, path in files:
        if not path.is_symlink() or not path.exists() or not (path.is_file() or any(path.iterdir())):
            continue
        lexical = os.path.normpath(Path(name).parent / path.readlink())
        found = path.resolve()
        real = found.relative_to(home).as_posix() if found.is_relative_to(home) else lexical
        if not any(_has([*names, *state], one) for one in (lexical, real)):
            problems.append(
                f"{source / name} is a link to {lexical}, which is not shipped. Fix: `ignore: ['!/{lexical}']` of the "
                f"app ships it, `ignore: [/{name}]` leaves the link out."
            )
    refuse(problems)


def refuse_state(app: str, source: Path, state: Iterable[str]) -> None:
    """Refuse state where a release could have no link to it; of a repository, nobody could look before."""
    problems = []
    for path in state:
        above = [outer for outer in PurePosixPath(path).parents if outer.name]
        said = f"state_paths of {app} has {path},"
        if (source / path).is_file():
            problems.append(
                f"{said} a file of its source; no host was changed. "
                "Fix: a folder, like instance, for it to lie in; the app finds that at the same path."
            )
        elif link := next((outer for outer in above if (source / outer).is_symlink()), None):
            real = os.path.normpath(link.parent / (source / link).readlink() / PurePosixPath(path).relative_to(link))
            problems.append(f"{said} and {link} is a link in its source; no host was changed. Fix: {real}.")
        elif outer := next((outer for outer in above if (source / outer).is_file()), None):
            problems.append(f"{said} and {outer} is a file of its source; no host was changed. Fix: another folder.")
    refuse(problems)


def refuse_unshipped(label: str, files: Sequence[tuple[str, Path]], source: Path, wanted: Iterable[str]) -> None:
    """Refuse what is to be installed from the source, is there, and would not be in the copy that it is installed from."""
    names, problems = [name for name, _ in files], []
    for path in sorted(wanted):
        if (source / path).exists() and not _has(names, path):
            problems.append(
                f"The requirements of {label} need {source / path}, which is not shipped; no host was changed. Fix: where git "
                f"ignores it, or `ignore` of the app leaves it out, `'!/{path}'` as the last one of `ignore`."
            )
    refuse(problems)


def _has(names: Iterable[str], path: str) -> bool:
    """Say whether a path, or something in it, is among some names, or is in one of them."""
    return path == "." or any(f"{name}/".startswith(f"{path}/") or f"{path}/".startswith(f"{name}/") for name in names)


def source_warnings(
    app: str, source: Path, files: Sequence[tuple[str, Path]], ignore: Sequence[str], listed: bool
) -> Iterator[str]:
    """Yield what is not as whoever wrote the source may think; `listed` says whether anything lists what is to be installed."""
    names = {name for name, _ in files}
    local = [] if in_git(source) else sorted(path.name for path in source.glob(".env*") if path.is_file())
    for name in local:
        if written_here(name) and name not in names and not any(covers(pattern, name) for pattern in ignore):
            yield (
                f"{source / name} is not shipped. What {app} needs of it belongs into its `environment`; "
                f"`ignore: ['!{name}']` ships the file, `ignore: [{name}]` ends this warning."
            )
    unread = sorted(name for name in names if LISTS.fullmatch(name) and not OF_DEVELOPERS.search(name))
    if unread and not listed:
        yield (
            f"{source} has {', '.join(unread[:3])} and no requirements.txt: nothing of that is installed. "
            f"Fix: `requirements: {unread[0]}` of {app}, or the one that is meant."
        )
