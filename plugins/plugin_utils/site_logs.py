"""Lines of many hosts as one log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What M(flask_logs) returned, by host.
Answers = Mapping[str, Mapping[str, Any]]
HAPROXY = "haproxy.service"
# HAProxy's `option httplog` (configuration manual, section 8.2.3): client [accepted] frontend backend/server timers status …
ACCESS = re.compile(r"\S+ \[[^]]+\] \S+ (\S+)/(\S+) (?:[-+\d]+/){4}\+?(\d+) (\d{3}) ")

# Control characters but the tab, what else ends a line, what turns the order of letters round, and halves of letters.
WORKING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def is_of(app: str, line: Mapping[str, Any]) -> bool:
    """Say whether a line is of an app: all but those of requests that went elsewhere, which a balancer has logged."""
    access = ACCESS.search(line["text"]) if line["unit"] == HAPROXY else None
    return not (app and access) or access[1] == app


def log_lines(found: Answers, request: str = "", app: str = "") -> list[str]:
    """Return the lines of all hosts by time; with the id of a request its way, the balancer's line of it first.

    That is written when the request has ended, and says where it went. With an app, those of it.
    """
    entries = [
        (not (request and line["unit"] == HAPROXY), line["time"], host, line)
        for host, one in found.items()
        for line in one.get("lines", [])
        if is_of(app, line)
    ]
    entries.sort(key=lambda entry: entry[:2])
    width = max((len(host) for *_, host, _ in entries), default=0)
    names = max((len(_unit(line["unit"])) for *_, line in entries), default=0)
    return [
        f"{_moment(line['time'])} {host:{width}} {_unit(line['unit']):{names}}  {_harmless(text)}"
        for *_, host, line in entries
        for text in re.split(r"\r?\n", line["text"].rstrip("\r\n"))
    ]


def way(found: Answers) -> Iterator[str]:
    """Yield, in words, where the balancers sent what their lines are about."""
    for host, one in found.items():
        for line in one.get("lines", []):
            if line["unit"] == HAPROXY and (access := ACCESS.search(line["text"])):
                backend, server, took, status = access.groups()
                where = f"to {backend}/{server}" if server != "<NOSRV>" else "nowhere"
                yield f"{host} sent it {where}, which ended with {status} after {took} ms."


def log_text(found: Answers, request: str, silent: Sequence[tuple[str, str]], app: str = "") -> str:
    """Return it all as text; `silent` are hosts that did not answer, and why."""
    lines = log_lines(found, request, app)
    if request:
        lines = [*way(found), *lines]
    if not lines and len(silent) < len(found):
        lines = [f"No line{f' has {request}' if request else ''} in that time. Fix: an earlier since, like -1h."]
    elif (
        app
        and len(silent) < len(found)
        and not any(_own(app, line) for one in found.values() for line in one.get("lines", []))
    ):
        lines.append(
            f"No line is of {app} itself in that time. Fix: an earlier since, like -1h, or the name of another app."
        )
    return "\n".join([*lines, *(f"No answer of {host}: {why}" for host, why in silent)])


def _own(app: str, line: Mapping[str, Any]) -> bool:
    """Say whether an app has written a line, or a balancer of a request to it."""
    access = ACCESS.search(line["text"]) if line["unit"] == HAPROXY else None
    return access[1] == app if access else line["unit"].startswith(f"flask-{app}@")


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when)) + f".{int(when * 1000) % 1000:03}"


def _harmless(text: str) -> str:
    """Return a text of whoever wrote it for a terminal, on which it is not to work."""
    return WORKING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _unit(unit: str) -> str:
    return unit.removesuffix(".service").removeprefix("flask-") if "@" in unit else unit.removesuffix(".service")
