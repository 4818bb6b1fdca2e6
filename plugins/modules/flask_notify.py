#!/usr/bin/python
"""Run commands on the control node after a run. The action plugin of the same name does it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_notify
short_description: Tell a command on the control node what came of a run
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Runs C(notify_command) of each app that something was done to, or that has failed, once, on the control node. What came of
    it is in the environment, in variables that begin with C(NOTIFY_).
  - Asks no host and changes nothing. A command that fails is a warning. In check mode, none is run.
options:
  commands:
    description: The command of each app that has one, by the name of the app. No shell reads it.
    type: dict
    required: true
  found:
    description: >-
      What M(flask_haproxy.deploy.flask_deployment) or M(flask_haproxy.deploy.flask_stale) returned, by host and app.
    type: dict
    required: true
  failed:
    description: What has failed, each with C(app), C(host) and C(reason).
    type: list
    elements: dict
    default: []
  action:
    description: What was to be done.
    type: str
    choices: [deploy, rollback]
    required: true
  finished:
    description: Whether the run came to its end.
    type: bool
    required: true
  folder:
    description: Folder in which the commands run.
    type: path
    required: true
  timeout:
    description: Seconds that a command may take.
    type: int
    default: 60
"""
EXAMPLES = r"""
- name: Tell of it
  flask_haproxy.deploy.flask_notify:
    commands: {shop: ./tell.sh}
    found: {web1: {shop: "{{ deployment }}"}}
    action: deploy
    finished: true
    folder: "{{ inventory_dir }}"
"""
RETURN = r"""
told:
  description: Names of the apps whose command was run.
  returned: always
  type: list
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that this needs its other half."""
    AnsibleModule(argument_spec={}).fail_json(msg="The action plugin flask_notify was not found.")


if __name__ == "__main__":
    main()
