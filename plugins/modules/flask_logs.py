#!/usr/bin/python
"""Return lines of the journal about applications, balancers and deploys. The action plugin of the same name follows them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_logs
short_description: Return lines of the journal about applications, balancers and deploys
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads only. The last lines where there are more than C(lines).
options:
  units:
    description: Units, as patterns.
    type: list
    elements: str
    default: []
  identifiers:
    description: Names under which others write, such as C(flask-deploy).
    type: list
    elements: str
    default: []
  since:
    description: A time as journalctl takes it.
    type: str
    default: 15min ago
  words:
    description: Words that the lines have, such as the id of a request.
    type: str
    default: ""
  after:
    description: Go on after this cursor, which an earlier answer had.
    type: str
    default: ""
  lines:
    description: How many at most.
    type: int
    default: 1000
  follow:
    description: For so many seconds, display new lines as they come. The action plugin does it.
    type: int
    default: 0
  app:
    description: Of the lines of requests, display those that went to this app; empty for all. The action plugin does it.
    type: str
    default: ""
"""
EXAMPLES = r"""
- name: See what an app has said
  flask_haproxy.deploy.flask_logs:
    units: ["flask-hello@*.service"]
    since: today
"""
RETURN = r"""
lines:
  description: The lines in their order, each with C(time) in seconds of the epoch, C(unit) and C(text).
  returned: always
  type: list
  elements: dict
cursor:
  description: Cursor of the last of them.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.journal_lines import Question, ask
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError


def main() -> None:
    """Ask the journal."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "units": names,
            "identifiers": names,
            "since": {"type": "str", "default": "15min ago"},
            "words": {"type": "str", "default": ""},
            "after": {"type": "str", "default": ""},
            "lines": {"type": "int", "default": 1000},
            "follow": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    asked = {key: value for key, value in module.params.items() if key != "follow"}
    try:
        lines, cursor = ask(Question(**asked))
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, lines=lines, cursor=cursor or module.params["after"])


if __name__ == "__main__":
    main()
