#!/usr/bin/python
"""Say how a balancer and its servers are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_status
short_description: Say how a balancer and its servers are
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads only. Where HAProxy does not run or does not answer, C(problem) says so, and the rest of it is not returned.
options:
  asked:
    description: Seconds of the epoch at which the control node asks, to compare the clocks.
    type: float
    default: 0
"""
EXAMPLES = r"""
- name: See how the balancer is
  flask_haproxy.deploy.haproxy_status:
"""
RETURN = r"""
problem:
  description: Why HAProxy says nothing of itself; empty where it does.
  returned: always
  type: str
lock:
  description: Who holds the deploy lock, C({who, what, pid, since, until}); empty for nobody.
  returned: always
  type: dict
host:
  description: As M(flask_haproxy.deploy.flask_status) returns it.
  returned: always
  type: dict
enabled:
  description: Whether HAProxy is started at boot.
  returned: always
  type: bool
masked:
  description: Whether nobody can start it.
  returned: always
  type: bool
servers:
  description: >-
    Of each server C(backend), C(server), C(address), C(status), C(weight) and for how many seconds (C(since)), what its
    C(check) found, C(why) and after how many milliseconds (C(took)), the requests in it or waiting for it (C(now)), and
    C(requests) and C(errors) since the last reload.
  returned: when HAProxy answers
  type: list
  elements: dict
closed_frontends:
  description: Frontends that take no connection, because somebody has told HAProxy so at its socket.
  returned: when HAProxy answers
  type: list
  elements: str
configuration:
  description: Whether the file is C(ours), was C(altered) by hand since it was written, and is the one that is C(loaded); what
    HAProxy's parser has against it or what it names (C(refused)).
  returned: when HAProxy answers
  type: dict
drained:
  description: Servers that are out by hand, with C(who) and C(since).
  returned: when HAProxy answers
  type: dict
maintenance:
  description: Backends that are in maintenance, with the time since when none has begun or ended.
  returned: when HAProxy answers
  type: dict
renewed:
  description: Whether certbot.timer runs, where there are certificates of an issuer.
  returned: when HAProxy answers
  type: bool
canaries:
  description: "Servers that get a share of the requests of their backend, C({backend: {server, share, who, since}})."
  returned: when HAProxy answers
  type: dict
certificates:
  description: Those that are loaded, with C(file), C(subject), C(ends), and whether the C(stored) one is the same.
  returned: when HAProxy answers
  type: list
  elements: dict
version:
  description: Version of HAProxy.
  returned: when HAProxy answers
  type: str
uptime:
  description: Seconds since the configuration was loaded.
  returned: when HAProxy answers
  type: int
reloads:
  description: How often that was done since HAProxy was started.
  returned: when HAProxy answers
  type: int
old_workers:
  description: Workers that only end what they had when that was done.
  returned: when HAProxy answers
  type: int
failed_reloads:
  description: Reloads that failed since the last one that did not.
  returned: when HAProxy answers
  type: int
restart_needed:
  description: Whether the unit was changed since HAProxy was started.
  returned: when HAProxy answers
  type: bool
replaced:
  description: Whether the program on the disk is another one than the one that runs, as after an upgrade.
  returned: when HAProxy answers
  type: bool
info:
  description: CurrConns, Maxconn, DroppedLogs and more of C(show info).
  returned: when HAProxy answers
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_parser import HAPROXY
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import SERVICE, main_pid
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_status import status
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.host_state import host_state
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.lease import LOCK, held
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run


def look() -> dict[str, Any]:
    """Return what HAProxy says, or why it does not."""
    if not HAPROXY.exists():
        return {"problem": "HAProxy is not installed"}
    if not main_pid():
        return {"problem": f"{SERVICE} does not run"}
    try:
        return {"problem": ""} | status()
    except (OSError, ValueError) as error:
        return {"problem": f"HAProxy's master does not answer: {error}"}


def main() -> None:
    """Look."""
    module = AnsibleModule(argument_spec={"asked": {"type": "float", "default": 0}}, supports_check_mode=True)
    enabled = run("systemctl", "is-enabled", SERVICE, check=False).strip()
    at_boot = {"enabled": enabled == "enabled", "masked": enabled.startswith("masked")}
    lock = {key: value for key, value in held().items() if key != "token"} if LOCK.exists() else {}
    module.exit_json(changed=False, **at_boot, lock=lock, host=host_state(module.params["asked"]), **look())


if __name__ == "__main__":
    main()
