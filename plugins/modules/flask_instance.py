#!/usr/bin/python
"""Put one instance on a deployment, or take it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_instance
short_description: Put one instance of a WSGI application on a deployment
description:
  - Points the instance at the deployment, restarts it and waits until it answers its health path with 200. If it does
    not, the instance goes back to what it ran before, the deployment is marked bad, and the unit's journal is shown.
  - The balancers are not this module's business; drain the instance first.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  number:
    description: Number of the instance.
    type: int
    required: true
  state:
    description: C(present), or C(absent) to stop it and remove what belongs to it alone.
    type: str
    choices: [present, absent]
    default: present
  deployment:
    description: Id of the deployment; needed with C(present).
    type: str
  failed_deployment:
    description: Id of a deployment to mark bad, from which the instance is put back.
    type: str
    default: ""
  address:
    description: Address that the instance listens on.
    type: str
    default: 127.0.0.1
  port:
    description: Port that the instance listens on.
    type: int
  host:
    description: Name of the host in the inventory.
    type: str
  number_base:
    description: Added to the number in C(APP_NUMBER).
    type: int
    default: 0
  health:
    description: Path that answers 200 when the instance is ready.
    type: str
    default: /health
  health_host:
    description: Host name to ask for the health path with.
    type: str
    default: localhost
  timeout:
    description: Seconds that the instance has to become healthy.
    type: int
    default: 60
"""
EXAMPLES = r"""
- name: Put instance 2 on the deployment
  flask_instance:
    name: hello
    number: 2
    port: 5002
    host: web1
    deployment: 0a1b2c3d4e5f
"""
RETURN = r"""
was:
  description: Deployment that the instance ran before; C(was_address) and C(was_port) are where.
  returned: always
  type: str
journal:
  description: What the unit wrote since it was started.
  returned: on failure
  type: str
"""

import contextlib
import os
import shutil
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import (
    BAD,
    App,
    LayoutError,
    audit,
    health,
    journal,
    process_environment,
    run,
    write_file,
)

POLL = 0.05  # seconds between two questions for the health of an instance that is starting
LOOK = 0.5  # seconds between two looks at its unit
CRASHES = 3  # restarts by systemd after which waiting on is pointless


def put(app: App, deployment: str, instance: dict[str, Any]) -> None:
    """Point an instance at a deployment and restart it."""
    write_file(app.drop_in(instance["number"]), app.expected_drop_in(deployment, instance))
    app.point(instance["number"], deployment)
    unit, target = app.unit(instance["number"]), f"flask-{app.name}.target"
    at_boot = app.enabled(instance["number"]) and app.at_boot()
    # `enable` reads the units anew as well.
    run("systemctl", *(["daemon-reload"] if at_boot else ["enable", "--quiet", unit, target]))
    run("systemctl", "restart", unit)
    if not at_boot:
        # Not before: it would start the instance, only for that to be restarted.
        run("systemctl", "start", "--no-block", target)


def wait(app: App, deployment: str, instance: dict[str, Any], path: str, timeout: float) -> str:
    """Wait until an instance runs a deployment and is healthy; return why it is not, empty if it is."""
    end = time.monotonic() + timeout
    before = int(app.unit_states([instance["number"]])[instance["number"]]["NRestarts"])
    looked = time.monotonic()
    while True:
        problem = health(instance["address"], instance["port"], path, instance["health_host"])
        if problem and time.monotonic() < min(looked + LOOK, end):
            time.sleep(POLL)
            continue
        # A process for each look, which a slow machine would rather spend on the instance.
        state, looked = app.unit_states([instance["number"]])[instance["number"]], time.monotonic()
        if not problem:
            # Another process on the port would answer as well.
            if process_environment(state["MainPID"]).get("APP_DEPLOYMENT") == deployment:
                return ""
            problem = f"{instance['address']}:{instance['port']} is answered by something else"
        if int(state["NRestarts"]) - before >= CRASHES:
            return f"it exits as soon as it is started ({problem})"
        if time.monotonic() > end:
            return f"not healthy after {timeout:g} s: {path} gives {problem}"
        time.sleep(POLL)


