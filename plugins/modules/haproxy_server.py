#!/usr/bin/python
"""Take a server out of a running HAProxy and put it back, without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take servers out of a running HAProxy and put them back
description:
  - With C(drain), waits until no worker of HAProxy has a request in the server, those included that a reload left behind.
  - With C(ready), waits until HAProxy's own checks have found the server healthy before it gets a request.
  - A server that the configuration does not have, or a host on which HAProxy does not run, is no error; nobody can be
    sent there. A server that is out by hand (C(disabled) in the configuration) stays out.
options:
  backend:
    description: Name of the backend.
    type: str
    required: true
  server:
    description: Name of the server.
    type: str
    required: true
  state:
    description: What the server is to be.
    type: str
    choices: [drain, ready]
    required: true
  address:
    description: Address that the server is to have from now on, with C(ready).
    type: str
    default: ""
  port:
    description: Port that the server is to have from now on, with C(ready).
    type: int
    default: 0
  by_hand:
    description: With C(ready), put it back even if it is out by hand.
    type: bool
    default: false
  timeout:
    description: Seconds to wait, for requests to end or for checks to pass.
    type: int
    default: 60
  required:
    description: >-
      Whether it is an error, with C(ready), that the checks do not pass in time. The server comes back when they do, unless it
      was out by hand.
    type: bool
    default: true
"""
EXAMPLES = r"""
- name: Take the server out
  haproxy_server:
    backend: hello
    server: web1-2
    state: drain
"""
RETURN = r"""
was:
  description: What it was, C(absent), C(by hand), C(drained), C(ready), or C(not running) of HAProxy itself.
  returned: always
  type: str
left:
  description: Requests that were still in the server when the time was over, with C(drain).
  returned: always
  type: int
healthy:
  description: Whether the checks passed in time, with C(ready).
  returned: outside check mode
  type: bool
"""

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.haproxy_master import MASTER_SOCKET
from ansible.module_utils.haproxy_servers import Balancer, HAProxyError


def running() -> bool:
    """Say whether HAProxy runs on this host at all."""
    if not Path(MASTER_SOCKET).exists():
        return False
    return subprocess.run(["systemctl", "is-active", "--quiet", "haproxy.service"], check=False).returncode == 0


def main() -> None:
    """Drain or admit."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drain", "ready"], "required": True},
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "by_hand": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    key = (params["backend"], params["server"])
    if not running():
        module.exit_json(changed=False, was="not running", left=0)
    balancer = Balancer()
    try:
        if module.check_mode:
            now = balancer.processes()
            server = next((balancer.servers(worker).get(key) for worker in now.workers), None)
            wanted = params["state"] == "drain"
            module.exit_json(changed=bool(server and not server.by_hand and server.drained != wanted), was="", left=0)
        left, healthy = 0, True
        if params["state"] == "drain":
            was, left = balancer.drain(key, params["timeout"])
            changed = was == "ready"
        else:
            was, healthy = balancer.admit(key, params["address"], params["port"], params["timeout"], params["by_hand"])
            changed = was == "drained" or (was == "by hand" and params["by_hand"])
            if not healthy and params["required"]:
                raise HAProxyError(
                    f"the checks of HAProxy have not found it healthy within {params['timeout']} s: {balancer.last_check(key)}"
                )
    except HAProxyError as problem:
        module.fail_json(msg=f"{'/'.join(key)}: {problem}")
    module.exit_json(changed=changed, was=was, left=left, healthy=healthy)


if __name__ == "__main__":
    main()
