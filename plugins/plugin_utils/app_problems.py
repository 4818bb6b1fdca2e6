"""What is wrong with an entry of `flask_apps` by itself: its keys, their types and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.access_problems import access_problems
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App, flask_bytes
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.binds import begins_section
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.command_problems import (
    command_problems,
    entry_problems,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.durations import MOST_DAYS
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.health import health_problems
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import app_keys
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.sources import WSGI
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.static_problems import static_problems
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.template_problems import readable
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import (
    mapping_problems,
    nearest,
    shown,
    type_problem,
)

# systemd allows more (systemd.unit(5)); useradd's limit of 32 characters with `flask-` before it is the tighter one.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,24}[a-z0-9]|[a-z]")
HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.I)
RANGES = {
    "port": (1024, 65535),
    "instances": (1, 200),
    "threads": (1, 256),
    "keep": (1, 100),
    "answer_timeout": (0, 86400),
    "tunnel_timeout": (0, MOST_DAYS * 86400),
    "slow_start": (0, 3600),
    # TimeoutStopSec= of 0 is for ever, and one below that is ignored (systemd.service(5)).
    "start_timeout": (1, 86400),
    "stop_timeout": (1, 86400),
    "drain_timeout": (0, 86400),
    "release_timeout": (1, 86400),
}
# systemd.resource-control(5), MemoryMax=; systemd itself has only a line in the journal for what it does not take.
MEMORY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?[KMGTPE]?|[1-9][0-9]?(\.[0-9]+)?%|infinity")
LEAST_MEMORY = 2**20
URL_PATH = re.compile(r"/[A-Za-z0-9._~!&*+,;=:@%/-]*")
# execve(2): MAX_ARG_STRLEN, 32 pages; the name, the equals sign and a zero byte count as well.
LONGEST_STRING = 131072
# A quarter of the stack's limit of 8 MB, of which a pointer for each string and our own variables are a part.
LONGEST_ALL = 2_000_000
# Settings of a unit that come from a key of the app, which others read as well.
OF_KEYS = {
    "Environment": "environment", "EnvironmentFile": "environment", "ExecStart": "wsgi", "Group": "name", "User": "name",
    "MemoryMax": "memory_max", "StateDirectory": "state_paths", "TimeoutStopSec": "stop_timeout",
}  # fmt: skip
ENVIRONMENT_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the units set themselves; an app that set it would contradict the inventory.
RESERVED_ENVIRONMENT = frozenset(
    {
        "APP_ADDRESS", "APP_DEPLOYMENT", "APP_HEALTH", "APP_HEALTH_STATUS", "APP_INSTANCE", "APP_MAX_BODY", "APP_NUMBER",
        "APP_PORT", "APP_PROCESS", "APP_RELEASE", "APP_SCRIPT_NAME", "APP_SERVER", "APP_STATIC", "APP_STOP_TIMEOUT",
        "APP_THREADS", "APP_WSGI",
        "GRANIAN_INTERFACE", "LISTEN_FDS", "LISTEN_PID", "PYTHONPATH", "STATE_DIRECTORY",
    }
)  # fmt: skip


def shape_problems(app: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield (key, problem) for each key that is unknown, missing or of another type than Ansible can make of it.

    The problem is empty where it is another's to say.
    """
    if not isinstance(app, dict):
        yield "", f"is {shown('', app)}. Fix: write a mapping, beginning with `- name: …`."
        return
    keys = app_keys()
    for key, value in app.items():
        if not readable(value):
            # Said of the variable as a whole.
            yield str(key), ""
        elif key not in keys:
            yield str(key), f"there is no key {key!r} (value {shown(key, value)}). Fix: {nearest(str(key), keys)}."
        elif keys[key].get("elements") == "dict":
            continue
        elif fix := type_problem(value, keys[key]):
            yield key, f"{key} is {shown(key, value)}. Fix: {fix}."
        elif "options" in keys[key] and isinstance(value, dict):
            yield from ((key, problem) for problem in mapping_problems(key, value, keys[key]))
    yield from entry_problems({key: value for key, value in app.items() if readable(value)})
    for key, spec in keys.items():
        if spec.get("required") and key not in app:
            yield key, f"{key} is missing. Fix: add `{key}: …`."


