"""The health check of an app: a path that answers 200, or a mapping that says more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.durations import MOST_DAYS, is_duration

KEYS = ("path", "status", "headers", "interval")
PATH = re.compile(r"/[A-Za-z0-9._~!&*+,;=:@%/-]*")
STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?(,[1-5]\d\d(-[1-5]\d\d)?)*")
HEADER = re.compile(r"[A-Za-z0-9-]+")
MOST_HEADERS = 16
INTERVAL = re.compile(r"[1-9][0-9]*(ms|s|m)")


def flask_health(health: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return {path, status, headers, host, interval}: what is asked for and what is expected; an empty text is the default."""
    given: Mapping[str, Any] = health if isinstance(health, Mapping) else {"path": health}
    headers: dict[str, str] = dict(given.get("headers") or {})
    return {
        "path": given.get("path", "/health"),
        "status": str(given.get("status", "200")).replace(" ", ""),
        "headers": {name: value for name, value in headers.items() if str(name).lower() != "host"},
        "host": next((value for name, value in headers.items() if str(name).lower() == "host"), ""),
        "interval": str(given.get("interval", "")),
    }


def backend_health(health: str | Mapping[str, Any], hostnames: Sequence[str]) -> dict[str, Any]:
    """Return what a backend is told of the health check of its app, for which its first host name is asked."""
    check = flask_health(health)
    return {"health": check["path"], "health_host": check["host"] or [*hostnames, "localhost"][0]} | {
        f"health_{key}": check[key] for key in ("status", "headers", "interval")
    }


def _ranges(status: str) -> list[tuple[str, str, str]]:
    """Return the ranges in a list of them and of single ones."""
    return [one.partition("-") for one in status.split(",") if "-" in one]


def health_problems(health: Any) -> Iterator[str]:  # noqa: ANN401 (it is what a user wrote)
    """Yield what is wrong with the health check of an app."""
    if not isinstance(health, (str, Mapping)):
        yield f"health is {health!r}. Fix: a path that begins with /, like /health, or a mapping with {', '.join(KEYS)}."
        return
    where = "health.path" if isinstance(health, Mapping) else "health"
    for key in health if isinstance(health, Mapping) else ():
        if key not in KEYS:
            yield f"health has the key {key!r}. Fix: one of {', '.join(KEYS)}."
    headers = health.get("headers") if isinstance(health, Mapping) else None
    if headers is not None and not isinstance(headers, Mapping):
        yield f"health.headers is {headers!r}. Fix: a mapping, like {{X-Forwarded-Proto: https}}."
        return
    found = flask_health(health)
    if not isinstance(found["path"], str) or not PATH.fullmatch(found["path"]):
        yield f"{where} is {found['path']!r}. Fix: a path that begins with /, without a query, like /health."
    if not STATUS.fullmatch(found["status"]) or any(low > high for low, _, high in _ranges(found["status"])):
        yield f"health.status is {found['status']!r}. Fix: a status, a range of them, or several, like 200, 200-299 or 200,302."
    if len(headers or {}) > MOST_HEADERS:
        yield f"health.headers has {len(headers or {})} entries. Fix: at most {MOST_HEADERS}; a line of HAProxy has room for them."
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not HEADER.fullmatch(name):
            yield f"health.headers has {name!r}. Fix: the name of a header, like X-Forwarded-Proto."
        elif not isinstance(value, str) or not re.fullmatch(r"[ -~]+", value):
            yield f"health.headers.{name} is no line of ASCII text (value not shown). Fix: one line of text, in quotes."
    if found["interval"] and not (INTERVAL.fullmatch(found["interval"]) and is_duration(found["interval"])):
        fix = f"a number with a unit, like 500ms, 5s or 1m, of at most {MOST_DAYS} days"
        yield f"health.interval is {found['interval']!r}. Fix: {fix}."