def remove(app: App, number: int) -> None:
    """Stop an instance and remove what belongs to it alone."""
    run("systemctl", "disable", "--quiet", "--now", app.unit(number))
    shutil.rmtree(app.drop_in(number).parent, ignore_errors=True)
    app.point(number, None)
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", app.unit(number), check=False)


def restore(app: App, params: dict[str, Any], was: str | None, at: tuple[str, int] | None, drop_in: str | None) -> str:
    """Put an instance back on what it ran before; return in words what came of it."""
    number = params["number"]
    try:
        if was == params["deployment"]:
            return "it was on this deployment before, so there is nothing to go back to"
        if was is None or at is None or drop_in is None:
            remove(app, number)
            return "it was new and is stopped again"
        write_file(app.drop_in(number), drop_in)
        app.point(number, was)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", app.unit(number))
        there = params | {"address": at[0], "port": at[1]}
        again = wait(app, was, there, app.health_path(was), params["timeout"])
    except (OSError, LayoutError) as error:
        again = str(error)
    return f"it is back on {was}" + (f", which is not healthy either: {again}" if again else " and healthy")


def change(module: AnsibleModule, app: App) -> None:
    """Put the instance in place and see it healthy, or put it back as it was."""
    params = module.params
    number, deployment = params["number"], params["deployment"]
    was, was_at = app.linked(number), app.listens_at(number)
    before = {"was": was, "was_address": was_at[0] if was_at else None, "was_port": was_at[1] if was_at else None}
    result: dict[str, Any] = {"name": app.name, "number": number} | before
    if module.check_mode:
        module.exit_json(changed=True, **result)
    since = time.time()
    old_drop_in = app.drop_in(number).read_text() if app.drop_in(number).is_file() else None
    problem = ""
    try:
        if params["state"] == "absent":
            remove(app, number)
            app.remember()
            audit(f"{app.unit(number)}: removed")
            module.exit_json(changed=True, **result)
        put(app, deployment, params)
        problem = wait(app, deployment, params, params["health"], params["timeout"])
    except (OSError, LayoutError) as error:
        problem = str(error)
    bad = params["failed_deployment"] or (deployment if problem and deployment != was else "")
    shown, ended = "", f"on deployment {deployment}, was {was}"
    if problem:
        shown = journal(app.unit(number), since)
        ended = f"deployment {deployment} failed ({problem}); {restore(app, params, was, was_at, old_drop_in)}"
    # What serves comes first: where a full disk was the reason, this fails as well.
    with contextlib.suppress(OSError):
        if bad:
            app.mark_bad(bad, f"{app.unit(number)}: {problem or 'the balancers did not find it healthy'}")
        if not problem:
            (app.deployments / deployment / BAD).unlink(missing_ok=True)
            app.remember()
    audit(f"{app.unit(number)}: {ended}")
    if not problem:
        module.exit_json(changed=True, **result)
    marked = f" {bad} is marked bad." if bad else ""
    module.fail_json(
        msg=f"{app.unit(number)}: {ended}.{marked}\nWhat the unit wrote:\n{shown}", journal=shown, **result
    )


def main() -> None:
    """Change one instance, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "number": {"type": "int", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "deployment": {"type": "str"},
            "failed_deployment": {"type": "str", "default": ""},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int"},
            "host": {"type": "str"},
            "number_base": {"type": "int", "default": 0},
            "health": {"type": "str", "default": "/health"},
            "health_host": {"type": "str", "default": "localhost"},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ("deployment", "port", "host"))],
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            change(module, app)
    except LayoutError as error:
        module.fail_json(msg=f"{app.unit(module.params['number'])}: {error}. It was not touched.")


if __name__ == "__main__":
    main()
