#!/usr/bin/python
"""Say which instances are not on a deployment that the host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_stale
short_description: Say which instances are not on a deployment that the host has
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
  instances:
    description: The instances of this host, as for M(flask_deployment).
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: See what a rollback has to do
  flask_stale:
    name: hello
    deployment: 0a1b2c3d4e5f
    health: /health
    instances: [{number: 1, address: 127.0.0.1, port: 5001, host: web1, number_base: 0}]
"""
RETURN = r"""
deployment:
  description: Id of the deployment.
  returned: always
  type: str
release:
  description: Id of its release.
  returned: always
  type: str
stale:
  description: The instances that are not on it, as M(flask_deployment) returns them.
  returned: always
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import App, LayoutError, read_json, stale_instances


def main() -> None:
    """Compare."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "deployment": {"type": "str", "required": True},
            "health": {"type": "str", "required": True},
            "instances": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    app, deployment, health = App(module.params["name"]), module.params["deployment"], module.params["health"]
    nothing = {"changed": False, "deployment": deployment, "release": None, "stale": [], "surplus": []}
    nothing |= {"at_boot": True, "not_there": False}
    if not deployment:
        module.exit_json(**nothing)
    record = read_json(app.deployments / deployment / "deployment.json")
    if record.get("health") != health:
        module.fail_json(
            msg=f"Deployment {deployment} of {app.name} answers {record.get('health')}, and the balancers ask for {health}. "
            f"Nothing was changed. Fix: health: {record.get('health')} in the inventory, and site.yml."
        )
    try:
        stale = stale_instances(app, deployment, module.params["instances"], health, {})
    except LayoutError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**nothing | {"release": record["release"], "stale": stale})


if __name__ == "__main__":
    main()
