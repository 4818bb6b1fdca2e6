#!/usr/bin/python
"""One deploy at a time. The action plugin of the same name says who asks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_lock
short_description: Let one deploy at a time change a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - The lock is a lease on a balancer. It names who holds it, and is free when it has run out; what works under it renews it
    (M(flask_haproxy.deploy.haproxy_server)). So a run that was cut off blocks nobody for longer than that.
  - One whose holder ran on the same control node and has ended, as after Ctrl-C or a crash, is taken over at once. It is in
    C(/run), so a reboot lifts it.
options:
  state:
    description: C(present) to take or renew the lock, C(absent) to give it back.
    type: str
    choices: [present, absent]
    default: present
  seconds:
    description: How long the lease lasts, unless it is renewed.
    type: int
    default: 600
  wait:
    description: Seconds to wait for a lock that somebody else holds.
    type: int
    default: 0
  result:
    description: What came of the deploy, for the journal; with C(absent).
    type: str
    default: done
  holder:
    description: Who asks, C({who, what, pid, since, machine, token}). The action plugin sets it.
    type: dict
    required: true
  gone:
    description: Token of a holder that has ended, whose lock is taken over. The action plugin sets it.
    type: str
    default: ""
"""
EXAMPLES = r"""
- name: Take the lock
  flask_haproxy.deploy.deploy_lock:
    wait: 300
"""
RETURN = r"""
held_by:
  description: Who holds the lock, if it is not the one who asked.
  returned: always
  type: dict
lease:
  description: What whoever works under the lock renews it with, the holder and C(seconds).
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.lease import give_back, held, take
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import audit


def main() -> None:
    """Take the lock or give it back."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "seconds": {"type": "int", "default": 600},
            "result": {"type": "str", "default": "done"},
            # The action plugin waits, by asking again.
            "wait": {"type": "int", "default": 0},
            "holder": {"type": "dict", "required": True},
            "gone": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    holder, seconds = module.params["holder"], module.params["seconds"]
    run = f"{holder['what']} by {holder['who']} (pid {holder['pid']})"
    held_by: dict[str, Any] = {}
    if not module.check_mode:
        if module.params["state"] == "present":
            again = held().get("token") == holder["token"]
            held_by = take(holder, seconds, module.params["gone"])
            if not (held_by or again):
                audit(f"{run} begins")
        elif give_back(holder["token"]):
            audit(f"{run} ends: {module.params['result']}")
    # Who may change the host is no change of the host.
    module.exit_json(changed=False, held_by=held_by, lease={} if module.check_mode else holder | {"seconds": seconds})


if __name__ == "__main__":
    main()
