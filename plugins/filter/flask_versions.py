"""Which deployments of different hosts are the same, and where a rollback goes. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def flask_version(content: str, *settings: Any) -> str:  # noqa: ANN401
    """Return what tells a deployment from others on any host: the release's content and the settings of the app."""
    return hashlib.sha256(json.dumps([content, *settings], sort_keys=True).encode()).hexdigest()[:12]


def flask_rollback(
    app: str, hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], asked: str = "", required: bool = True
) -> dict[str, Any]:
    """Return {problem, deployments: {host: id}}: where a rollback of an app goes, the same version on all hosts.

    `hosts` have what M(flask_history) said in their variable `__flask_app_history`; those that do not run the app have
    nothing of it there. The version is the one that was live last, was live and is there on every host, is marked bad on
    none and is not live on all of them; or that of the deployment `asked`. Where there is none and it is not `required`,
    no host has an entry, and all stay as they are. Hosts on several versions, as after a rollout that stopped half-way,
    meet on one again. Releases of this project that wrote no version down are told apart by their ids, which may differ
    between hosts; a rollback of several hosts to what those wrote is then refused.
    """
    found = {host: hostvars[host].get("__flask_app_history", {}) for host in hosts}
    found = {host: history for host, history in found.items() if history.get("name") == app}
    there = {host: _by_version(history) for host, history in found.items()}
    live = {host: _version(history, history["live"]) for host, history in found.items()}
    bad = {
        one["version"]: f"{one['bad']} ({host})"
        for host, history in found.items()
        for one in history["deployments"].values()
        if one["bad"]
    }
    times = [
        (when, version)
        for history in found.values()
        for when, one in history["history"]
        if (version := _version(history, one))
    ]
    recent = list(dict.fromkeys(version for _, version in sorted(times, reverse=True)))
    good = [version for version in recent if version not in bad and all(version in ids for ids in there.values())]
    if asked:
        wanted = next(
            (history["deployments"][asked]["version"] for history in found.values() if asked in history["deployments"]),
            None,
        )
        others = ", ".join(dict.fromkeys(ids[version] for version in good for ids in there.values())) or "none"
        if wanted in bad:
            return _no_rollback(f"Deployment {asked} of {app} was marked bad, {bad[wanted]}. Fix: one of: {others}.")
        missing = [host for host, ids in there.items() if wanted not in ids]
        if wanted is None or missing:
            return _no_rollback(
                f"{app} has no deployment {asked} that was live on {', '.join(missing)}. "
                f"Fix: one of those that were live everywhere and are good: {others}."
            )
        return {"problem": "", "deployments": {host: ids[wanted] for host, ids in there.items()}}
    for version in good:
        if set(live.values()) != {version}:
            return {"problem": "", "deployments": {host: ids[version] for host, ids in there.items()}}
    if not required:
        return {"problem": "", "deployments": {}}
    return _no_rollback(
        f"{app} has no good deployment to go back to: no other one was live on {', '.join(found)}. Nothing was changed. "
        "Fix: deploy the code that you want, with site.yml."
    )


def _no_rollback(problem: str) -> dict[str, Any]:
    return {"problem": problem, "deployments": {}}


def _version(history: Mapping[str, Any], deployment: str | None) -> str | None:
    record: Mapping[str, str] = history["deployments"].get(deployment, {})
    return record.get("version")


def _by_version(history: Mapping[str, Any]) -> dict[str, str]:
    """Return {version: id} of what was live on a host and is still there, the last one where there are several."""
    pairs = [(_version(history, deployment), deployment) for _, deployment in history["history"]]
    return {version: deployment for version, deployment in pairs if version}


class FilterModule:
    """Make the functions of this file available to templates under their own names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {"flask_rollback": flask_rollback, "flask_version": flask_version}
