"""What the modules of this collection return about instances, put into lines: the way of one, and what all are on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

MANY = 6  # instances, from which on they are counted, not named


def took(seconds: float) -> str:
    """Return a time in words."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f} s" if seconds < 60 else f"{minutes} min {rest} s"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts in words."""
    return ", ".join(f"{count} {what}" for what, count in counts.items())


class Story:
    """What one run does to one instance, from M(haproxy_server) and M(flask_instance)."""

    def __init__(self, who: str, check_mode: bool) -> None:
        self.who, self.check_mode = who, check_mode
        self.seconds: dict[str, float] = {}
        self.begins: list[str] = []
        self.ends = ""
        self.would: list[str] = []
        self.over = False

    @classmethod
    def of(cls, host: str, found: Mapping[str, Any], check_mode: bool) -> Story | None:
        """Return a new story of the instance that a result is about, nothing for a result of another kind.

        Balancers know an instance as a server, which is called after its host.
        """
        if not isinstance(found.get("seconds"), dict):
            return None
        if "server" in found:
            elsewhere = "" if found["server"].startswith(f"{host}-") else f" on {host}"
            return cls(f"{found['backend']} {found['server']}{elsewhere}", check_mode)
        return cls(f"{found['name']} {host}-{found['number']}", check_mode) if "number" in found else None

    def add(self, found: Mapping[str, Any]) -> None:
        """Go on with a result. What is done on several balancers takes as long as on all of them."""
        for what, seconds in found["seconds"].items():
            self.seconds[what] = self.seconds.get(what, 0.0) + seconds
        self.over = found.get("state") == "ready" or "removed" in self.seconds
        if found.get("left"):
            self.begins.append(f"with {found['left']} requests left")
        if found.get("state") == "drain" and found.get("was") == "last":
            self.begins.append("the only one, so requests wait")
        if found.get("state") == "ready":
            self.ends = _ending(found)
        if self.check_mode and found.get("changed"):
            self.would.append(_would(found))

    def text(self, ending: str = "") -> str:
        """Return the line, empty where nothing happened."""
        # Several balancers say the same.
        would, begins = (list(dict.fromkeys(words)) for words in (self.would, self.begins))
        if would:
            return f"{self.who}: would be {', '.join(would)}"
        times = [f"{what} {took(seconds)}" for what, seconds in self.seconds.items()]
        parts = [*times[:1], *begins, *times[1:]] if "drained" in self.seconds else [*begins, *times]
        if not parts:
            return ""
        return f"{self.who}: {', '.join([*parts, *filter(None, [ending or self.ends])])}"


def _ending(found: Mapping[str, Any]) -> str:
    """Return what M(haproxy_server) came to with `ready`."""
    if not found.get("healthy", True):
        return "not healthy yet"
    words = {"ready": "in rotation", "by hand": "stays out, by hand"}
    return "back in rotation" if found.get("changed") else words.get(found.get("was", ""), "")


def _would(found: Mapping[str, Any]) -> str:
    """Return what would be done outside check mode."""
    if "number" in found:
        return f"put on {found['deployment']}" if found.get("deployment") else "removed"
    return "drained" if found.get("state") == "drain" else "put back"


class Live:
    """What instances are on: `live` of M(flask_deployment), M(flask_stale) and M(flask_instance)."""

    def __init__(self) -> None:
        self.now: dict[tuple[str, str, int], Mapping[str, Any]] = {}
        self.before: dict[tuple[str, str, int], Mapping[str, Any]] = {}

    def learn(self, host: str, found: Mapping[str, Any]) -> None:
        """Take in a result; one without `live` says nothing."""
        if not isinstance(found.get("live"), list):
            return
        if "number" in found:
            self.now.pop((found["name"], host, found["number"]), None)
        for one in found["live"]:
            key = (found["name"], host, one["number"])
            self.now[key] = one
            self.before.setdefault(key, one)

    def lines(self) -> Iterator[str]:
        """Yield a line for each deployment that an instance is on, by app."""
        groups: dict[tuple[str, str, str], list[tuple[str, str, int]]] = {}
        for key in sorted(self.now):
            groups.setdefault((key[0], self.now[key]["deployment"], self.now[key]["release"]), []).append(key)
        for (app, deployment, release), keys in groups.items():
            since = max(self.now[key]["since"] for key in keys)
            names = [f"{key[1]}-{key[2]}" for key in keys]
            where = ", ".join(names) if len(names) <= MANY else f"{len(names)} instances"
            was = {self.before[key]["deployment"] for key in keys} - {deployment}
            yield (
                f"{app} {deployment} (release {release}) is live since "
                f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since))} on {where}"
                + (f"; before: {', '.join(sorted(was))}" if was else "")
            )
