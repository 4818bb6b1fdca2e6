"""What is wrong with a site, or will be: each finding with its fix."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.balancer_diagnoses import (
    SITE,
    balancer_findings,
    locked_long,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_diagnoses import (
    CRITICAL,
    WARNING,
    Finding,
    host_findings,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_status import (
    NOT_ASKED,
    Answers,
    silence,
    site_status,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.status_text import epoch
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import WIDTH, age, plural

# A process that always runs has a number; the service of a timer has none, and runs at times.
PROCESS = re.compile(r"@[a-z]\w*-\d+\.service$")
# How long is too long, in seconds, how much is too much, and how often too often.
HOUR, DRAINED, NEAR, RESTARTS = 3600.0, 86400.0, 0.8, 3


def diagnose(
    backends: Sequence[Mapping[str, Any]], app_hosts: Answers, balancers: Answers, now: float
) -> list[Finding]:
    """Return the findings, the worst ones first; `now` is in seconds of the epoch."""
    site = site_status(backends, app_hosts, balancers)
    # What is half done while somebody deploys is not wrong.
    deploying = any(one.get("lock") and not locked_long(one["lock"], now) for one in balancers.values())
    found = [*_silent(site), *_hosts(app_hosts, balancers)]
    for one in site["instances"]:
        found += _instance(one, now, deploying)
    if not deploying:
        found += _deployments(site["instances"], {one["app"] for one in site["canaries"]})
    for name, balancer in balancers.items():
        if not silence(balancer):
            found += balancer_findings(name, balancer, now)
    found += _drained(site["drained"], now)
    found += _others(site["others"], now)
    found += _unlisted(site["unlisted"])
    return sorted(dict.fromkeys(found), key=lambda one: (-one.level, one.host))


def _unlisted(there: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield what is in no list, of an app that is not in it at all once for each host, and not its servers besides."""
    whole = {one["app"] for one in there if one["what"].startswith("app ") and not one["listed"]}
    for one in there:
        remove = f"ansible-playbook flask_haproxy.deploy.remove -e app={one['app']}"
        if one["what"].startswith("app "):
            fix = f"{remove} -e host={one['host']}" if one["listed"] else f"{SITE}, then {remove}"
        elif one["app"] in whole:
            continue
        else:
            fix = f"{SITE} removes it"
        if not one["listed"]:
            fix += "; where another inventory deploys it, leave it, knowing of it"
        yield Finding(WARNING, one["host"], f"{one['what']} is there and in no list of the inventory", fix)


def _others(units: Sequence[Mapping[str, Any]], now: float) -> Iterator[Finding]:
    """Yield what is wrong with processes and timers; those that have failed are told as units."""
    for one in units:
        fix = f"journalctl -u {one['unit']}"
        if one["state"] == "inactive" and PROCESS.search(one["unit"]):
            what = f"{one['unit']} is inactive ({one['substate']})"
            yield Finding(CRITICAL, one["host"], what, f"systemctl start {one['unit']}; {fix}")
        elif one["state"] != "failed" and one["result"] not in ("success", "", None):
            yield Finding(WARNING, one["host"], f"{one['unit']} ended with {one['result']}", fix)
        if PROCESS.search(one["unit"]):
            yield from _restarted(one, now)


