#!/usr/bin/python
"""Give a server of a backend a share of its requests, and say what came of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_canary
short_description: Give a server a share of the requests of its backend
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Writes C(/etc/haproxy/canaries.json), from which M(flask_haproxy.deploy.haproxy_config) writes the weights of the
    servers, has HAProxy load them, and counts what each of them answers from then on. What is in it survives reloads,
    crashes and runs until it is lifted.
options:
  backends:
    description: Names of the backends.
    type: list
    elements: str
    required: true
  state:
    description: >-
      C(present) for a share, C(counted) to count anew from now on, C(absent) to lift it, C(asked) to change nothing.
    type: str
    choices: [present, counted, absent, asked]
    default: asked
  server:
    description: The server, with C(present).
    type: str
    default: ""
  share:
    description: Its share of the requests, in per cent, with C(present).
    type: int
    default: 0
  was:
    description: What it is to go back to, for the record, where it is not a canary yet.
    type: str
    default: ""
  who:
    description: Who wants it.
    type: str
    default: somebody
"""
EXAMPLES = r"""
- name: Let it have every tenth request
  flask_haproxy.deploy.haproxy_canary:
    backends: [shop]
    state: present
    server: web1-1
    share: 10
"""
RETURN = r"""
canaries:
  description: >-
    {backend: {server, share, was, who, since, real, counts, times}} of those of I(backends) that have one; C(real) is the
    share in per cent that the weights give it, C(counts) what each server answered since it was counted anew, C(times) the
    mean of its last answers and the longest since the last reload, in milliseconds.
  returned: always
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_canary import (
    Counting,
    canaries,
    real_share,
    write_canaries,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_parser import HAPROXY
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_state import Wanted
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import audit

NEVER: dict[str, Any] = {"worker": 0, "before": {}, "earlier": {}}


def after(before: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be remembered."""
    found = dict(before)
    for backend in params["backends"]:
        if params["state"] == "absent":
            found.pop(backend, None)
        elif params["state"] == "counted" and backend in found:
            found[backend] = found[backend] | Counting().begin(backend)
        elif params["state"] == "present":
            new = {"was": params["was"], "since": time.strftime(TIME), "who": params["who"]} | NEVER
            wanted = {"server": params["server"], "share": params["share"]}
            found[backend] = new | found.get(backend, {}) | wanted
    return found


def load(before: dict[str, Any], found: dict[str, Any]) -> str:
    """Write what is to be remembered and have HAProxy load it; return what went wrong, after which all is as before."""
    write_canaries(found)
    if not HAPROXY.exists():
        return ""
    wanted = Wanted({})
    problem = wanted.refusal()
    if not problem and wanted.differs:
        problem = wanted.load(restart=False)[1]
    if problem:
        write_canaries(before)
    return problem


def shown(found: dict[str, Any], backends: list[str]) -> dict[str, Any]:
    """Return what the module returns of them."""
    mine = {backend: one for backend, one in found.items() if backend in backends}
    if not mine:
        return {}
    counting, config = Counting(), Wanted({}).content
    return {
        backend: {key: value for key, value in one.items() if key not in NEVER}
        | {"real": real_share(config, backend, one)}
        | {"counts": counting.since(backend, one), "times": counting.times(backend)}
        for backend, one in mine.items()
    }


def main() -> None:
    """Give, count, lift or look."""
    module = AnsibleModule(
        argument_spec={
            "backends": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "counted", "absent", "asked"], "default": "asked"},
            "server": {"type": "str", "default": ""},
            "share": {"type": "int", "default": 0},
            "was": {"type": "str", "default": ""},
            "who": {"type": "str", "default": "somebody"},
        },
        required_if=[("state", "present", ("server", "share"))],
        supports_check_mode=True,
    )
    params, before = module.params, canaries()
    found = after(before, params)
    if found == before or module.check_mode:
        changed = found != before and params["state"] != "counted"
        module.exit_json(changed=changed, canaries=shown(before, params["backends"]))
    if params["state"] == "counted":
        write_canaries(found)
    elif problem := load(before, found):
        module.fail_json(msg=problem, canaries=shown(before, params["backends"]))
    else:
        names = " ".join(backend for backend in params["backends"] if found.get(backend) != before.get(backend))
        ended = f"{params['server']} gets {params['share']} %" if params["state"] == "present" else "no longer"
        audit(f"{names}: canary {ended}, by {params['who']}")
    module.exit_json(changed=params["state"] != "counted", canaries=shown(found, params["backends"]))


if __name__ == "__main__":
    main()