def value_problems(app: App) -> Iterator[str]:
    """Yield what is wrong with the values of a complete app."""
    if not NAME.fullmatch(app["name"]):
        yield (
            f"name is {app['name']!r}. Fix: at most 26 of a-z, 0-9, - and _, beginning with a letter and ending "
            "with a letter or a digit: it becomes a unit, a user and a folder."
        )
    if not WSGI.fullmatch(app["wsgi"]):
        yield f"wsgi is {app['wsgi']!r}. Fix: module:callable, like app:app, or module:factory()."
    for key, (low, high) in RANGES.items():
        if not low <= app[key] <= high:
            yield f"{key} is {app[key]}. Fix: a number from {low} to {high}."
    if app["port"] + app["instances"] - 1 > 65535:
        yield f"port is {app['port']}; {app['instances']} instances would reach beyond 65535. Fix: a lower port."
    yield from health_problems(app["health"])
    if app["path"] and (not URL_PATH.fullmatch(app["path"]) or not app["path"].rstrip("/")):
        yield f"path is {app['path']!r}. Fix: a path below /, like /api; leave it out for everything."
    elif not _is_readable(app["path"]):
        yield f"path is {app['path']!r}; no request could go there. Fix: single slashes, and %xx for printable UTF-8 only."
    if app["max_body"] and not 0 < flask_bytes(app["max_body"]) < 2**63:
        yield f"max_body is {app['max_body']!r}. Fix: bytes, or a number with K, M, G or T, like 100M; '' for no limit."
    if app["memory_max"] and not MEMORY.fullmatch(app["memory_max"]):
        yield f"memory_max is {app['memory_max']!r}. Fix: a number with K, M, G or T, like 512M, or a percentage, like 20%."
    elif (few := re.fullmatch(r"([0-9.]+)(K?)", app["memory_max"])) and float(few[1]) * 1024 ** len(
        few[2]
    ) < LEAST_MEMORY:
        yield f"memory_max is {app['memory_max']!r}, of which no Python starts. Fix: a larger unit, like {few[1]}M."
    yield from _list_problems(app)
    yield from access_problems(app)
    yield from command_problems(app)
    yield from static_problems(app)


def _list_problems(app: App) -> Iterator[str]:
    for name in app["hostnames"]:
        if not isinstance(name, str) or not HOSTNAME.fullmatch(name.removeprefix("*.")):
            yield f"hostnames has {name!r}. Fix: a host name without scheme and port, like www.example.org{_xn(name)}."
    for line in app["haproxy_extra"]:
        if not isinstance(line, str) or "\n" in line:
            yield f"haproxy_extra has {line!r}. Fix: a list of single lines."
        elif begins_section(line):
            yield (
                f"haproxy_extra has {line!r}, which begins another section. Fix: lines of a backend only; whole sections are the "
                "variable haproxy_extra of the balancers."
            )
    for key, value in app["environment"].items():
        if not isinstance(key, str):
            # To YAML, ON and 8 are none.
            yield f"environment has the key {key!r}, no text to YAML. Fix: put the name in quotes."
        elif not ENVIRONMENT_KEY.fullmatch(key):
            yield f"environment has the key {key!r}. Fix: letters, digits and _, not beginning with a digit."
        elif key in RESERVED_ENVIRONMENT:
            yield f"environment has the key {key}. Fix: another name; {', '.join(sorted(RESERVED_ENVIRONMENT))} are the unit's own."
        elif not isinstance(value, str) or "\0" in value:
            yield f"environment.{key} is no text (value not shown). Fix: put it in quotes."
        elif (size := len(f"{key}={value}".encode()) + 1) > LONGEST_STRING:
            yield (
                f"environment.{key} takes {size} bytes, and the kernel starts no process (status=203/EXEC, argument list "
                f"too long) with a variable of more than {LONGEST_STRING}. Fix: put it into a file of the source."
            )
    if (size := sum(len(f"{key}={value}".encode()) + 9 for key, value in app["environment"].items())) > LONGEST_ALL:
        yield (
            f"environment takes {size} bytes in all, and the kernel starts no process (status=203/EXEC, argument list too "
            f"long) with more than {LONGEST_ALL}. Fix: put some of it into a file of the source."
        )
    for pattern in app["ignore"]:
        bare = pattern.removeprefix("!")
        if not bare.strip("/") or re.match(r"\.\.?/|#|\s", bare) or bare != bare.rstrip():
            yield f"ignore has {pattern!r}, which means no file. Fix: a pattern of gitignore(5), like /tests or *.log."
    yield from _sandbox_problems(app["sandbox"])


def _sandbox_problems(sandbox: dict[str, Any]) -> Iterator[str]:
    for key, value in sandbox.items():
        if not isinstance(key, str) or not re.fullmatch(r"[A-Z][A-Za-z]+", key):
            yield f"sandbox has the key {key!r}. Fix: a setting of systemd.exec(5), like MemoryDenyWriteExecute."
        elif key in OF_KEYS:
            yield f"sandbox has the key {key}, of which more depends than the unit. Fix: the key {OF_KEYS[key]} of the app."
        elif not isinstance(value, (str, bool, int)) or "\n" in str(value):
            yield f"sandbox.{key} is {value!r}. Fix: true, false, a whole number or one line of text."


def _xn(name: Any) -> str:  # noqa: ANN401
    """Return what else is said of a host name that could be written in two ways."""
    return "" if str(name).isascii() else "; this one as xn--…, as the registrar has it"


def _is_readable(path: str) -> bool:
    """Say whether a path, decoded, is what an application can see: HAProxy refuses bad encodings and NUL with 400."""
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return decoded.isprintable() and "//" not in decoded and not re.search(r"%(?![0-9A-Fa-f]{2})", path)
