#!/usr/bin/python
"""Write a deployment, prove that it can be imported, and say which instances are not on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_deployment
short_description: Have a deployment of a WSGI application on a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - A deployment is a release, an environment and the settings of the unit under one id. This module writes it, imports
    its application once inside the unit's sandbox, and reports which instances have yet to be put on it.
  - No instance is touched.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  release:
    description: Id of the release, as M(flask_haproxy.deploy.flask_release) returns it.
    type: str
    required: true
  version:
    description: >-
      What the deployment is made of, the same for all hosts, where its id depends on the host's Python and addresses.
    type: str
    required: true
  source:
    description: What the source of the release was resolved to, for the record; see M(flask_haproxy.deploy.flask_release).
    type: dict
    default: {}
  environment:
    description: Environment of the app, a mapping of text to text as JSON. Never shown.
    type: str
    default: ""
  units:
    description: Units of the app, file name to text; a change of one is a new deployment.
    type: dict
    required: true
  unit_settings:
    description: Lines for the C([Service]) section of the units of this deployment.
    type: list
    elements: str
    default: []
  settings:
    description: What the server reads from the environment, without the prefix C(APP_), with C(wsgi), the application.
    type: dict
    required: true
  commands:
    description: >-
      What runs of the deployment beside its instances or before them: C(release_command), a list of commands, C(processes) and
      C(timers), lists of mappings as an app has them.
    type: dict
    default: {}
  here:
    description: C(host), the name of the host in the inventory, and C(first), whether it runs what is to run once.
    type: dict
    required: true
  instances:
    description: The instances that this host is to have, each with number, address, port, host and number_base.
    type: list
    elements: dict
    required: true
  health:
    description: Path that answers 200 when an instance is ready.
    type: str
    required: true
  health_check:
    description: C(status) that it answers with, like C(200-299), and C(headers) to ask with, where these are not the default.
    type: dict
    default: {}
  start_timeout:
    description: Seconds that the import may take.
    type: int
    default: 60
  keep:
    description: How many deployments to keep beside those that instances are on.
    type: int
    default: 5
  force:
    description: Take a deployment although it was marked bad.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Write the deployment
  flask_haproxy.deploy.flask_deployment:
    name: hello
    release: 0a1b2c3d4e5f
    version: 5f4e3d2c1b0a
    units:
      flask-hello@.service: "{{ lookup('ansible.builtin.template', 'app@.service.j2') }}"
    settings: {server: waitress, threads: "4", max_body: "0", health: /health, wsgi: app:app}
    here: {host: web1, first: true}
    health: /health
    instances:
      - {number: 1, address: 127.0.0.1, port: 5001, host: web1, number_base: 0}
"""
RETURN = r"""
name:
  description: Name of the application.
  returned: always
  type: str
live:
  description: >-
    What the instances of this host are on, each with C(number), C(deployment), C(release) and C(since), in seconds of the
    epoch.
  returned: always
  type: list
  sample: [{"number": 1, "deployment": "0a1b2c3d4e5f", "release": "5f4e3d2c1b0a", "since": 1764115200.0}]
deployment:
  description: Id of the deployment.
  returned: always
  type: str
release:
  description: As it was given.
  returned: always
  type: str
version:
  description: As it was given.
  returned: always
  type: str
released:
  description: "[time, version] of what a release command ran for, on any host, the last one last; seconds of the epoch."
  returned: always
  type: list
lived:
  description: "[time, version] of what all instances of this host were on, the last one last."
  returned: always
  type: list
stale:
  description: Those of the instances that do not run the deployment, or not healthily, with the reason.
  returned: always
  type: list
processes:
  description: Those of the processes and timers that are not on the deployment, each with the reason.
  returned: always
  type: list
surplus_processes:
  description: Names of the processes and timers that this host has and should not have.
  returned: always
  type: list
stop_seconds:
  description: Seconds that those have to finish, one after the other, by the units that they have.
  returned: always
  type: int
at_boot:
  description: Whether the target of the app is enabled and started.
  returned: always
  type: bool
not_there:
  description: Whether the units are still to be written, which they are after check mode only.
  returned: always
  type: bool
surplus:
  description: Numbers of the instances that this host has and should not have.
  returned: always
  type: list
"""

import contextlib
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.deployment import Deployment
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.processes import process_changes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.staleness import stale_instances
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError


def bring(module: AnsibleModule, app: App) -> None:
    """Compare, write, prove."""
    params = module.params
    numbers = [instance["number"] for instance in params["instances"]]
    surplus = [number for number in app.numbers() if number not in numbers]
    deployment = Deployment(app, params)
    result: dict[str, Any] = {
        "deployment": deployment.id,
        "release": params["release"],
        "stale": [],
        "surplus": surplus,
        "not_there": False,
    }
    result |= {"name": app.name, "live": app.on(app.numbers())}
    result |= {"version": params["version"], "released": app.released(), "lived": app.lived()}
    problem = deployment.refusal()
    if problem:
        module.fail_json(msg=problem, **result)
    try:
        stale = stale_instances(
            app, deployment.id, params["instances"], params["health"], deployment.variables, params["health_check"]
        )
        result |= process_changes(app, deployment.id, params["commands"], params["here"])
        changed = bool(deployment.different or deployment.changed_units)
        result |= {"stale": stale, "changed": changed, "at_boot": app.at_boot(), "diff": deployment.diff()}
        if module.check_mode:
            module.exit_json(**result | {"not_there": not all(path.is_file() for path in deployment.units)})
        deployment.write()
        problem = deployment.import_problem()
    except (OSError, HostError) as error:
        module.fail_json(msg=f"Deployment {deployment.id} of {app.name}: {error}. No instance was touched.", **result)
    if problem:
        module.fail_json(
            msg=f"Deployment {deployment.id} of {app.name} cannot be imported, so no instance was touched:\n{problem}",
            **result,
        )
    module.exit_json(**result)


def main() -> None:
    """Do so, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "source": {"type": "dict", "default": {}},
            "environment": {"type": "str", "default": "", "no_log": True},
            "units": {"type": "dict", "required": True},
            "unit_settings": {"type": "list", "elements": "str", "default": []},
            "settings": {"type": "dict", "required": True},
            "commands": {"type": "dict", "default": {}},
            "here": {"type": "dict", "required": True},
            "instances": {"type": "list", "elements": "dict", "required": True},
            "health": {"type": "str", "required": True},
            "health_check": {"type": "dict", "default": {}},
            "start_timeout": {"type": "int", "default": 60},
            "keep": {"type": "int", "default": 5},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            bring(module, app)
    except HostError as error:
        module.fail_json(msg=f"{app.name}: {error}. No instance was touched.")


if __name__ == "__main__":
    main()
