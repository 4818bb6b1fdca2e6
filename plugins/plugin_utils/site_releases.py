"""Which deployments an app had, who made them, what is live where, and where a rollback would go."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_status import Answers, silence
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.status_text import epoch, made_of
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import WIDTH, moment, table
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.versions import flask_rollback

# What M(deploy_lock), M(haproxy_drained) with M(haproxy_maintenance), and M(flask_command) write to the journal.
RUN = re.compile(r"(?P<what>.+) by (?P<who>\S+) \(pid (?P<pid>\d+)\) (?:begins|ends: (?P<result>.+))")
BY_HAND = re.compile(r"(?P<what>.+: (?:out by hand|back in|maintenance begins|maintenance ends)), by (?P<who>\S+)")
COMMAND = re.compile(r"flask-(?P<app>.+)-release: (?P<command>.+) ended with status (?P<status>\d+)")

PLACES = 20  # characters of their names, beyond which instances are counted and not named


def runs(journal: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return {what, who, began, ended, result} of what is in the lines of all hosts, each once, the last one first.

    `ended` is None where nobody has said so: it goes on, or it was cut off. The same run locks every balancer. A release
    command is a row of its own, at its end, by who ran the run that it was part of.
    """
    found: list[dict[str, Any]] = []
    for line in sorted(journal, key=lambda line: line["time"]):
        of_run, at_once = RUN.fullmatch(line["text"]), _at_once(line, found)
        if at_once:
            found.append({"pid": "", "began": line["time"], "ended": line["time"]} | at_once)
        elif of_run:
            who = {key: of_run[key] for key in ("what", "who", "pid")}
            open_ones = [one for one in found if who.items() <= one.items() and _near(one, line)]
            if of_run["result"] and open_ones:
                open_ones[-1].update(ended=line["time"], result=of_run["result"])
            elif not (of_run["result"] or open_ones):
                found.append(who | {"began": line["time"], "ended": None, "result": ""})
    unique: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in found:
        unique.setdefault((one["what"], one["who"], one["pid"], round(one["began"] / 10)), one)
    return sorted(unique.values(), key=lambda one: one["began"], reverse=True)


