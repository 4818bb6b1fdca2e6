#!/usr/bin/python
"""Give HAProxy a configuration, all or nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_config
short_description: Give HAProxy a configuration, all or nothing
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Has HAProxy's own parser accept the configuration, inside the sandbox of the unit and with warnings counting as
    errors, before it replaces the live file; reloads; and asks the master process whether the new worker runs. If it does
    not, the old file goes back, is loaded again, and the task fails with HAProxy's words.
  - Loads it again as well where a file that it refers to has changed, like a certificate that was renewed.
  - In check mode the configuration is checked as well, where HAProxy is installed. M(flask_haproxy.deploy.haproxy_info)
    checks it without giving it.
options:
  content:
    description: >-
      The configuration; left out, the one that is there. The servers that are out by hand
      (M(flask_haproxy.deploy.haproxy_drained)) are disabled in it.
    type: str
  backends:
    description: What the backends in I(content) were made of, which M(flask_haproxy.deploy.haproxy_info) returns later.
    type: list
    elements: dict
  back:
    description: Servers, C(backend/server), that are no longer out by hand, and so no longer disabled in what is there.
    type: list
    elements: str
    default: []
  files:
    description: >-
      Text of files beside it that it names, by path; for root alone to read. They are checked, replaced and taken back
      together with the configuration.
    type: dict
  stand_ins:
    description: The same for files that are only made where there are none yet.
    type: dict
  acme:
    description: >-
      Those of I(stand_ins) that are to be issued, C({name: {path, names}}). Where the host has one that was issued for the
      same names, that stands in.
    type: dict
  path:
    description: The file that HAProxy reads.
    type: path
    default: /etc/haproxy/haproxy.cfg
  takeover:
    description: Replace a file that somebody else wrote.
    type: bool
    default: false
  restart:
    description: Restart instead of reload where the unit has changed since HAProxy was started.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Configure HAProxy
  flask_haproxy.deploy.haproxy_config:
    content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""
RETURN = r"""
action:
  description: What was done to the service, C(none), C(started), C(reloaded) or C(restarted).
  returned: always
  type: str
restart_needed:
  description: Whether the unit was changed since HAProxy was started.
  returned: always
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_maintenance import forget
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_parser import HAPROXY
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import SERVICE, restart_needed
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_state import NOT_VALIDATED, OPTIONS, Wanted
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run

BACK: dict[str, Any] = {"type": "list", "elements": "str", "default": []}


def main() -> None:
    """Check, replace, reload, prove."""
    module = AnsibleModule(argument_spec=OPTIONS | {"back": BACK}, supports_check_mode=True)
    wanted = Wanted(module.params)
    result: dict[str, Any] = {"action": "none", "restart_needed": False, "changed": wanted.differs}
    if wanted.differs:
        named = {"before_header": str(wanted.path), "after_header": str(wanted.path)}
        others = "".join(f"# {path} is another one\n" for path in sorted(wanted.beside))
        result["diff"] = {"before": wanted.old or "", "after": wanted.content + others} | named
    elif files := wanted.renewed():
        result["diff"] = {"prepared": "".join(f"{path} has changed since HAProxy has read it\n" for path in files)}
    if not wanted.installed:
        if module.check_mode:
            module.exit_json(msg=NOT_VALIDATED, **result)
        module.fail_json(msg=f"{HAPROXY} is missing. Fix: install the package haproxy.", **result)
    problem = wanted.refusal()
    if problem:
        module.fail_json(msg=problem, **result)
    result["restart_needed"] = restart_needed() and not wanted.restarts()
    result["changed"] = wanted.pending()
    if module.check_mode:
        module.exit_json(**result)
    # A drop-in that was written, by this run or by one that was interrupted, has to be read before it can apply.
    if run("systemctl", "show", "--property=NeedDaemonReload", "--value", SERVICE).strip() == "yes":
        run("systemctl", "daemon-reload")
    if not result["changed"]:
        wanted.record()
        module.exit_json(**result)
    result["action"], problem = wanted.load(wanted.restarts())
    result["restart_needed"] = restart_needed()
    if problem:
        module.fail_json(msg=problem, **result)
    wanted.prune()
    if module.params["content"] and module.params["backends"] is not None:
        forget({backend["name"] for backend in module.params["backends"]})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
