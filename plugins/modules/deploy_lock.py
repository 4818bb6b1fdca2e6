#!/usr/bin/python
"""One deploy at a time. The action plugin of the same name says who asks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_lock
short_description: Let one deploy at a time change a host
description:
  - The lock is a file that names who holds it. One whose holder ran on the same control node and has ended, as after
    Ctrl-C or a crash, is taken over; any other is reported with the way to lift it. It is in C(/run), so a reboot
    lifts it.
options:
  state:
    description: C(present) to take the lock, C(absent) to give it back.
    type: str
    choices: [present, absent]
    default: present
  result:
    description: What came of the deploy, for the journal; with C(absent).
    type: str
    default: done
"""
EXAMPLES = r"""
- name: Take the lock
  deploy_lock:
    state: present
"""
RETURN = r"""
held_by:
  description: Who holds the lock, if it is not the one who asked.
  returned: always
  type: dict
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import audit, read_json

LOCK = Path("/run/flask-deploy.lock")


def take(holder: dict[str, Any], gone: str) -> dict[str, Any]:
    """Write the lock and return nothing, or return who holds it. A holder with the token `gone` no longer counts."""
    while True:
        try:
            handle = os.open(LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            other = read_json(LOCK)
            if other.get("token") == holder["token"]:
                return {}
            if not gone or other.get("token") != gone:
                return other or {"who": "somebody", "pid": 0, "since": "an unknown time", "token": ""}
            LOCK.unlink(missing_ok=True)
        else:
            with os.fdopen(handle, "w") as file:
                json.dump(holder, file)
            return {}


def main() -> None:
    """Take the lock or give it back."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "result": {"type": "str", "default": "done"},
            "holder": {"type": "dict", "required": True},
            "gone": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    holder = module.params["holder"]
    run = f"{holder['what']} by {holder['who']} (pid {holder['pid']})"
    held_by: dict[str, Any] = {}
    if not module.check_mode:
        if module.params["state"] == "present":
            held_by = take(holder, module.params["gone"])
            if not held_by:
                audit(f"{run} begins")
        elif read_json(LOCK).get("token") == holder["token"]:
            LOCK.unlink(missing_ok=True)
            audit(f"{run} ends: {module.params['result']}")
    # Who may change the host is no change of the host.
    module.exit_json(changed=False, held_by=held_by)


if __name__ == "__main__":
    main()
