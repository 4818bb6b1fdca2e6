#!/usr/bin/python
"""Say which instances are not on a deployment that the host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_stale
short_description: Say which instances are not on a deployment that the host has
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - What a rollback to that deployment has to do. Nothing is changed, built or fetched.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  deployment:
    description: Id of the deployment; empty where the instances stay as they are.
    type: str
    required: true
  health:
    description: Path that the balancers ask for.
    type: str
    required: true
  health_check:
    description: C(status) that it answers with, like C(200-299), and C(headers) to ask with, where these are not the default.
    type: dict
    default: {}
  here:
    description: >-
      The name and the place of this host, as for M(flask_haproxy.deploy.flask_deployment); needed with a deployment.
    type: dict
    default: {}
  instances:
    description: The instances of this host, as for M(flask_haproxy.deploy.flask_deployment).
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: See what a rollback has to do
  flask_haproxy.deploy.flask_stale:
    name: hello
    deployment: 0a1b2c3d4e5f
    health: /health
    here: {host: web1, first: true}
    instances: [{number: 1, address: 127.0.0.1, port: 5001, host: web1, number_base: 0}]
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
  description: Id of its release.
  returned: always
  type: str
stale:
  description: The instances that are not on it, as M(flask_haproxy.deploy.flask_deployment) returns them.
  returned: always
  type: list
processes:
  description: The processes and timers that are not on it, each with the reason.
  returned: always
  type: list
surplus_processes:
  description: Names of the processes and timers that this host has and the deployment has not.
  returned: always
  type: list
surplus:
  description: Empty, as a rollback removes no instance; C(at_boot) is true and C(not_there) false for the same reason.
  returned: always
  type: list
stop_seconds:
  description: Seconds that both have to finish, one after the other, by the units that they have.
  returned: always
  type: int
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.processes import commands_of, process_changes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.staleness import stale_instances
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError


def as_written(health: str, check: dict[str, Any]) -> str:
    """Return a health check as an inventory has it: a path, or all that is not the default."""
    return json.dumps({"path": health} | check, sort_keys=True) if check else health


def refusal(app: App, params: dict[str, Any]) -> str:
    """Say why the balancers would find the deployment DOWN, empty where they ask as they did when it was live."""
    deployment = params["deployment"]
    answers = as_written(app.health_path(deployment), app.health_check(deployment))
    asked = as_written(params["health"], params["health_check"])
    if answers == asked:
        return ""
    return (
        f"Deployment {deployment} of {app.name} answers {answers}, and the balancers ask for {asked}. "
        f"Nothing was changed. Fix: health: {answers} in the inventory, and ansible-playbook flask_haproxy.deploy.site."
    )


def main() -> None:
    """Compare."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "health": {"type": "str", "required": True},
            "health_check": {"type": "dict", "default": {}},
            "here": {"type": "dict", "default": {}},
            "instances": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    app, deployment, health = App(module.params["name"]), module.params["deployment"], module.params["health"]
    nothing = {"changed": False, "deployment": deployment, "release": None, "stale": [], "surplus": []}
    nothing |= {"at_boot": True, "not_there": False, "name": app.name, "live": app.on(app.numbers())}
    nothing |= {"processes": [], "surplus_processes": [], "stop_seconds": 0}
    if not deployment:
        module.exit_json(**nothing)
    problem = refusal(app, module.params)
    if problem:
        module.fail_json(msg=problem)
    try:
        stale = stale_instances(app, deployment, module.params["instances"], health, {}, module.params["health_check"])
        nothing |= process_changes(app, deployment, commands_of(app, deployment), module.params["here"])
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**nothing | {"release": app.record(deployment)["release"], "stale": stale})


if __name__ == "__main__":
    main()
