#!/usr/bin/python
"""Say what a balancer is and what there is to do to it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Say what a balancer is, and what a configuration would change
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads only. Says whether HAProxy is there, enabled and running, which servers an interrupted deploy has left out, and
    whether there is something to do until it is as the options say.
  - Has HAProxy's own parser read the configuration in the sandbox, where HAProxy is installed, and fails where
    M(flask_haproxy.deploy.haproxy_config) would.
options:
  content:
    description: The configuration that is to be; left out, the one that is there.
    type: str
  backends:
    description: What the backends in I(content) are made of, as for M(flask_haproxy.deploy.haproxy_config).
    type: list
    elements: dict
  files:
    description: Text of files beside it that it names, by path.
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
    description: Whether a file that somebody else wrote may be replaced.
    type: bool
    default: false
  sandbox:
    description: >-
      What C(/etc/systemd/system/haproxy.service.d/sandbox.conf) is to have in it; it is compared, and the parser runs in
      it. Left out, what is there.
    type: str
  restart:
    description: Whether HAProxy is to be restarted where its unit has changed since it was started.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: See what there is to do
  flask_haproxy.deploy.haproxy_info:
    content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
  register: balancer
"""
RETURN = r"""
at_boot:
  description: Whether HAProxy is enabled and runs.
  returned: always
  type: bool
not_there:
  description: Whether HAProxy is still to be installed.
  returned: always
  type: bool
left_out:
  description: Servers, C(backend/server), that are drained or unchecked at run time, as only an interrupted deploy leaves them.
  returned: always
  type: list
  elements: str
backends:
  description: >-
    The backends that are there, as they were given to M(flask_haproxy.deploy.haproxy_config); C(name) alone where an earlier
    release of this project configured them.
  returned: always
  type: list
  elements: dict
canaries:
  description: "{backend: {server, share, was, …}} as M(flask_haproxy.deploy.haproxy_canary) has written them down."
  returned: always
  type: dict
by_hand:
  description: Servers, C(backend/server), that are out by hand.
  returned: always
  type: list
  elements: str
servers:
  description: Servers, C(backend/server), that are or once were there.
  returned: always
  type: list
  elements: str
sandbox_differs:
  description: Whether the drop-in with the sandbox is another one than C(sandbox), or is missing.
  returned: always
  type: bool
renews:
  description: Whether certbot has certificates for HAProxy here, wanted or not.
  returned: always
  type: bool
pending:
  description: Whether there is something to do for M(flask_haproxy.deploy.haproxy_config).
  returned: always
  type: bool
restart_needed:
  description: Whether the unit was changed since HAProxy was started.
  returned: always
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_binds import bind_problems
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_canary import canaries
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import (
    ACME,
    drained,
    known_backends,
    known_servers,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import (
    at_boot,
    restart_needed,
    sandbox_differs,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_state import (
    NOT_VALIDATED,
    OPTIONS,
    Wanted,
    left_out,
)


def main() -> None:
    """Look."""
    module = AnsibleModule(argument_spec=OPTIONS | {"sandbox": {"type": "str"}}, supports_check_mode=True)
    wanted = Wanted(module.params)
    result: dict[str, Any] = {
        "changed": False,
        "not_there": not wanted.installed,
        "left_out": left_out(),
        "renews": ACME.exists(),
        "canaries": canaries(),
        "by_hand": sorted(drained()),
        "sandbox_differs": sandbox_differs(module.params["sandbox"]),
    }
    if not wanted.installed:
        # What the parser would not see either, and what the first start would fail of.
        if problems := list(bind_problems(wanted.content)):
            module.fail_json(msg="\n".join(["HAProxy could not be started.", *problems]), **result)
        nothing = {"at_boot": False, "pending": True, "restart_needed": False, "backends": [], "servers": []}
        module.exit_json(msg=NOT_VALIDATED, **result, **nothing)
    pending = wanted.pending()
    # What HAProxy has loaded, its parser has read; who only asks brings nothing to read.
    new = module.params["content"] is not None and (pending or result["sandbox_differs"])
    if new and (problem := wanted.refusal()):
        module.fail_json(msg=problem, **result)
    module.exit_json(
        at_boot=at_boot(),
        pending=pending or wanted.unrecorded(),
        restart_needed=restart_needed(),
        backends=known_backends(wanted.old or ""),
        servers=known_servers(),
        **result,
    )


if __name__ == "__main__":
    main()