def _restarted(one: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Yield that a unit does not stay, whose process systemd starts again and again."""
    if one["restarts"] >= RESTARTS and now - (one["started"] or 0) < HOUR:
        what = f"{one['unit']} was restarted {one['restarts']} times, last {age(now - one['started'])} ago"
        yield Finding(WARNING, one["host"], what, f"journalctl -u {one['unit']}")


def _silent(site: Mapping[str, Any]) -> Iterator[Finding]:
    for one in site["silent"]:
        if one["why"] == NOT_ASKED:
            continue
        fix = "ssh to it, look whether it runs; while it is gone for good, take it out of the inventory"
        yield Finding(CRITICAL, one["host"], f"no answer: {one['why']}", fix)


def _hosts(app_hosts: Answers, balancers: Answers) -> Iterator[Finding]:
    for name, found in {**balancers, **app_hosts}.items():
        if not silence(found):
            yield from host_findings(name, found["host"])


def _instance(one: Mapping[str, Any], now: float, deploying: bool) -> Iterator[Finding]:
    """Yield what is wrong with an instance, on its host and on the balancers."""
    host, who = one["host"], f"{one['app']}/{one['host']}-{one['number']}"
    if one["state"] == "no answer":
        return
    if one["state"] == "missing":
        yield Finding(CRITICAL, host, f"{who} is in the inventory and not on the host", SITE)
        return
    unit, journal = one["unit"], f"journalctl -u {one['unit']}"
    if one["state"] != "active" and one["state"] != "failed":
        yield Finding(
            CRITICAL, host, f"{unit} is {one['state']} ({one['substate']})", f"systemctl start {unit}; {journal}"
        )
    elif one["state"] == "active":
        yield from _process(one, host, who, unit)
        yield from _servers(one, who, deploying)
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
    if not one["enabled"]:
        yield Finding(WARNING, host, f"{unit} will not be started at boot", SITE)
    for path in one["foreign_drop_ins"]:
        fix = "sandbox:, memory_max: or environment: of the app instead, then remove it; or leave it, knowing of it"
        yield Finding(WARNING, host, f"{unit} was changed by hand: {path}", fix)
    yield from _restarted(one, now)


def _process(one: Mapping[str, Any], host: str, who: str, unit: str) -> Iterator[Finding]:
    """Yield what is wrong with the process of an instance that runs."""
    if one["runs"] != one["deployment"]:
        yield Finding(
            WARNING,
            host,
            f"{who} runs deployment {one['runs']} and is pointed at {one['deployment']}: a restart is pending",
            SITE,
        )
    if one["reload_needed"]:
        yield Finding(
            WARNING,
            host,
            f"the files of {unit} have changed since systemd read them",
            f"systemctl daemon-reload; {SITE}",
        )
    if one["files"] and one["files"][0] > NEAR * one["files"][1]:
        yield Finding(
            WARNING, host, f"{who} has {one['files'][0]} files open and may have {one['files'][1]}",
            f"look for a leak: ls -l /proc/$(systemctl show -P MainPID {unit})/fd; or sandbox: {{LimitNOFILE: …}}",
        )  # fmt: skip


def _servers(one: Mapping[str, Any], who: str, deploying: bool) -> Iterator[Finding]:
    """Yield what the balancers have against an instance that runs; several that have the same are one finding."""
    words: dict[str, list[str]] = {}
    for name, on in one["on"].items():
        words.setdefault("DRAIN" if on["status"] == "no check" else on["status"].split()[0], []).append(name)
    if "DOWN" in words:
        on = one["on"][words["DOWN"][0]]
        why = " ".join([on["check"], on["why"]]).strip()
        fix = f"journalctl -u {one['unit']} on {one['host']}; {SITE} puts it in order where it can"
        yield Finding(CRITICAL, ", ".join(words["DOWN"]), f"server {who} is DOWN for {age(on['since'])}: {why}", fix)
    if "absent" in words:
        yield Finding(CRITICAL, ", ".join(words["absent"]), f"server {who} is not in the configuration", SITE)
    if "DRAIN" in words and not deploying:
        what = f"server {who} is drained or unchecked at run time, as an interrupted deploy leaves it"
        yield Finding(WARNING, ", ".join(words["DRAIN"]), what, f"{SITE}, which puts it back")


def _deployments(instances: Sequence[Mapping[str, Any]], tried: Collection[str]) -> Iterator[Finding]:
    """Yield the apps whose instances are on several releases, but for those that have a canary."""
    apps: dict[str, dict[str, list[str]]] = {}
    for one in instances:
        if one.get("release"):
            # A deployment has the addresses of its host in it; a version is the same on all hosts.
            on = apps.setdefault(one["app"], {}).setdefault(one["version"] or one["deployment"], [])
            on.append(f"{one['host']}-{one['number']}")
    for app, versions in apps.items():
        if len(versions) > (2 if app in tried else 1):
            words = "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(versions.items()))
            yield Finding(
                CRITICAL, "all", f"the instances of {app} are on {len(versions)} versions: {words}",
                f"{SITE} to go on, or flask_haproxy.deploy.rollback to go back",
            )  # fmt: skip


def _drained(drained: Sequence[Mapping[str, Any]], now: float) -> Iterator[Finding]:
    for one in drained:
        began = epoch(one["since"])
        if began is None or now - began > DRAINED:
            fix = f"ansible-playbook flask_haproxy.deploy.drain -e server={one['server']} -e lift=true"
            what = f"{one['server']} is out by hand since {one['since']}, by {one['who']}"
            yield Finding(WARNING, ", ".join(one["on"]), what, fix)


def doctor_text(found: Sequence[Finding], seen: str) -> str:
    """Return the findings as lines; `seen` is what was looked at."""
    lines = []
    for one in found:
        first = f"{'CRITICAL' if one.level == CRITICAL else 'WARNING ':8}  {one.host}: {one.what}"
        lines += textwrap.wrap(first, WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
        fix = textwrap.wrap(f"Fix: {one.fix}", WIDTH - 10, subsequent_indent="  ", break_on_hyphens=False)
        lines += [f"          {line}" for line in fix]
    counts = Counter(one.level for one in found)
    words = f"{counts[CRITICAL]} critical, {plural(counts[WARNING], 'warning')}" if found else "Nothing is wrong"
    return "\n".join([*lines, f"{words}: looked at {seen}."])
