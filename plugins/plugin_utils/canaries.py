"""Canaries: which instance of an app is one, what speaks against it, and what is said of it.

Pure functions, usable without Ansible's engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import table

Found = Mapping[str, Any]
# Of a backend, what the balancers ask an instance for.
HEALTH = ("health", "health_host", "health_status", "health_headers")
HEADING = ("", "REQUESTS", "SHARE", "1XX", "2XX", "3XX", "4XX", "5XX", "FAILED", "MEAN", "LONGEST")


def flask_canary(backends: Sequence[Found], app: str, asked: Found, balancers: Sequence[Found]) -> dict[str, Any]:
    """Return {problem, server, host, number, running, was}: the canary of an app, or why it cannot have one.

    `backends` are what the inventory says, `balancers` what M(haproxy_info) found on each balancer, `asked` has what a run was
    told of C(weight), C(promote), C(abort) and C(limit). Where one runs (`running`) that is the canary. Otherwise it is the
    first server that all balancers have as the inventory has it and that nobody has taken out.
    """
    records = [one.get("canaries", {}).get(app, {}) for one in balancers]
    record: Found = next((one for one in records if one), {})
    listed: Found = next((backend for backend in backends if backend["name"] == app), {"servers": []})
    names = [server["name"] for server in listed["servers"]]
    if record.get("server") in names:
        chosen = record["server"]
    else:
        chosen = next((server["name"] for server in listed["servers"] if _eligible(app, server, balancers)), "")
    problem = next(_problems(backends, app, asked, balancers), "")
    if not problem and asked.get("weight") is not None and not chosen:
        problem = (
            f"no instance of {app} is one that every balancer has as the inventory has it. "
            "Fix: run flask_haproxy.deploy.site first."
        )
    host, _, number = chosen.rpartition("-")
    about = {"server": chosen, "host": host, "number": int(number or 0)}
    return about | {"problem": problem, "running": bool(record), "was": record.get("was", "")}


def _eligible(app: str, server: Found, balancers: Sequence[Found]) -> bool:
    spare = "backup" in str(server.get("options", "")).split()
    out = any(f"{app}/{server['name']}" in one.get("by_hand", []) for one in balancers)
    return not spare and not out and all(server in _known(one, app).get("servers", []) for one in balancers)


def _known(balancer: Found, app: str) -> Found:
    """Return what a balancer has loaded of an app."""
    return next((backend for backend in balancer.get("backends", []) if backend["name"] == app), {})


def _problems(backends: Sequence[Found], app: str, asked: Found, balancers: Sequence[Found]) -> Iterator[str]:
    """Yield what speaks against what was asked for, a sentence each with its fix."""
    listed = {backend["name"]: backend for backend in backends}
    if app not in listed:
        yield f"app is {app!r}. Fix: -e app=NAME, one of {', '.join(listed)}."
        return
    told = {name: asked.get(name) for name in ("weight", "promote", "abort")}
    wanted = [name for name, value in told.items() if value is not None and value is not False]
    if len(wanted) > 1:
        yield f"{' and '.join(wanted)} are given. Fix: one of them; none shows the numbers."
    if asked.get("limit"):
        yield f"a canary is that of all balancers, and --limit is {asked['limit']}. Fix: leave it out."
    running = any(app in one.get("canaries", {}) for one in balancers)
    if not running and "weight" not in wanted:
        yield f"{app} has no canary. Fix: -e weight=10 begins one; flask_haproxy.deploy.site deploys to all."
    if "weight" not in wanted:
        return
    if not str(asked["weight"]).isdecimal() or not 0 < int(asked["weight"]) < 100:
        yield f"weight is {asked['weight']!r}. Fix: a whole number from 1 to 99, the canary's share of the requests in per cent."
    if len(listed[app]["servers"]) < 2:
        yield (
            f"instances of {app} is 1, on one host: a canary would get all of its requests. Fix: instances: 2 or more, "
            "and flask_haproxy.deploy.site; or deploy with that alone, which goes back where it fails."
        )
    for one in balancers:
        known = _known(one, app)
        if not known.get("servers"):
            yield f"no balancer has {app} yet. Fix: run flask_haproxy.deploy.site first."
        elif any(known.get(key) != listed[app].get(key) for key in HEALTH):
            yield (
                f"health of {app} is not what the balancers ask for. "
                "Fix: run flask_haproxy.deploy.site; a canary changes no health check."
            )


def flask_canaries_over(
    canaries: Mapping[str, Found], app: str, failed: Iterable[str], trying: bool, limited: bool
) -> list[str]:
    """Return the apps whose canaries end with a run, `canaries` being those that were running when it began, by app.

    Of all apps, or of the only `app` that it deploys, those that have not `failed`: all of their instances are on one
    deployment then, which with --limit (`limited`) they are not. A run that is `trying` begins a canary or goes on with one,
    and ends one alone that it could not begin.
    """
    unfinished = set(failed)
    if trying:
        return [app] if app in unfinished and app not in canaries else []
    return [] if limited else [name for name in canaries if app in ("", name) and name not in unfinished]


class _Side:
    """What the canary, or all others together, answered on all balancers."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.milliseconds, self.longest = 0.0, 0

    def add(self, counts: Mapping[str, int], times: Mapping[str, int]) -> None:
        """Add what one balancer says of one server."""
        self.counts.update(counts)
        self.milliseconds += counts["requests"] * times["mean"]
        self.longest = max(self.longest, times["longest"])

    def row(self, name: str, total: int) -> list[str]:
        """Return its row of the table, of `total` requests in all."""
        count = self.counts["requests"]
        classes = [str(self.counts[key]) for key in ("1xx", "2xx", "3xx", "4xx", "5xx")]
        failed = str(self.counts["failed"] + self.counts["other"])
        share = f"{100 * count / total:.1f} %" if total else ""
        times = [f"{self.milliseconds / count:.0f} ms", f"{self.longest} ms"] if count else ["", ""]
        return [name, str(count), share, *classes, failed, *times]


def flask_canary_lines(app: str, balancers: Sequence[Found]) -> list[str]:
    """Return what is said of the canary of an app: a line, and a table that has it beside the others, all balancers together.

    `balancers` are the C(canaries) that M(haproxy_canary) has returned on each.
    """
    found = [one[app] for one in balancers if app in one]
    if not found:
        return [f"{app} has no canary."]
    canary, mine, others = found[0], _Side(), _Side()
    for one in found:
        for server, counts in one["counts"].items():
            side = mine if server == canary["server"] else others
            side.add(counts, one["times"].get(server, {"mean": 0, "longest": 0}))
    total = mine.counts["requests"] + others.counts["requests"]
    rows = [HEADING, mine.row(canary["server"], total), others.row("the others", total)]
    real = sorted({one["real"] for one in found if one["real"] is not None})
    shares = " to ".join(f"{share:g} %" for share in dict.fromkeys(real[:1] + real[-1:]))
    says = (
        f"{app}: {canary['server']} is the canary since {canary['since'].replace('T', ' ')[:19]}, by {canary['who']}."
    )
    gets = f"{canary['share']} % were asked for, its weight gives it {shares or 'all'}."
    return [says, gets, "", *table(rows, right=HEADING[1:])]
