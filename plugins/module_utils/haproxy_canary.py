"""Canaries: a server of a backend that gets a share of its requests, how that is written, and what came of it.

The share is in the weights of the configuration, so that a reload keeps it; they are worked out anew whenever it is
written, from the servers that are in it then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_json, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_answers import rows
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import ask, processes

# {backend: {server, share, was, who, since, worker, before, earlier}}, see Counting.
CANARIES = Path("/etc/haproxy/canaries.json")
HEAVIEST = 256  # HAProxy's manual, `weight`
# HAProxy takes the last weight of a line, so that of the host stays where it is.
OURS = re.compile(r" weight \d+(?: minconn \d+ maxconn \d+)? # canary$")
PLACES = re.compile(r"\s+default-server .*\bminconn (\d+) maxconn (\d+)")
SERVER = re.compile(r"\s+server\s+(\S+)\s")
# Of `show stat` (management guide, section 9.1): answers by their status, and what ended without one.
ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
FAILURES = ("econ", "eresp")
Counts = dict[str, int]


def canaries(path: Path = CANARIES) -> dict[str, dict[str, Any]]:
    """Return the canaries of this balancer by backend."""
    return read_json(path)


def write_canaries(found: Mapping[str, Any], path: Path = CANARIES) -> None:
    """Write them down."""
    if found:
        write_file(path, json.dumps(found, indent=2) + "\n", 0o600)
    else:
        path.unlink(missing_ok=True)


def weights(others: Sequence[int], share: int) -> tuple[int, int]:
    """Return (weight of a canary, factor for those of the others), with which its share in per cent is nearest to `share`.

    Of several that are as near, the smallest.
    """
    total, wanted = sum(others), Fraction(share, 100)

    def candidates(factor: int) -> set[int]:
        exact = wanted * factor * total / (1 - wanted)
        return {min(max(int(exact) + more, 1), HEAVIEST) for more in (0, 1)}

    def distance(weight: int, factor: int) -> Fraction:
        return abs(Fraction(weight, weight + factor * total) - wanted)

    pairs = [
        (weight, factor) for factor in range(1, max(1, HEAVIEST // max(others)) + 1) for weight in candidates(factor)
    ]
    return min(pairs, key=lambda pair: (distance(*pair), pair[1], pair[0]))


def with_canaries(config: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a configuration in which the canaries, and no other servers, get their share of their backends."""
    lines = [OURS.sub("", line) for line in config.splitlines()]
    for backend, canary in found.items():
        serving = _serving(lines, backend)
        weight, factor = _split(serving, canary)
        places = _places(lines, backend, len(serving))
        for name, (place, base) in serving.items() if weight else ():
            mine = name == canary["server"]
            lines[place] += f" weight {weight}" if mine else f" weight {base * factor}{places}"
            lines[place] += " # canary"
    return "\n".join(lines) + "\n"


def _places(lines: Sequence[str], backend: str, servers: int) -> str:
    """Return the places of a server beside a canary: as many as if that were not there, empty where they stay.

    Whoever has no place in a server goes to the next one, whatever its weight. Where they do not grow, they are the threads
    of the application, and stay.
    """
    found = next((match for line in _section(lines, backend).values() if (match := PLACES.match(line))), None)
    if found is None or found[1] == found[2] or servers < 2:
        return ""
    least, most = (-(-int(count) * servers // (servers - 1)) for count in found.groups())
    return f" minconn {least} maxconn {most}"


def real_share(config: str, backend: str, canary: Mapping[str, Any]) -> float | None:
    """Return the share in per cent that a configuration gives a canary; None where it serves alone or not at all."""
    serving = _serving([OURS.sub("", line) for line in config.splitlines()], backend)
    weight, factor = _split(serving, canary)
    rest = factor * sum(base for name, (_, base) in serving.items() if name != canary["server"])
    return round(100 * weight / (weight + rest), 2) if weight else None


def _split(serving: Mapping[str, tuple[int, int]], canary: Mapping[str, Any]) -> tuple[int, int]:
    """Return the weight of the canary and the factor for those of the others; (0, 0) where there is nothing to share."""
    others = [base for name, (_, base) in serving.items() if name != canary["server"]]
    return weights(others, canary["share"]) if others and canary["server"] in serving else (0, 0)


def _serving(lines: Sequence[str], backend: str) -> dict[str, tuple[int, int]]:
    """Return {server: (its line, its weight)} of a backend; what is out by hand or a spare one has no part in the share."""
    found = {}
    for place, line in _section(lines, backend).items():
        server, words = SERVER.match(line), line.split()
        if server and not {"disabled", "backup"} & set(words):
            base = int(words[words.index("weight") + 1]) if "weight" in words else 1
            if base:
                found[server[1]] = (place, base)
    return found


def _section(lines: Sequence[str], backend: str) -> dict[int, str]:
    """Return the lines of a backend by their places."""
    found, section = dict[int, str](), ""
    for place, line in enumerate(lines):
        if line[:1].strip() and not line.startswith("#"):
            section = line
        if section.split()[:2] == ["backend", backend]:
            found[place] = line
    return found


class Counting:
    """What the servers of backends answered since their canaries began, over reloads.

    A worker counts from its start. `worker` is the one that ran when the counting began, `before` is what it had counted
    then, `earlier` what workers counted that a reload has ended since.
    """

    def __init__(self) -> None:
        self.worker, self.rows = 0, dict[str, dict[str, dict[str, str]]]()
        try:
            self.worker = max(processes().workers, default=0)
            found = rows(ask(f"@!{self.worker} show stat -1 4 -1")) if self.worker else {}
        except (OSError, ValueError):
            return
        for (backend, server), row in found.items():
            self.rows.setdefault(backend, {})[server] = row

    def begin(self, backend: str) -> dict[str, Any]:
        """Return what a canary has to remember when its counting begins."""
        return {"worker": self.worker, "before": self._counted(backend), "earlier": {}}

    def carried(self, backend: str, canary: Mapping[str, Any]) -> dict[str, Any]:
        """Return what it has to remember when a reload is about to end the worker."""
        return {"worker": 0, "before": {}, "earlier": self.since(backend, canary)}

    def since(self, backend: str, canary: Mapping[str, Any]) -> dict[str, Counts]:
        """Return {server: {requests, 1xx … 5xx, other, failed}} since the canary's counting began."""
        before = canary["before"] if canary["worker"] == self.worker else {}
        return {
            server: {
                key: count + canary["earlier"].get(server, {}).get(key, 0) - before.get(server, {}).get(key, 0)
                for key, count in counts.items()
            }
            for server, counts in self._counted(backend).items()
        }

    def times(self, backend: str) -> dict[str, dict[str, int]]:
        """Return {server: {mean, longest}}: milliseconds to an answer, of the last 1024, and of all since the last reload."""
        return {
            server: {"mean": int(row["rtime"] or 0), "longest": int(row.get("rtime_max") or 0)}
            for server, row in self.rows.get(backend, {}).items()
        }

    def _counted(self, backend: str) -> dict[str, Counts]:
        found = {}
        for server, row in self.rows.get(backend, {}).items():
            answers = {key.removeprefix("hrsp_"): int(row[key] or 0) for key in ANSWERS}
            failed = sum(int(row[key] or 0) for key in FAILURES)
            found[server] = {"requests": sum(answers.values())} | answers | {"failed": failed}
        return found


def carry_counts() -> None:
    """Remember what was counted for the canaries, before a reload forgets it."""
    found = canaries()
    if found:
        counting = Counting()
        write_canaries({backend: one | counting.carried(backend, one) for backend, one in found.items()})
