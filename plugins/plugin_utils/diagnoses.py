"""What is wrong with a site, or will be: each finding with its fix."""

from __future__ import annotations

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
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.unit_diagnoses import (
    folder_findings,
    instance_findings,
    other_findings,
    replaced_findings,
)

DRAINED = 86400.0  # seconds, which are too long


def diagnose(
    backends: Sequence[Mapping[str, Any]], app_hosts: Answers, balancers: Answers, now: float
) -> list[Finding]:
    """Return the findings, the worst ones first; `now` is in seconds of the epoch."""
    site = site_status(backends, app_hosts, balancers)
    # What is half done while somebody deploys is not wrong.
    deploying = any(one.get("lock") and not locked_long(one["lock"], now) for one in balancers.values())
    found = [*_silent(site), *_hosts(app_hosts, balancers)]
    by_hand = {(balancer, one["server"]) for one in site["drained"] for balancer in one["on"]}
    for one in site["instances"]:
        found += instance_findings(one, now, deploying)
        if one["state"] == "active":
            found += _servers(one, deploying, by_hand)
    for host, there in app_hosts.items():
        for app, about in there.get("apps", {}).items():
            found += folder_findings(host, app, about)
    found += replaced_findings([*site["instances"], *site["others"]])
    if not deploying:
        found += _deployments(site["instances"], {one["app"] for one in site["canaries"]})
    for name, balancer in balancers.items():
        if not silence(balancer):
            found += balancer_findings(name, balancer, now)
    found += _drained(site["drained"], now)
    found += other_findings(site["others"], now, deploying)
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


def _servers(one: Mapping[str, Any], deploying: bool, by_hand: Collection[tuple[str, str]]) -> Iterator[Finding]:
    """Yield what the balancers have against an instance that runs; several that have the same are one finding.

    Who took out what is in `by_hand`, (balancer, server), is known, and told elsewhere.
    """
    who = f"{one['app']}/{one['host']}-{one['number']}"
    words: dict[str, list[str]] = {}
    for name, on in one["on"].items():
        word = _word(on)
        if word != "MAINT" or (name, who) not in by_hand:
            words.setdefault(word, []).append(name)
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
    if "MAINT" in words and not deploying:
        what = f"server {who} is out, and by no run: somebody has told HAProxy so"
        fix = f"ansible-playbook flask_haproxy.deploy.drain -e server={who} -e lift=true"
        yield Finding(WARNING, ", ".join(words["MAINT"]), what, fix)
    if "no weight" in words:
        what = f"server {who} gets no new request: somebody has taken its weight"
        yield Finding(WARNING, ", ".join(words["no weight"]), what, "systemctl reload haproxy, which gives it back")


def _word(on: Mapping[str, Any]) -> str:
    """Return what a balancer says of a server, in a word: its status, without how many checks it is from another one."""
    if on["status"] == "no check":
        return "DRAIN"
    return "no weight" if on["status"] == "UP" and not on["weight"] else str(on["status"].split()[0])


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
