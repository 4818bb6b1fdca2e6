"""What a command on the control node is told of a run, as environment variables: of one app, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# {host: what M(flask_deployment) or M(flask_stale) returned}; a host that did not get that far has an empty one.
Found = Mapping[str, Mapping[str, Any]]


def notice(app: str, action: str, found: Found, reasons: Mapping[str, str], finished: bool) -> dict[str, str]:
    """Return the variables for an app; empty where there is nothing to tell, because nothing was to be done.

    `reasons` says why it failed on a host. Where the run has not `finished`, whatever was to be done has failed.
    """
    hosts = {host: one for host, one in found.items() if one}
    done = [host for host, one in hosts.items() if one.get("stale") or one.get("processes")]
    if not (done or reasons):
        return {}
    live = [one for seen in hosts.values() for one in seen.get("live") or []]
    said = [f"{host}: {reason}" for host, reason in reasons.items()]
    return {
        "NOTIFY_APP": app,
        "NOTIFY_ACTION": action,
        "NOTIFY_RESULT": "failed" if reasons or not finished else "succeeded",
        "NOTIFY_REASON": "\n".join(said) or ("" if finished else "the run was stopped"),
        "NOTIFY_HOSTS": " ".join(sorted({*done, *reasons})),
        "NOTIFY_RELEASE": _each(one.get("release") for one in hosts.values()),
        "NOTIFY_RELEASE_BEFORE": _each(one["release"] for one in live),
        "NOTIFY_DEPLOYMENT": _each(one.get("deployment") for one in hosts.values()),
        "NOTIFY_DEPLOYMENT_BEFORE": _each(one["deployment"] for one in live),
    }


def _each(ids: Any) -> str:  # noqa: ANN401
    """Return ids, each once, with spaces between them: hosts with different Pythons have different ones."""
    return " ".join(dict.fromkeys(str(one) for one in ids if one))


def reasons_of(app: str, failed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return why an app has failed on which host, from {app, host, reason} of all."""
    return {str(one["host"]): str(one["reason"]) for one in failed if one["app"] == app}
