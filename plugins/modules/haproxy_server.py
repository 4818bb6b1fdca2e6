#!/usr/bin/python
"""Take a server out of a running HAProxy and put it back, without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take servers out of a running HAProxy and put them back
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
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
  keep_last:
    description: >-
      With C(drain), leave the only server that serves in the rotation, unchecked until it is made C(ready): what comes while
      its instance restarts waits in the instance's socket.
    type: bool
    default: false
  lease:
    description: >-
      The deploy lock to renew, as M(flask_haproxy.deploy.deploy_lock) returns it. It is an error if somebody else holds it.
    type: dict
    default: {}
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
  flask_haproxy.deploy.haproxy_server:
    backend: hello
    server: web1-2
    state: drain
"""
RETURN = r"""
backend:
  description: Name of the backend; C(server) and C(state) are what was asked for as well.
  returned: always
  type: str
seconds:
  description: >-
    How long it took until no request was left (C(drained)) or the checks had found it healthy (C(healthy)); empty where there
    was nothing to wait for, and in check mode.
  returned: always
  type: dict
  sample: {"drained": 0.31}
was:
  description: >-
    What it was, C(absent), C(by hand), C(drained), C(ready), C(last) where it was kept, or C(not running) of HAProxy itself.
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
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import MASTER_SOCKET
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import Balancer, HAProxyError
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.lease import LeaseError, renew


def running() -> bool:
    """Say whether HAProxy runs on this host at all."""
    if not Path(MASTER_SOCKET).exists():
        return False
    return subprocess.run(["systemctl", "is-active", "--quiet", "haproxy.service"], check=False).returncode == 0


def change(balancer: Balancer, key: tuple[str, str], params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Drain or admit a server, and return what the module returns."""
    if check_mode:
        now = balancer.processes()
        server = next((balancer.servers(worker).get(key) for worker in now.workers), None)
        wanted = params["state"] == "drain"
        return {"changed": bool(server and not server.by_hand and server.drained != wanted), "was": "", "left": 0}
    began = time.monotonic()
    if params["state"] == "drain":
        was, left = balancer.drain(key, params["timeout"], params["keep_last"])
        seconds = {"drained": round(time.monotonic() - began, 2)} if was in ("ready", "drained") else {}
        return {"changed": was == "ready", "was": was, "left": left, "healthy": True, "seconds": seconds}
    was, healthy = balancer.admit(key, params["address"], params["port"], params["timeout"], params["by_hand"])
    if not healthy and params["required"]:
        raise HAProxyError(
            f"the checks of HAProxy have not found it healthy within {params['timeout']} s: {balancer.last_check(key)}"
        )
    changed = was == "drained" or (was == "by hand" and params["by_hand"])
    seconds = {"healthy": round(time.monotonic() - began, 2)} if healthy and was != "absent" else {}
    return {"changed": changed, "was": was, "left": 0, "healthy": healthy, "seconds": seconds}


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
            "keep_last": {"type": "bool", "default": False},
            "lease": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 60},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    asked = {key: module.params[key] for key in ("backend", "server", "state")} | {"seconds": {}}
    if not module.check_mode:
        try:
            renew(module.params["lease"])
        except LeaseError as problem:
            module.fail_json(
                msg=f"{module.params['backend']}/{module.params['server']}: {problem}. It was not touched."
            )
    if not running():
        module.exit_json(changed=False, was="not running", left=0, **asked)
    key = (module.params["backend"], module.params["server"])
    try:
        module.exit_json(**asked | change(Balancer(), key, module.params, module.check_mode))
    except HAProxyError as problem:
        module.fail_json(msg=f"{'/'.join(key)}: {problem}", **asked)


if __name__ == "__main__":
    main()
