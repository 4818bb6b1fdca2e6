"""Which deployments of different hosts are the same, and where a rollback goes.

Pure functions, usable without Ansible's engine.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def flask_version(content: str, *settings: Any) -> str:  # noqa: ANN401
    """Return what tells a deployment from others on any host: the release's content and the settings of the app."""
    return hashlib.sha256(json.dumps([content, *settings], sort_keys=True).encode()).hexdigest()[:12]


class Histories:
    """What M(flask_history) said on the hosts that run an app, put side by side by version."""

    def __init__(self, app: str, histories: Mapping[str, Mapping[str, Any]]) -> None:
        self.app = app
        self.found = {host: history for host, history in histories.items() if history.get("name") == app}
        self.there = {host: _by_version(history) for host, history in self.found.items()}
        self.live = {_version(history, history["live"]) for history in self.found.values()}
        self.bad = {
            one["version"]: f"{one['bad']} ({host})"
            for host, history in self.found.items()
            for one in history["deployments"].values()
            if one["bad"]
        }

    def last_live(self, version: str) -> float:
        """Return when a version came to be live last, in seconds of the epoch; 0 for one that never was."""
        return max(
            (
                when
                for history in self.found.values()
                for when, one in history["history"]
                if _version(history, one) == version
            ),
            default=0.0,
        )

    def across(self, version: str) -> str:
        """Return why it is no small thing to go back to a version: a release command has run since that was live."""
        when, last = last_released(self.found.values())
        if last in ("", version) or when < self.last_live(version):
            return ""
        return (
            f"A release command of {self.app} ran at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when))}, after what "
            "this goes back to was live, and a rollback does not undo it. Nothing was changed. Fix: where the older code "
            "works with what that made of the data, add `-e across_release_command=true`; otherwise deploy code that does."
        )

    def good(self) -> list[str]:
        """Return the versions that were live, are there on every host and are bad on none; the last one first."""
        times = [
            (when, version)
            for history in self.found.values()
            for when, one in history["history"]
            if (version := _version(history, one))
        ]
        recent = dict.fromkeys(version for when, version in sorted(times, reverse=True))
        return [
            version
            for version in recent
            if version not in self.bad and all(version in ids for ids in self.there.values())
        ]

    def to(self, version: str, across: bool) -> dict[str, Any]:
        """Return the answer that takes every host to a version."""
        if not across and (problem := self.across(version)):
            return _no_rollback(problem)
        return {"problem": "", "deployments": {host: ids[version] for host, ids in self.there.items()}}

    def asked_for(self, deployment: str, across: bool) -> dict[str, Any]:
        """Return the answer where somebody has named a deployment."""
        records = [history["deployments"] for history in self.found.values()]
        wanted = next((there[deployment]["version"] for there in records if deployment in there), None)
        others = ", ".join(dict.fromkeys(ids[one] for one in self.good() for ids in self.there.values())) or "none"
        if wanted in self.bad:
            return _no_rollback(
                f"Deployment {deployment} of {self.app} was marked bad, {self.bad[wanted]}. Fix: one of: {others}."
            )
        missing = [host for host, ids in self.there.items() if wanted not in ids]
        if wanted is None or missing:
            return _no_rollback(
                f"{self.app} has no deployment {deployment} that was live on {', '.join(missing)}. "
                f"Fix: one of those that were live everywhere and are good: {others}."
            )
        return self.to(wanted, across)


def last_released(found: Iterable[Mapping[str, Any]]) -> tuple[float, str]:
    """Return (time, version) of what a release command ran for last, on whichever host."""
    return max(((when, version) for one in found for when, version in one.get("released", [])), default=(0.0, ""))


def flask_release_host(found: Mapping[str, Mapping[str, Any]], commands: Sequence[str]) -> str:
    """Return the host on which the release command of a deployment is to run, empty where that is not due.

    `found` is what M(flask_deployment) said on the hosts, nothing on those that do not run the app. It has run where it
    did so for this version and for no other one since, and no other one has come to be live since: a rollback may have
    had its data taken back by hand. It need not run where no instance is to be switched.
    """
    hosts = [host for host, one in found.items() if one]
    switched = any(found[host]["stale"] for host in hosts)
    wanted = {found[host]["version"] for host in hosts}
    (when, last), lived = last_released(found.values()), [one for host in hosts for one in found[host].get("lived", [])]
    done = last in wanted and when >= max((since for since, version in lived if version not in wanted), default=0.0)
    return hosts[0] if hosts and commands and switched and not done else ""


def flask_rollback(
    app: str,
    histories: Mapping[str, Mapping[str, Any]],
    asked: str = "",
    required: bool = True,
    across: bool = False,
) -> dict[str, Any]:
    """Return {problem, deployments: {host: id}}: where a rollback of an app goes, the same version on all hosts.

    `across` lets it go back beyond a release command.
    """
    seen = Histories(app, histories)
    if asked:
        return seen.asked_for(asked, across)
    for version in seen.good():
        if seen.live != {version}:
            return seen.to(version, across)
    if not required:
        return {"problem": "", "deployments": {}}
    return _no_rollback(
        f"{app} has no good deployment to go back to: no other one was live on {', '.join(seen.found)}. Nothing was changed. "
        "Fix: deploy the code that you want, with flask_haproxy.deploy.site."
    )


def _no_rollback(problem: str) -> dict[str, Any]:
    return {"problem": problem, "deployments": {}}


def _version(history: Mapping[str, Any], deployment: str | None) -> str | None:
    record: Mapping[str, str] = history["deployments"].get(deployment, {})
    return record.get("version")


def _by_version(history: Mapping[str, Any]) -> dict[str, str]:
    """Return {version: id} of what was live on a host and is still there, the last one where there are several."""
    pairs = [(_version(history, deployment), deployment) for when, deployment in history["history"]]
    return {version: deployment for version, deployment in pairs if version}