def _at_once(line: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return {what, who, result} of a line that is all there is of something, empty for another one."""
    by_hand, command = BY_HAND.fullmatch(line["text"]), COMMAND.fullmatch(line["text"])
    if by_hand:
        return {"what": by_hand["what"], "who": by_hand["who"], "result": "done"}
    if command:
        result = "done" if command["status"] == "0" else f"failed, status {command['status']}"
        what = f"{command['app']}: release command {command['command']}"
        return {"what": what, "who": _who(before, line["time"]), "result": result}
    return {}


def _who(done: Sequence[Mapping[str, Any]], when: float) -> str:
    """Return who ran the run in which something was done, empty where the journal has no such run."""
    runs_then = (run for run in done if run["pid"] and run["began"] <= when + 1 <= (run["ended"] or 1e12) + 2)
    return next((run["who"] for run in runs_then), "")


def _near(one: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    """Say whether a line is of a run that goes on, or that has just been said to begin or end on another balancer."""
    return one["ended"] is None or line["time"] - one["ended"] < 10


def releases(
    app: str, hosts: Mapping[str, Mapping[str, Any]], done: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is known of each version of an app, the youngest first.

    {version, written, live_at, released_at, release, source, again, deployments, bad, on, by, result, rollback}, times in
    seconds of the epoch; C(released_at) is when its release command had run, None where it has none; C(source) is what it was
    first made of, C(again) are those with the same content that it was deployed from later.
    `hosts` is what M(flask_status) says of the app by host, `done` are the runs. A deployment has the addresses of its host
    in it; a version is the same on all.
    """
    histories = {name: {"name": app, "live": _live(there), **there} for name, there in hosts.items()}
    back = set(flask_rollback(app, histories, required=False)["deployments"].values())
    found: dict[str, dict[str, Any]] = {}
    for host, there in hosts.items():
        for deployment, about in there["deployments"].items():
            one = found.setdefault(about["version"], _nowhere(about["version"], about["release"]))
            one["deployments"][host] = deployment
            one["on"] += [
                f"{host}-{entry['number']}" for entry in there["instances"] if entry["deployment"] == deployment
            ]
            one["bad"] = one["bad"] or about["bad"]
            one["rollback"] = one["rollback"] or deployment in back
            one["records"].append(about)
            times = [when for when, entry in there["history"] if entry == deployment]
            one["live_at"] = max(filter(None, [one["live_at"], *times]), default=None)
            times = [when for when, version in there.get("released", []) if version == about["version"]]
            one["released_at"] = max(filter(None, [one["released_at"], *times]), default=None)
    for one in found.values():
        one |= _origin(one.pop("records"))
        result = "bad" if one["bad"] else "good" if one["live_at"] else "never live"
        one |= {"by": _who(done, one["written"] or 0), "result": result}
    return sorted(found.values(), key=lambda one: one["written"] or 0, reverse=True)


def _nowhere(version: str, release: str) -> dict[str, Any]:
    """Return what is known of a version before any host was looked at."""
    unknown = dict.fromkeys(("live_at", "released_at", "bad"))
    return {
        "version": version,
        "release": release,
        "records": [],
        "deployments": {},
        "on": [],
        "rollback": False,
    } | unknown


def _origin(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return {written, source, again} of a version from its records on all hosts."""
    oldest = sorted(records, key=lambda about: epoch(about["written"] or "") or math.inf)
    written, source = epoch(oldest[0]["written"] or ""), oldest[0]["made_of"]
    others = {made_of(one): one for about in oldest for one in (about["made_of"], about["source"])}
    again = [one for name, one in others.items() if name not in ("", made_of(source))]
    return {"written": written, "source": source, "again": again}


def _live(there: Mapping[str, Any]) -> str | None:
    """Return the deployment that all instances of a host are on, as M(flask_history) has it."""
    linked = {entry["deployment"] for entry in there["instances"]}
    return linked.pop() if len(linked) == 1 else None


def site_releases(app_hosts: Answers, journals: Answers, balancers: Answers) -> dict[str, Any]:
    """Return {apps: {name: releases}, runs} of a site. `journals` is what M(flask_logs) returned on all hosts."""
    done = runs([line for one in journals.values() for line in one.get("lines", [])])
    hosts = {name: found["apps"] for name, found in app_hosts.items() if not silence(found)}
    names = sorted({app for apps in hosts.values() for app in apps})
    return {
        "apps": {
            app: releases(app, {name: apps[app] for name, apps in hosts.items() if app in apps}, done) for app in names
        },
        "runs": done,
        "silent": [
            {"host": name, "why": silence(found)}
            for name, found in {**balancers, **app_hosts}.items()
            if silence(found)
        ],
    }


def releases_text(site: Mapping[str, Any]) -> str:
    """Return it as a person reads it, in 100 columns."""
    lines: list[str] = []
    for app, found in site["apps"].items():
        rows = [["DEPLOYMENT", "RELEASE", "MADE OF", "MADE", "BY", "RESULT", "LIVE SINCE", "WHERE"]]
        for one in found:
            row = [_id(one), one["release"][:8], made_of(one["source"])]
            row += [moment(one["written"])[:16], one["by"], one["result"]]
            rows.append([*row, moment(one["live_at"])[5:16] if one["on"] else "", _places(one)])
        lines += [app, *table(rows, elastic=("BY", "WHERE", "MADE OF")), *_remarks(found), ""]
    rows = [["BEGAN", "TOOK", "WHO", "WHAT", "RESULT"]]
    for run in site["runs"][:20]:
        took = "" if run["ended"] in (None, run["began"]) else f"{run['ended'] - run['began']:.0f} s"
        rows.append([moment(run["began"]), took, run["who"], run["what"], run["result"] or "goes on, or was cut off"])
    lines += (
        table(rows, right=("TOOK",), elastic=("WHAT", "RESULT", "WHO"))
        if site["runs"]
        else ["No deploy is in the journal."]
    )
    lines += [f"No answer of {one['host']}: {one['why']}" for one in site["silent"]]
    return "\n".join(lines)


def _id(one: Mapping[str, Any]) -> str:
    """Return a deployment's id: that of any host names it, for a rollback."""
    ids: dict[str, str] = one["deployments"]
    return next(iter(ids.values()))


def _places(one: Mapping[str, Any]) -> str:
    words = ", ".join(one["on"])
    words = words if len(words) <= PLACES else f"{len(one['on'])} instances"
    return ", ".join(filter(None, [words, "a rollback goes here" if one["rollback"] else ""]))


def _remarks(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in found:
        remarks = [f"was marked bad, {one['bad']}"] if one["bad"] else []
        if one["again"]:
            remarks.append(f"was deployed again, with the same content, from {', '.join(map(made_of, one['again']))}")
        for remark in remarks:
            text = f"  {_id(one)} {remark}"
            yield from textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
