#!/usr/bin/python
"""Remember on a balancer which servers somebody took out by hand."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_drained
short_description: Remember which servers are out by hand
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Writes C(/etc/haproxy/drained.json), from which M(flask_haproxy.deploy.haproxy_config) disables the servers in the
    configuration. What is in it survives reloads, crashes and later runs until it is lifted.
options:
  servers:
    description: Servers as C(backend/server).
    type: list
    elements: str
    required: true
  state:
    description: Whether they are to be out.
    type: str
    choices: [present, absent]
    default: present
  who:
    description: Who wants it.
    type: str
    default: somebody
"""
EXAMPLES = r"""
- name: Remember that the server is out
  flask_haproxy.deploy.haproxy_drained:
    servers: [hello/web1-2]
    who: anna@laptop
"""
RETURN = r"""
drained:
  description: All servers that are out by hand now, with C(who) and C(since).
  returned: always
  type: dict
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import DRAINED, drained
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import audit


def main() -> None:
    """Add or take away."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "who": {"type": "str", "default": "somebody"},
        },
        supports_check_mode=True,
    )
    out, who = drained(), module.params["who"]
    before = dict(out)
    for server in module.params["servers"]:
        if module.params["state"] == "absent":
            out.pop(server, None)
        else:
            out.setdefault(server, {"who": who, "since": time.strftime(TIME)})
    if out != before and not module.check_mode:
        write_file(DRAINED, json.dumps(out, indent=2) + "\n")
        verb = "back in" if module.params["state"] == "absent" else "out by hand"
        audit(f"{' '.join(sorted(set(out) ^ set(before)))}: {verb}, by {who}")
    module.exit_json(changed=out != before, drained=out)


if __name__ == "__main__":
    main()
