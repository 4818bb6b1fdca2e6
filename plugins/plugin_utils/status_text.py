"""The status of a site as a person reads it, in 100 columns."""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import (
    WIDTH,
    age,
    counted,
    moment,
    short,
    size,
    table,
)

MANY = 3  # balancers, from which on they share a column
NAMES = (9, 7, 5)  # letters that a balancer's name may have in the heading of its column, fewer where it is wide
SHARED = "BALANCERS"
DAY = 86400


def status_text(site: Mapping[str, Any], now: float) -> str:
    """Return the lines; `now` is in seconds of the epoch."""
    parts = [
        *(
            [*_app(app, group), *_instances(group, [one["name"] for one in site["balancers"]], now)]
            for app, group in (
                (app, list(found)) for app, found in itertools.groupby(site["instances"], lambda one: one["app"])
            )
        ),
        _others(site["others"], now),
        _balancers(site["balancers"], now),
        _listed("Out by hand", (_drained(one, now) for one in site["drained"])),
        _listed("In maintenance", _maintenance(site["balancers"])),
        _listed("Canaries", (_canary(one, now) for one in site["canaries"])),
        _listed(
            "There, and in no list of the inventory", (f"{one['host']}: {one['what']}" for one in site["unlisted"])
        ),
        _listed("No answer", (f"{one['host']}: {one['why']}" for one in site["silent"])),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _listed(heading: str, lines: Iterator[str]) -> list[str]:
    found = [f"  {line}" for line in lines]
    return [heading, *found] if found else []


def _app(name: str, instances: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of an app, with what its releases are made of, in as many lines as that takes."""
    made = {one["release"][:8]: one.get("source") or {} for one in instances if one.get("release")}
    told = [
        f"{release} is {'commit ' if 'commit' in source else ''}{made_of(source)}"
        for release, source in made.items()
        if made_of(source)
    ]
    line = f"{name}: {', '.join(told)}" if told else name
    return textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def made_of(source: Mapping[str, str]) -> str:
    """Return what a source was resolved to, see M(flask_release), in a word: a commit, a package, a wheel; else nothing."""
    commit = source.get("commit", "")[:8] + ("+changes" if source.get("changed") else "")
    ref = source.get("ref", "HEAD")
    named = f"{commit} ({ref})" if ref not in ("HEAD", source.get("commit")) else commit
    return named or source.get("package") or source.get("wheel") or ""


def _instances(instances: Sequence[Mapping[str, Any]], balancers: Sequence[str], now: float) -> list[str]:
    """Return the table of instances, with a column for each balancer where there is room for that."""
    for width in NAMES if len(balancers) <= MANY else ():
        names = [short(name.partition(".")[0], width, keep_end=True).upper() for name in balancers]
        lines = _table(instances, names, lambda on: [_word(on[name]["status"]) for name in balancers], now)
        if len(set(names)) == len(names) and max(map(len, lines)) <= WIDTH:
            return lines
    return _table(instances, [SHARED], lambda on: [_balanced(on)], now)


def _table(
    instances: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    words: Callable[[Mapping[str, Any]], Sequence[str]],
    now: float,
) -> list[str]:
    """Return it with columns of these names, for which `words` are what the balancers say."""
    heading = ["INSTANCE", "PORT", "UNIT", "RELEASE", "AGE", *names]
    rows = [[*heading, "CHECK", "NOW", "REQUESTS", "ERRORS", "RESTARTS", "MEM"]]
    for one in instances:
        on = one["on"]
        counts = [sum(found.get(key, 0) for found in on.values()) for key in ("now", "requests", "errors")]
        row = [f"{one['host']}-{one['number']}", str(one["port"]), one["state"], (one.get("release") or "")[:8]]
        row += [age(now - one["since"]) if one.get("since") else "", *words(on), _check(on)]
        rows.append([*row, *map(counted, counts), str(one.get("restarts", "")), size(one.get("memory"))])
    return table(
        rows,
        right=("PORT", "AGE", "NOW", "REQUESTS", "ERRORS", "RESTARTS", "MEM"),
        elastic=("INSTANCE", "CHECK", "UNIT", *(name for name in names if name == SHARED)),
    )


def _word(status: str) -> str:
    """Return the status of a server without how many checks it is from another one."""
    return {"no answer": "silent", "no check": "unchecked"}.get(status, status.split()[0])


def _balanced(on: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what many balancers say of a server."""
    return ", ".join(f"{word} {count}" for word, count in Counter(_word(one["status"]) for one in on.values()).items())


def _check(on: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the check of a balancer last found, of one that found nothing good if there is one."""
    checks = sorted((one for one in on.values() if one.get("check")), key=lambda one: one["status"].startswith("UP"))
    if not checks:
        return ""
    first = checks[0]
    took = f" {first['took']}ms" if first["took"] is not None and first["check"].startswith("L7OK") else ""
    return f"{first['check']}{took}"


def _balancers(balancers: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    rows = [["BALANCER", "HAPROXY", "LOADED", "RELOADS", "SERVERS UP", "CONFIGURATION", "CERTIFICATE", "DEPLOY LOCK"]]
    for one in balancers:
        if one["problem"]:
            rows.append([one["name"], "no answer" if one.get("silent") else one["problem"], *[""] * 6])
            continue
        row = [one["name"], one["version"].partition("-")[0], f"{age(one['uptime'])} ago", str(one["reloads"])]
        row += [f"{one['up']} of {one['all']}", configuration(one["configuration"]), _ends(one["certificates"], now)]
        rows.append([*row, one["lock"].get("who", "free") if one["lock"] else "free"])
    return table(rows, right=("RELOADS",), elastic=("HAPROXY", "DEPLOY LOCK", "BALANCER"))


def configuration(found: Mapping[str, bool]) -> str:
    """Say what the configuration on disk is, beside the one that runs."""
    if not found["ours"]:
        return "somebody else's"
    words = [
        word for word, true in (("changed by hand", found["altered"]), ("not loaded", not found["loaded"])) if true
    ]
    return ", ".join(words) or "as loaded"


def _ends(certificates: Sequence[Mapping[str, Any]], now: float) -> str:
    return f"{(min(one['ends'] for one in certificates) - now) // DAY:.0f} d left" if certificates else "none"


def _others(units: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    if not units:
        return []
    rows = [["HOST", "UNIT", "STATE", "RESULT", "LAST", "NEXT"]]
    for one in units:
        last = f"{age(now - one['last'])} ago" if one["last"] else ""
        due = f"in {age(one['next'] - now)}" if one["next"] else ""
        state = f"{one['state']} ({one['substate']})"
        rows.append([one["host"], one["unit"], state, one["result"] or "", last, due])
    return table(rows, elastic=("UNIT", "HOST"))


def _drained(one: Mapping[str, Any], now: float) -> str:
    seconds = epoch(one["since"])
    when = f"{moment(seconds)} ({age(now - seconds)})" if seconds else one["since"]
    return f"{one['server']} on {', '.join(one['on'])}: by {one['who']} since {when}"


def _maintenance(balancers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    on: dict[str, list[str]] = {}
    for one in balancers:
        for app in one.get("maintenance", {}):
            on.setdefault(app, []).append(one["name"])
    for app, names in on.items():
        yield f"{app} on {', '.join(names)}"


def _canary(one: Mapping[str, Any], now: float) -> str:
    return f"{one['app']}/{one['server']} gets {one['share']} %{_drained(one, now).removeprefix(one['server'])}"


def epoch(text: str) -> float | None:
    """Return a time as modules write it into files, in seconds of the epoch; None for another text."""
    try:
        return datetime.strptime(text, TIME).timestamp()
    except ValueError:
        return None
