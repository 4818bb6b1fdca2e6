"""What can be said of an app's source on the control node without importing it, which may need another Python."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.compiled import GLIBC
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import without_secrets
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.origins import (
    FORMS,
    PINNED,
    WHEEL,
    is_package,
    local_repository,
    repository,
    repository_problems,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.release_project import has_module
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.requirements import Requirements

# The Python of the newest hosts.
NEWEST = max(tuple(map(int, version.split("."))) for version in GLIBC)
# A clone has no such file where git ignores it.
OF_FILES = frozenset(
    (".db", ".sqlite", ".sqlite3", ".json", ".log", ".ini", ".txt", ".csv", ".yml", ".yaml", ".toml", ".pid")
)
WSGI = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<callable>[A-Za-z_]\w*)(?P<factory>\(\))?")


def flask_source(source: str, inventory: str | None) -> str:
    """Return an app's source with its path in full; a relative one starts at the inventory's folder.

    An inventory that is no file (`-i host,`) has none; then it is the folder that Ansible was started in.
    """
    folder = str(inventory or Path.cwd())
    if source.startswith("git+"):
        return local_repository(source, folder)
    # `/project/deploy/..` is said as `/project`.
    path = os.path.normpath(Path(folder, os.path.expanduser(source)))  # noqa: PTH111 (which leaves unknown users be)
    return source if is_package(source) and not os.path.lexists(path) else path


def source_problems(app: dict[str, Any], inventory: str | None) -> Iterator[str]:
    """Yield what is wrong with the source of an app in an inventory of some folder, as far as nothing has to be fetched."""
    try:
        yield from build_problems(app["build"])
        yield from _problems(app, inventory)
    except (OSError, ValueError) as error:
        # A name that no file can have, a folder that may not be looked into.
        yield f"source is {without_secrets(app['source'])[:200]!r}, which cannot be looked at: {error}. Fix: {FORMS}."


def _problems(app: dict[str, Any], inventory: str | None) -> Iterator[str]:
    found = flask_source(app["source"], inventory)
    shown, source = without_secrets(app["source"]), Path(found)
    if not app["source"].strip():
        # It would be the inventory's folder, with all that is secret in it.
        yield f"source is {app['source']!r}. Fix: {FORMS}."
        return
    from_git = repository(found)
    if from_git:
        for part in filter(None, app["source"].partition("#")[2].split("&")):
            if not part.startswith(("subdirectory=", "egg=")):
                yield f"source is {shown!r}; {part!r} means nothing there. Fix: #subdirectory=FOLDER, or nothing after the ref."
        for problem in repository_problems(from_git):
            yield f"source is {shown!r}; {problem}. Fix: {FORMS}."
        return
    if found == app["source"] and is_package(found):
        if not PINNED.fullmatch(found):
            yield f"source is {shown!r}, which leaves its version open. Fix: one version, like httpbin==0.10.2."
        yield from _package_problems(app, "package")
    elif source.suffix == ".whl" and source.is_file():
        if not WHEEL.fullmatch(source.name):
            yield f"source is {shown!r}; a wheel has its name, version and platform in its file name. Fix: its own name."
        yield from _package_problems(app, "wheel")
    elif source.is_dir():
        yield from _folder_problems(app, source)
    elif found.startswith(("http://", "https://")) or "://" in app["source"]:
        yield f"source is {shown!r}, an address. Fix: git+ before it, with @REF after it; or, of a wheel, download it first."
    else:
        seen_from = "" if os.path.isabs(app["source"]) else f", seen from {inventory or 'the current folder'}"  # noqa: PTH117
        yield f"source is {shown!r}{seen_from}; there is no folder {source}. Fix: {FORMS}."


def build_problems(names: list[str]) -> Iterator[str]:
    """Yield what is wrong with the packages that are to be built."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
            yield f"build has {name!r}. Fix: the name of a package, without a version."


def _package_problems(app: dict[str, Any], kind: str) -> Iterator[str]:
    if app["requirements"]:
        yield (
            f"requirements is {app['requirements']!r}; a {kind} says itself what it needs. Fix: leave it out; or, to choose "
            "versions, a folder as source whose requirements.txt names all of them."
        )


def _folder_problems(app: dict[str, Any], source: Path) -> Iterator[str]:
    for path in app.get("state_paths", []):
        if (source / path).is_file():
            yield (
                f"state_paths has {path!r}, a file of the source. Fix: a folder, like instance, for it to lie in; the app finds "
                "that at the same path."
            )
        elif Path(path).suffix in OF_FILES and not (source / path).is_dir():
            yield (
                f"state_paths has {path!r}, which would be a folder, and is called like a file. Fix: a folder, like instance, for "
                "the file to lie in."
            )
    for folder in app.get("static", {}).values():
        in_state = any(f"{folder}/".startswith(f"{path}/") for path in app["state_paths"])
        if isinstance(folder, str) and not in_state and not (source / folder).is_dir():
            yield f"static has {folder!r}; there is no such folder in {source}. Fix: its path in the source; build it first."
    wsgi = WSGI.fullmatch(app["wsgi"])
    try:
        wanted = Requirements(source, app["requirements"], wsgi["module"] if wsgi else "")
    except AnsibleActionFail as error:
        yield str(error)
        return
    if wsgi:
        yield from _wsgi_problems(app["wsgi"], source, wanted, (wsgi["module"], wsgi["callable"]))


def _wsgi_problems(value: str, source: Path, wanted: Requirements, target: tuple[str, str]) -> Iterator[str]:
    module, name = target
    stems = [folder.joinpath(*module.split(".")) for folder in (source, *([source / "src"] if wanted.package else []))]
    paths = [path for stem in stems for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
    if not paths:
        # What a package brings is known once it is installed, which is before any host is changed, whatever it is called.
        # A name that the source has is the source's own, unless it has packages of its own in such folders.
        elsewhere = wanted.anything() and (wanted.whole or not has_module(source, module))
        if not (wanted.package or wanted.names_module(module) or elsewhere):
            yield (
                f"wsgi is {value!r}; {source} has no module {module}. Fix: the module that holds the application, "
                "or in the requirements the package that has it."
            )
        return
    path = paths[0]
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        names = {*_bound_names(tree), *_bound_elsewhere(tree)}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, SyntaxError) and sys.version_info < NEWEST:
            # The Python of a host may know it; the import that proves a release finds what it does not.
            return
        yield f"wsgi is {value!r}; {path} is not valid Python: {error or type(error).__name__}. Fix: that line."
    except OSError as error:
        yield f"wsgi is {value!r}; {path} cannot be read: {error.strerror}. Fix: its mode."
    else:
        if not names & {name, "*"}:
            yield f"wsgi is {value!r}; nothing called {name} is defined in {path}. Fix: the name of the application there."


def _bound_elsewhere(tree: ast.AST) -> Iterator[str]:
    """Yield the names that functions bind in their module; `*` where only running it tells."""
    if any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in ast.iter_child_nodes(tree)):
        yield "*"
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Name) and node.id in ("globals", "exec", "vars", "setattr"):
            yield "*"


def _bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names a module binds, also inside `if`, `try` and `with`; `*` where a star import hides them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name
        else:
            yield from _bound_names(node)
