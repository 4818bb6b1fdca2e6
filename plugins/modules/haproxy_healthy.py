#!/usr/bin/python
"""Say which servers HAProxy sends nothing, because their checks fail."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_healthy
short_description: Fail where servers of a running HAProxy are DOWN
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Changes nothing. Waits until HAProxy's own checks have found the servers healthy, and fails with what the checks found of
    those that are DOWN when the time is over.
  - A server that is drained, that is out by hand, or that HAProxy does not have, is none of them; nor is any where HAProxy
    does not run.
options:
  servers:
    description: Servers as C(backend/server).
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait for those that are DOWN.
    type: int
    default: 10
"""
EXAMPLES = r"""
- name: See that all of them serve
  flask_haproxy.deploy.haproxy_healthy:
    servers: [hello/web1-1, hello/web1-2]
"""
RETURN = r"""
down:
  description: Those of the servers that are DOWN. The module fails if there is one.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_health import down
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import Balancer, HAProxyError
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import main_pid


def main() -> None:
    """Look, and wait where there is something to wait for."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if not module.params["servers"] or not main_pid():
        module.exit_json(changed=False, down=[])
    keys = [(backend, name) for backend, _, name in (server.partition("/") for server in module.params["servers"])]
    try:
        found = down(Balancer(), keys, module.params["timeout"])
    except HAProxyError as problem:
        module.fail_json(msg=str(problem), down=[])
    if found:
        # A star marks a check that is under way; what is shown is of the one before.
        lines = [
            f"- {'/'.join(key)}: {health.words.removeprefix('* ')}, since {health.seconds} s"
            for key, health in sorted(found.items())
        ]
        module.fail_json(
            msg="HAProxy sends nothing to these servers, which its checks find DOWN:\n"
            + "\n".join(lines)
            + "\nFix: see on "
            "their hosts why the health path is not answered (systemctl status, journalctl -u), and run again.",
            down=["/".join(key) for key in sorted(found)],
        )
    module.exit_json(changed=False, down=[])


if __name__ == "__main__":
    main()
