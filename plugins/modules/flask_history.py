#!/usr/bin/python
"""Say which deployments a host has, and which of them were live when."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_history
short_description: Say which deployments of an application a host has
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
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
  flask_haproxy.deploy.flask_history:
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
released:
  description: "[time, version] of what a release command ran for, on any host, the last one last; seconds of the epoch."
  returned: always
  type: list
deployments:
  description: >-
    {id: {version, release, bad, source, made_of, written}} of those that are there; C(bad) is why it was marked, null if it
    was not, C(source) what its source was last resolved to, see M(flask_haproxy.deploy.flask_release), C(made_of) the one that
    it was first written of, at C(written).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_status import deployments
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App


def main() -> None:
    """Read it off the files."""
    module = AnsibleModule(argument_spec={"name": {"type": "str", "required": True}}, supports_check_mode=True)
    app = App(module.params["name"])
    linked = {app.linked(number) for number in app.numbers()}
    module.exit_json(
        changed=False, name=app.name, live=linked.pop() if len(linked) == 1 else None, history=app.history(),
        released=app.released(), deployments=deployments(app),
    )  # fmt: skip


if __name__ == "__main__":
    main()
