"""Which instances of an application have to be put on a deployment, and why."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import process_environment, unit_states

ANSWERED = "status"  # how a problem begins where something answered, but not as it should
SHOWN = 200  # characters of what it answered


def health(
    address: str,
    port: int,
    path: str,
    host: str = "localhost",
    check: Mapping[str, Any] | None = None,
    timeout: float = 2.0,
) -> str:
    """Return an empty string if an instance answers its health path as it should, else what it did instead.

    That is with 200, or as `check` says: {status, headers}.
    """
    check = check or {}
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host} | check.get("headers", {}))
        answer = connection.getresponse()
        return (
            ""
            if _expected(answer.status, check.get("status", "200"))
            else f"{ANSWERED} {answer.status}{_said(answer.read(65536))}"
        )
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def _expected(status: int, of: str) -> bool:
    """Say whether a status is one of several, written as HAProxy has them, like 200,300-399."""
    ranges = (part.partition("-") for part in of.split(","))
    return any(int(low) <= status <= int(high or low) for low, _, high in ranges)


def _said(body: bytes) -> str:
    """Return the beginning of a page for a message, as text."""
    text = re.sub(r"(?s)<(style|script|head)\b.*?</\1>|<[^>]*>", " ", body.decode(errors="replace"))
    words = " ".join(text.split())
    return f', "{words[:SHOWN]}{"…" if len(words) > SHOWN else ""}"' if words else ""


def stale_instances(
    app: App,
    deployment: str,
    instances: list[dict[str, Any]],
    path: str,
    environment: dict[str, str],
    check: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the instances that have to be put on the deployment, each with why.

    What counts is what the processes were started with: a file that somebody altered and that nobody has read yet is
    mended without a restart.
    """
    expected = environment | {"APP_DEPLOYMENT": deployment}
    states = unit_states([app.unit(instance["number"]) for instance in instances])
    stale, ports = [], {}
    for instance in instances:
        number, state = instance["number"], states[app.unit(instance["number"])]
        running = process_environment(state["MainPID"])
        ports[number] = running.get("APP_PORT") or running.get("GRANIAN_PORT", "")
        drop_ins = (app.expected_drop_in(deployment, instance), app.expected_socket(deployment, instance))
        reason = ""
        if app.linked(number) != deployment:
            reason = f"is on {app.linked(number)}" if app.linked(number) else "is new"
        elif app.drop_ins(number) != drop_ins:
            reason = "has another drop-in"
        elif not app.enabled(number):
            reason = "is not enabled"
        elif state["ActiveState"] != "active":
            reason = f"is {state['ActiveState']}"
        elif running.get("APP_DEPLOYMENT") != deployment or ports[number] != str(instance["port"]):
            reason = f"still runs {running.get('APP_DEPLOYMENT')}"
        elif any(running.get(key) != value for key, value in expected.items()):
            reason = "was started with another environment"
        else:
            reason = health(instance["address"], instance["port"], path, instance["health_host"], check)
        if reason:
            stale.append(instance | {"reason": reason})
    return _in_order(stale, ports)


def _in_order(stale: list[dict[str, Any]], ports: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return them in the order in which they can be put on their ports, `ports` being those that they run on."""
    # Where ports move up by less than there are instances, the last one has to make room first.
    held = {running_port: number for number, running_port in ports.items()}
    rising = any(held.get(str(instance["port"]), 0) > instance["number"] for instance in stale)
    return stale[::-1] if rising else stale
