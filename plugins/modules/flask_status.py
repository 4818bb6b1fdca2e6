#!/usr/bin/python
"""Say what runs of the applications of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_status
short_description: Say what runs of the applications of a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads only, all applications in one call, whatever the inventory says of them.
options:
  asked:
    description: Seconds of the epoch at which the control node asks, to compare the clocks.
    type: float
    default: 0
"""
EXAMPLES = r"""
- name: See what runs
  flask_haproxy.deploy.flask_status:
    asked: "{{ now(utc=true).timestamp() }}"
"""
RETURN = r"""
apps:
  description: >-
    Of each application that the host has C(instances), C(history), C(released) and C(deployments), the last three as
    M(flask_haproxy.deploy.flask_history) has them. Of an instance its C(number), C(unit), C(address), C(port), C(state) and
    C(substate) and C(result) as systemd names them, C(started), C(deployment), C(release) and C(since), the deployment that
    its process C(runs), C(restarts), C(memory) in bytes, C(files) as [open, limit], whether it is C(enabled) and
    C(reload_needed), and C(foreign_drop_ins). Times are seconds of the epoch, null for never.
  returned: always
  type: dict
others:
  description: >-
    Other services and timers of applications, with C(unit), C(state), C(substate), C(result), C(restarts), C(started), C(last),
    C(next).
  returned: always
  type: list
  elements: dict
host:
  description: >-
    What of the host may come to hurt: C(ahead), the seconds by which its clock is ahead; C(disks); C(failed_units);
    C(out_of_memory) and C(dropped), [time, unit] of units of ours that the kernel killed processes of and whose lines the
    journal dropped in the last 24 hours.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils import app_status
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.host_state import host_state
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError


def main() -> None:
    """Look."""
    module = AnsibleModule(argument_spec={"asked": {"type": "float", "default": 0}}, supports_check_mode=True)
    host = host_state(module.params["asked"])
    try:
        apps = {}
        for name in app_status.apps():
            app = App(name)
            apps[name] = {
                "instances": app_status.instances(app),
                "history": app.history(),
                "released": app.released(),
                "deployments": app_status.deployments(app),
            }
        others = app_status.other_units()
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, apps=apps, others=others, host=host)


if __name__ == "__main__":
    main()
