"""Put an instance in its place on a deployment and see it healthy, put it back, or remove it."""

from __future__ import annotations

import shutil
import time
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.staleness import ANSWERED, health
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import (
    HostError,
    process_environment,
    run,
    unit_states,
)

POLL = 0.05  # seconds between two questions for the health of an instance that is starting
SLOWEST = 2.0  # seconds, most between two where it answers, but not as it should: each may be a traceback in its log
LOOK = 0.5  # seconds between two looks at its unit
CRASHES = 3  # restarts by systemd after which waiting on is pointless
MISSING = 10.0  # seconds of nothing but 404 after which it is: an application that is not ready yet says so otherwise


def wait(app: App, deployment: str, instance: dict[str, Any], path: str, timeout: float) -> str:
    """Wait until an instance runs a deployment and is healthy; return why it is not, empty if it is."""
    began = time.monotonic()
    end = began + timeout
    unit = app.unit(instance["number"])
    before = int(unit_states([unit])[unit]["NRestarts"])
    looked = time.monotonic()
    first, pause, missing = "", POLL, 0.0
    while True:
        problem = health(instance["address"], instance["port"], path, instance["health_host"], instance["health_check"])
        if problem.startswith(ANSWERED):
            first, pause = first or problem, min(2 * pause, SLOWEST)
        missing = (missing or time.monotonic()) if problem.startswith(f"{ANSWERED} 404") else 0.0
        if problem and time.monotonic() < min(looked + LOOK, end):
            time.sleep(pause)
            continue
        # A process for each look, which a slow machine would rather spend on the instance.
        state, looked = unit_states([unit])[unit], time.monotonic()
        if not problem:
            # Another process on the port would answer as well.
            if process_environment(state["MainPID"]).get("APP_DEPLOYMENT") == deployment:
                return ""
            problem = f"{instance['address']}:{instance['port']} is answered by something else"
        if int(state["NRestarts"]) - before >= CRASHES:
            return f"it exits as soon as it is started ({problem})"
        if time.monotonic() > (min(end, missing + MISSING) if missing else end):
            before_that = f"; first it gave {first}" if first not in ("", problem) else ""
            fix = f". Fix: a route {path} in the app, or a path that it has, as `health: /`" if missing else ""
            waited = min(timeout, time.monotonic() - began)
            return f"not healthy after {waited:.0f} s: {path} gives {problem}{before_that}{fix}"
        time.sleep(pause)


def remove(app: App, number: int) -> None:
    """Stop an instance and remove what belongs to it alone."""
    run("systemctl", "disable", "--quiet", app.unit(number))
    run("systemctl", "stop", app.socket(number), app.unit(number))
    for drop_in in (app.drop_in(number), app.socket_drop_in(number)):
        shutil.rmtree(drop_in.parent, ignore_errors=True)
    app.point(number, None)
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", app.unit(number), check=False)


def restore(
    app: App, params: dict[str, Any], was: str | None, at: tuple[str, int] | None, drop_ins: tuple[str | None, str]
) -> str:
    """Put an instance back on what it ran before; return in words what came of it."""
    number = params["number"]
    try:
        if was == params["deployment"]:
            return "it was on this deployment before, so there is nothing to go back to"
        if was is None or at is None or drop_ins[0] is None:
            remove(app, number)
            return "it was new and is stopped again"
        app.place(number, was, drop_ins[0], drop_ins[1])
        there = params | {"address": at[0], "port": at[1], "health_check": app.health_check(was)}
        again = wait(app, was, there, app.health_path(was), params["timeout"])
    except (OSError, HostError) as error:
        again = str(error)
    return f"it is back on {was}" + (f", which is not healthy either: {again}" if again else " and healthy")


def put(app: App, params: dict[str, Any], seconds: dict[str, float]) -> str:
    """Put the instance in place, or remove it; return why it is not healthy, empty if it is.

    What was done, and how long it took, is added to `seconds`.
    """
    number, deployment, began = params["number"], params["deployment"], time.monotonic()
    try:
        if params["state"] == "absent":
            remove(app, number)
            app.remember()
            seconds["removed"] = round(time.monotonic() - began, 2)
            return ""
        app.place(number, deployment, app.expected_drop_in(deployment, params), app.expected_socket(deployment, params))
        restarted = time.monotonic()
        seconds["restarted"] = round(restarted - began, 2)
        problem = wait(app, deployment, params, params["health"], params["timeout"])
    except (OSError, HostError) as error:
        return str(error)
    if not problem:
        seconds["healthy"] = round(time.monotonic() - restarted, 2)
    return problem
