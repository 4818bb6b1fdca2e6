"""What is wrong with the commands of an app, its processes and timers, its Debian packages and the paths of its state."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import app_keys
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import mapping_problems

# A part of the name of a unit, in which `-` is before the number of a process, and `check` is the unit of the import.
NAME = re.compile(r"(?!check$)[a-z][a-z0-9_]{0,30}")
CALENDAR = re.compile(r"[A-Za-z0-9*:/,.~+ _-]+")
STATE = re.compile(r"(?!\.+(/|$))[A-Za-z0-9._-]+(/(?!\.+(/|$))[A-Za-z0-9._-]+)*")
# Debian Policy, section 5.6.1.
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~*-]+)?")
# What would be an argument like any other.
FOR_A_SHELL = re.compile(r"&&?|\|[|&]?|<|[012&]?>{1,2}\S*|;|[^'\"\\]*[^'\"\\;];|[^'\"\\]*(\$[A-Za-z_{(]|`)[^'\"]*")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SHELL = "`sh -c '…'` is how a shell reads it"


def _as_written(command: str) -> list[str]:
    """Return the words of a command with their quotes; what is in some is meant as it is."""
    try:
        return shlex.split(command, posix=False)
    except ValueError:  # in these rules, which know no quote after a backslash
        return []


def command_fix(command: Any) -> str:  # noqa: ANN401 (it is what a user wrote)
    """Return how a command is mended, empty for one that can be run."""
    # A block of YAML (`>`) ends in a line end.
    if not isinstance(command, str) or "\n" in command.rstrip("\n") or "\0" in command:
        return f"one line of text; {SHELL}"
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"close what is open ({error})"
    if words and ASSIGNMENT.match(words[0]):
        return f"`env {words[0].partition('=')[0]}=…` before it, or the key environment"
    if meant := next((word for word in _as_written(command) if FOR_A_SHELL.fullmatch(word)), ""):
        return f"a command without {meant}, which a shell alone understands; {SHELL}"
    return "" if words else "one line of text"


def entry_problems(app: App) -> Iterator[tuple[str, str]]:
    """Yield (key, problem) for entries of an app that are mappings of their own, and not as their description says."""
    for key in ("processes", "timers"):
        entries = app.get(key, [])
        if not isinstance(entries, list):
            yield key, f"{key} is {entries!r}. Fix: write a list."
            continue
        for index, entry in enumerate(entries):
            where = f"{key}[{index}]"
            if not isinstance(entry, dict):
                yield key, f"{where} is {entry!r}. Fix: a mapping, beginning with `- name: …`."
                continue
            yield from ((key, problem) for problem in mapping_problems(where, entry, app_keys()[key], ranges=True))
            # To YAML, 12:30 is a number, 750.
            calendar = entry.get("calendar")
            if isinstance(calendar, (int, float)) and not isinstance(calendar, bool):
                yield key, f"{where}.calendar is {calendar!r}, a number to YAML. Fix: put it in quotes, like '03:00'."


def command_problems(app: App) -> Iterator[str]:
    """Yield what is wrong with the commands of a complete app."""
    release = app["release_command"]
    for command in release if isinstance(release, list) else [release]:
        if fix := command_fix(command):
            yield f"release_command has {command!r}. Fix: {fix}."
    if app["notify_command"] and (fix := command_fix(app["notify_command"])):
        yield f"notify_command is not shown. Fix: {fix}."
    seen: set[str] = set()
    for key in ("processes", "timers"):
        for entry in app[key]:
            name = entry["name"]
            if not NAME.fullmatch(name):
                yield f"{key} has the name {name!r}. Fix: a-z, 0-9 and _, beginning with a letter, and not check."
            if name in seen:
                yield f"{key} has the name {name!r} a second time. Fix: one name for each of processes and timers."
            seen.add(name)
            if fix := command_fix(entry["command"]):
                yield f"{key}.{name}.command is {entry['command']!r}. Fix: {fix}."
            if not 1 <= entry["stop_timeout"] <= 86400:
                yield f"{key}.{name}.stop_timeout is {entry['stop_timeout']}. Fix: a number from 1 to 86400."
            if not 1 <= entry.get("instances", 1) <= 200:
                yield f"{key}.{name}.instances is {entry['instances']}. Fix: a number from 1 to 200."
            if not CALENDAR.fullmatch(entry.get("calendar", "03:00")):
                yield f"{key}.{name}.calendar is {entry['calendar']!r}. Fix: a time of systemd.time(7), like 03:00."
    for package in app["apt"]:
        if not isinstance(package, str) or not PACKAGE.fullmatch(package):
            yield f"apt has {package!r}. Fix: the name of a Debian package, like ffmpeg."
    yield from _state_problems(app["state_paths"])


def _state_problems(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if not STATE.fullmatch(path):
            yield f"state_paths has {path!r}. Fix: a folder of the source, like instance or shop/uploads."
        # A release has a link for each; one would have to be made inside of another, which is in the state.
        for outer in {one for one in paths if path.startswith(f"{one}/")}:
            yield f"state_paths has {outer} and, in it, {path}. Fix: leave out the latter; what lies in a folder is kept with it."
