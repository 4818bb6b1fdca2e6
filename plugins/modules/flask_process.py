#!/usr/bin/python
"""Put a process or a timer on a deployment, or take it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_process
short_description: Put a process or a timer of a WSGI application on a deployment
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - A process gets SIGTERM and its time to finish, and is started again on the deployment. If it does not stay, it goes back to
    what it ran before, and its journal is shown.
  - What a timer has started goes on undisturbed; the next time, it is the deployment's.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  process:
    description: Name of the timer, or of the process with its number, as C(mail-1).
    type: str
    required: true
  state:
    description: C(present), or C(absent) to stop it and remove what belongs to it.
    type: str
    choices: [present, absent]
    default: present
  deployment:
    description: Id of the deployment; needed with C(present).
    type: str
  host:
    description: Name of the host in the inventory.
    type: str
    default: localhost
"""
EXAMPLES = r"""
- name: Put the first worker on the deployment
  flask_haproxy.deploy.flask_process:
    name: shop
    process: mail-1
    host: web1
    deployment: 0a1b2c3d4e5f
"""
RETURN = r"""
name:
  description: Name of the application, and of the process.
  returned: always
  type: str
was:
  description: Deployment that it was on before.
  returned: always
  type: str
"""

import contextlib
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.processes import (
    Units,
    commands_of,
    timer_path,
    wanted,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import (
    HostError,
    audit,
    journal,
    process_environment,
    run,
    unit_states,
)

STAYS = 1.5  # seconds after which one that cannot work has ended


def remove(app: App, process: str) -> None:
    """Stop a process or a timer, what that has started included, and remove what belongs to it."""
    timer, service = timer_path(app, process), app.unit(process)
    run("systemctl", "disable", "--quiet", *([timer.name] if timer.is_file() else [service]), check=False)
    run("systemctl", "stop", *([timer.name] if timer.is_file() else []), service, check=False)
    shutil.rmtree(app.drop_in(process).parent, ignore_errors=True)
    timer.unlink(missing_ok=True)
    app.point(process, None)
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", service, check=False)


def place(app: App, process: str, deployment: str, units: Units) -> None:
    """Join a process or a timer with a deployment, and start it."""
    timer, target = timer_path(app, process), f"flask-{app.name}.target"
    if not units.timer:
        # With the time that it was given itself, before its units are others.
        run("systemctl", "stop", app.unit(process), check=False)
    write_file(app.drop_in(process), units.service)
    new = bool(units.timer) and not timer.is_file()
    anew = write_file(timer, units.timer) if units.timer else False
    app.point(process, deployment)
    unit = timer.name if units.timer else app.unit(process)
    # `enable` reads the units anew as well, but not where there is nothing to enable.
    run("systemctl", "enable", "--quiet", unit, target)
    run("systemctl", "daemon-reload")
    if new:
        # When one of this name last ran here, before it was removed: `catch_up` is not for the time without it. One that
        # does not catch up has nothing of the kind, which systemctl calls a failure.
        run("systemctl", "clean", "--what=state", unit, check=False)
    # A timer that has not changed goes on: nothing that is due meanwhile is missed.
    run("systemctl", "restart" if anew else "start", unit)


def ended(app: App, process: str, deployment: str) -> str:
    """Return why a process does not run a deployment a moment after it was started, empty where it does."""
    time.sleep(STAYS)
    state = unit_states([app.unit(process)])[app.unit(process)]
    if state["ActiveState"] != "active" or state["NRestarts"] != "0":
        return "it exits as soon as it is started"
    running = process_environment(state["MainPID"]).get("APP_DEPLOYMENT")
    return "" if running == deployment else f"it runs {running}"


def put(app: App, process: str, deployment: str, host: str) -> str:
    """Put a process or a timer on a deployment; return why that did not work and what it is on instead, empty if it did."""
    was = app.linked(process)
    # That it is to run here has been found already.
    here = {"host": host, "first": True}
    found = {one: wanted(app, one, commands_of(app, one), here) for one in (deployment, was) if one}
    units = found[deployment][process]
    try:
        place(app, process, deployment, units)
        problem = "" if units.timer else ended(app, process, deployment)
    except (OSError, HostError) as error:
        problem = str(error)
    if not problem:
        return ""
    if was == deployment:
        return f"{problem}; it was on this deployment before, so there is nothing to go back to"
    if was is None or process not in found[was]:
        remove(app, process)
        return f"{problem}; it was new and is removed again"
    place(app, process, was, found[was][process])
    return f"{problem}; it is back on {was}"


def change(module: AnsibleModule, app: App) -> None:
    """Do what is asked for, and say what came of it."""
    process, deployment = module.params["process"], module.params["deployment"]
    result = {"name": f"{app.name} {process}", "was": app.linked(process), "changed": True}
    if module.check_mode:
        module.exit_json(**result)
    since = time.time()
    if module.params["state"] == "absent":
        remove(app, process)
        audit(f"{app.unit(process)}: removed")
        module.exit_json(**result)
    problem = put(app, process, deployment, module.params["host"])
    audit(f"{app.unit(process)}: {problem or f'on deployment {deployment}'}")
    if problem:
        module.fail_json(
            msg=f"{app.unit(process)}: {problem}. The instances stay on the new deployment; the next run tries it again.\n"
            f"What the unit wrote:\n{journal(app.unit(process), since)}",
            **result,
        )
    module.exit_json(**result)


def main() -> None:
    """Change one, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "process": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "deployment": {"type": "str"},
            "host": {"type": "str", "default": "localhost"},
        },
        required_if=[("state", "present", ("deployment",))],
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            change(module, app)
    except (OSError, HostError) as error:
        module.fail_json(msg=f"{app.unit(module.params['process'])}: {error}.")


if __name__ == "__main__":
    main()
