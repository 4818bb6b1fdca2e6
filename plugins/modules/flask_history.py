#!/usr/bin/python
"""Say which deployments a host has, and which of them were live when."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_history
short_description: Say which deployments of an application a host has
description:
  - What a rollback has to choose from. Nothing is changed.
options:
  name:
    description: Name of the application.
    type: str
    required: true
"""
EXAMPLES = r"""
- name: See which deployments the host has
  flask_history:
    name: hello
"""
RETURN = r"""
name:
  description: Name of the application.
  returned: always
  type: str
live:
  description: Id of the deployment that all instances are on; null where they are on several.
  returned: always
  type: str
history:
  description: "[time, id] of each deployment that all instances were on, the last one last; seconds of the epoch."
  returned: always
  type: list
deployments:
  description: "{id: {version, release, bad}} of those that are there; C(bad) is why it was marked, null if it was not."
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import App, read_json


def main() -> None:
    """Read it off the files."""
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    app = App(module.params["name"])
    linked = {app.linked(number) for number in app.numbers()}
    found = {}
    for path in app.deployments.glob("*/deployment.json"):
        record, deployment = read_json(path), path.parent.name
        found[deployment] = {
            "version": record.get("version", deployment),
            "release": record.get("release"),
            "bad": app.bad(deployment),
        }
    module.exit_json(
        changed=False, name=app.name, live=linked.pop() if len(linked) == 1 else None, history=app.history(),
        deployments=found,
    )  # fmt: skip


if __name__ == "__main__":
    main()
