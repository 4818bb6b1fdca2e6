#!/usr/bin/python
"""Say what the hosts have answered. The action plugin of the same name does it, on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_report
short_description: Say what a site is, from what its hosts have answered
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Displays a text as it is, under whatever callback. Asks no host and changes nothing.
options:
  about:
    description: What it is about.
    type: str
    choices: [status, doctor, releases, logs]
    default: status
  backends:
    description: As P(flask_haproxy.deploy.flask_backends#filter) returns them.
    type: list
    elements: dict
    default: []
  app_hosts:
    description: What M(flask_haproxy.deploy.flask_status) returned, by host; empty for one that was not asked.
    type: dict
    default: {}
  balancers:
    description: What M(flask_haproxy.deploy.haproxy_status) returned, by host.
    type: dict
    default: {}
  journals:
    description: What M(flask_haproxy.deploy.flask_logs) returned, by host.
    type: dict
    default: {}
  request:
    description: Id of the request that the lines are about.
    type: str
    default: ""
  app:
    description: Of the lines of requests, show those that went to this app; empty for all.
    type: str
    default: ""
  format:
    description: For people or for programs.
    type: str
    choices: [text, json]
    default: text
"""
EXAMPLES = r"""
- name: Say what is where
  flask_haproxy.deploy.flask_report:
    backends: "{{ flask_apps | flask_haproxy.deploy.flask_backends(groups, hostvars) }}"
    app_hosts: {}
    balancers: {}
"""
RETURN = r"""
report:
  description: The text. P(flask_haproxy.deploy.story#callback) says nothing of its own beside it.
  returned: always
  type: str
status:
  description: With C(doctor), 1 where something is to be looked at and 2 where something is critical, which fails as well.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Say that this needs its other half."""
    AnsibleModule(argument_spec={}).fail_json(msg="The action plugin flask_report was not found.")


if __name__ == "__main__":
    main()
