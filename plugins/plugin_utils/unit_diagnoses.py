"""What is wrong with the units of applications, or will be: of instances, and of processes and timers beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.balancer_diagnoses import SITE
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_diagnoses import CRITICAL, WARNING, Finding
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import age

# A process that always runs has a number, and a timer always waits; the service of a timer has none, and runs at times.
PROCESS = re.compile(r"@[a-z]\w*-\d+\.service$|\.timer$")
# What a unit is in while a deploy restarts it.
BETWEEN = ("activating", "deactivating", "reloading")
# How long is too long, in seconds, how much is too much, and how often too often.
HOUR, NEAR, RESTARTS = 3600.0, 0.8, 3


def instance_findings(one: Mapping[str, Any], now: float, deploying: bool) -> Iterator[Finding]:
    """Yield what is wrong with an instance on its host; while somebody is `deploying`, it may be about to start or stop."""
    host, who = one["host"], f"{one['app']}/{one['host']}-{one['number']}"
    if one["state"] == "no answer":
        return
    if one["state"] == "missing":
        yield Finding(CRITICAL, host, f"{who} is in the inventory and not on the host", SITE)
        return
    unit = one["unit"]
    if one["masked"] or one["state"] not in ("active", "failed"):
        if not (deploying and one["state"] in BETWEEN):
            yield _stopped(one)
    elif not one["enabled"]:
        yield Finding(WARNING, host, f"{unit} will not be started at boot", SITE)
    if one["state"] == "active":
        yield from _process(one, host, who, unit)
    if one["bad"]:
        yield Finding(
            CRITICAL, host, f"{one['app']} is on deployment {one['deployment']}, which was marked bad ({one['bad']})",
            "ansible-playbook flask_haproxy.deploy.rollback",
        )  # fmt: skip
    if one["listens"] != [one["address"], one["port"]] and one["listens"][0]:
        at = f"{one['address']}:{one['port']}"
        yield Finding(
            WARNING, host, f"{who} listens at {one['listens'][0]}:{one['listens'][1]}, and the inventory has {at}", SITE
        )
    for path in one["foreign_drop_ins"]:
        fix = "sandbox:, memory_max: or environment: of the app instead, then remove it; or leave it, knowing of it"
        yield Finding(WARNING, host, f"{unit} was changed by hand: {path}", fix)
    if one["restarts"] >= RESTARTS and now - (one["started"] or 0) < HOUR:
        yield _restarted(one, now)


def _process(one: Mapping[str, Any], host: str, who: str, unit: str) -> Iterator[Finding]:
    """Yield what is wrong with the process of an instance that runs."""
    if one["runs"] != one["deployment"]:
        yield Finding(
            WARNING,
            host,
            f"{who} runs deployment {one['runs']} and is pointed at {one['deployment']}: a restart is pending",
            SITE,
        )
    if one["reload_needed"] and not one["masked"]:
        yield Finding(
            WARNING,
            host,
            f"the files of {unit} have changed since systemd read them",
            f"systemctl daemon-reload; {SITE}",
        )
    elif one["rewritten"]:
        what = f"the drop-ins of {unit} are not what its deployment has: changed by hand, or by another version of this project"
        yield Finding(WARNING, host, what, f"{SITE} (--check --diff shows what)")
    if one["files"] and one["files"][0] > NEAR * one["files"][1]:
        yield Finding(
            WARNING, host, f"{who} has {one['files'][0]} files open and may have {one['files'][1]}",
            f"look for a leak: ls -l /proc/$(systemctl show -P MainPID {unit})/fd; or sandbox: {{LimitNOFILE: …}}",
        )  # fmt: skip


def other_findings(units: Sequence[Mapping[str, Any]], now: float, deploying: bool) -> Iterator[Finding]:
    """Yield what is wrong with processes and timers; those that have failed are told as units."""
    for one in units:
        host, unit, fix = one["host"], one["unit"], f"journalctl -u {one['unit']}"
        runs = one["state"] in ("active", "failed") or not PROCESS.search(unit)
        if not runs or one["masked"]:
            if not (deploying and one["state"] in BETWEEN):
                yield _stopped(one)
        elif one["enabled"] is False:
            yield Finding(WARNING, host, f"{unit} will not be started at boot", SITE)
        if runs and one["restarts"] >= RESTARTS and now - (one["started"] or 0) < HOUR:
            yield _restarted(one, now)
        elif runs and one["state"] != "failed" and one["result"] not in ("success", "", None):
            yield Finding(WARNING, host, f"{unit} ended with {one['result']}", fix)


def _stopped(one: Mapping[str, Any]) -> Finding:
    """Return that a unit does not run, or is forbidden to."""
    unit, runs = one["unit"], one["state"] == "active"
    if one["masked"]:
        what = "is masked" if runs else f"is masked and {one['state']} ({one['substate']})"
        return Finding(WARNING if runs else CRITICAL, one["host"], f"{unit} {what}", f"systemctl unmask {unit}; {SITE}")
    fix = f"systemctl start {unit}; journalctl -u {unit}"
    return Finding(CRITICAL, one["host"], f"{unit} is {one['state']} ({one['substate']})", fix)


def _restarted(one: Mapping[str, Any], now: float) -> Finding:
    """Return that systemd had to start a unit again and again."""
    what = f"{one['unit']} was restarted {one['restarts']} times, last {age(now - one['started'])} ago"
    return Finding(WARNING, one["host"], what, f"journalctl -u {one['unit']}")


def replaced_findings(processes: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the hosts whose Python was upgraded below processes that go on with the one of before."""
    units: dict[str, list[str]] = {}
    for one in processes:
        if one.get("replaced"):
            units.setdefault(one["host"], []).append(one["unit"])
    for host, names in units.items():
        what = f"Python was upgraded, and these run on with the one of before: {', '.join(names)}"
        others = ", then the others, one after the other" if len(names) > 1 else ""
        fix = f"systemctl restart {names[0]}{others}; requests wait meanwhile"
        yield Finding(WARNING, host, what, fix)


def folder_findings(host: str, app: str, about: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what somebody has done to the folders of an app."""
    for home, paths in about["altered"].items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        what = f"{app} runs from what was changed by hand: {paths[0]}{more}"
        fix = f"what is to stay belongs into the source; rm -r {home}, then {SITE}, which ships it anew"
        yield Finding(WARNING, host, what, fix)
    for path in about["exposed"]:
        what = f"others than root may read or write {path}"
        yield Finding(
            WARNING, host, what, f"chown root {path}; chmod {'600' if path.endswith('/env') else 'go-w'} {path}"
        )
