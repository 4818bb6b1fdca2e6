#!/usr/bin/python
"""Run commands as an application runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_command
short_description: Run commands of a WSGI application on a host, as it runs
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - As the user of the application, in the sandbox of its unit, with the release and the environment of a deployment. No shell
    reads a command. Commands of what the application requires are found by their names.
  - Of several, the first that fails is the last that runs.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  deployment:
    description: Id of the deployment; left out, the one that the first instance of the host is on.
    type: str
  commands:
    description: The commands. With C(terminal), one at most; left out, a shell of Flask where the app has that, otherwise Python's.
    type: list
    elements: str
    default: []
  terminal:
    description: Run nothing, and return the command line for whoever sits at a terminal of the host.
    type: bool
    default: false
  timeout:
    description: Seconds that each may take; 0 for as long as it likes.
    type: int
    default: 0
  release:
    description: >-
      Version of the deployment for which they are its release command. It is written down once they have run, and nobody else
      works on the application meanwhile.
    type: str
    default: ""
"""
EXAMPLES = r"""
- name: Create an administrator
  flask_haproxy.deploy.flask_command:
    name: shop
    commands: [flask create-admin me@example.org]
"""
RETURN = r"""
deployment:
  description: Id of the deployment.
  returned: always
  type: str
rc:
  description: Exit status of the last one that ran.
  returned: always
  type: int
stdout:
  description: What they wrote to their output.
  returned: always
  type: str
stderr:
  description: What they wrote to their errors.
  returned: always
  type: str
line:
  description: The command line, with C(terminal).
  returned: on success
  type: list
recorded:
  description: The line that was written down, with C(release).
  returned: on success
  type: str
"""

import contextlib
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.commands import command_line, run_in_sandbox, shell
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, audit


def execute(module: AnsibleModule, app: App, deployment: str) -> None:
    """Run them, and write down that they ran."""
    params = module.params
    unit = f"flask-{app.name}-{'release' if params['release'] else f'run-{os.getpid()}'}"
    result: dict[str, Any] = {"changed": True, "deployment": deployment, "rc": 0, "stdout": "", "stderr": ""}
    for command in [] if module.check_mode else params["commands"]:
        began = time.monotonic()
        status, output, errors = run_in_sandbox(app, deployment, unit, command, params["timeout"])
        result |= {"rc": status, "stdout": result["stdout"] + output, "stderr": result["stderr"] + errors}
        # A command by hand may hold a secret.
        audit(f"{unit}: {command if params['release'] else 'a command'} ended with status {status}")
        if status:
            what = "The release command" if params["release"] else "A command"
            after = " No instance was touched, and the next run tries it again." if params["release"] else ""
            late = params["timeout"] and time.monotonic() - began >= params["timeout"]
            ended = f"did not end within {params['timeout']} s" if late else f"ended with status {status}"
            module.fail_json(msg=f"{what} of {app.name} {ended}: {command}.{after}", **result)
    line = f"{time.strftime(TIME)} {params['release']}"
    if params["release"] and not module.check_mode:
        with (app.home / "released").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    module.exit_json(recorded=line, **result)


def main() -> None:
    """Do so; where it is the release command, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "deployment": {"type": "str"},
            "commands": {"type": "list", "elements": "str", "default": []},
            "terminal": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 0},
            "release": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"])
    deployment: str = module.params["deployment"] or app.linked(next(iter(app.numbers()), 0)) or ""
    if not deployment:
        module.fail_json(
            msg=f"{app.name} has no instance on this host. Fix: ansible-playbook flask_haproxy.deploy.site"
        )
    try:
        if module.params["terminal"]:
            command = next(iter(module.params["commands"]), shell(app, deployment))
            line = command_line(app, deployment, f"flask-{app.name}-run-{os.getpid()}", command, ["--pty"])
            module.exit_json(changed=False, deployment=deployment, line=line)
        with app.alone() if module.params["release"] and not module.check_mode else contextlib.nullcontext():
            execute(module, app, deployment)
    except (OSError, ValueError, HostError) as error:
        module.fail_json(msg=f"{app.name}: {error}.")


if __name__ == "__main__":
    main()
