#!/usr/bin/python
"""Put one instance on a deployment, or take it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_instance
short_description: Put one instance of a WSGI application on a deployment
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Points the instance at the deployment, restarts it and waits until it answers its health path with 200. If it does
    not, the instance goes back to what it ran before, the unit's journal is shown, and the deployment is marked bad, but
    for the first one of all.
  - The balancers are not this module's business; drain the instance first.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  number:
    description: Number of the instance.
    type: int
    required: true
  state:
    description: C(present), or C(absent) to stop it and remove what belongs to it alone.
    type: str
    choices: [present, absent]
    default: present
  deployment:
    description: Id of the deployment; needed with C(present).
    type: str
  failed_deployment:
    description: Id of a deployment to mark bad, from which the instance is put back.
    type: str
    default: ""
  address:
    description: Address that the instance listens on.
    type: str
    default: 127.0.0.1
  port:
    description: Port that the instance listens on.
    type: int
  host:
    description: Name of the host in the inventory.
    type: str
  number_base:
    description: Added to the number in C(APP_NUMBER).
    type: int
    default: 0
  health:
    description: Path that answers 200 when the instance is ready.
    type: str
    default: /health
  health_check:
    description: C(status) that it answers with, like C(200-299), and C(headers) to ask with, where these are not the default.
    type: dict
    default: {}
  health_host:
    description: Host name to ask for the health path with.
    type: str
    default: localhost
  timeout:
    description: Seconds that the instance has to become healthy.
    type: int
    default: 60
"""
EXAMPLES = r"""
- name: Put instance 2 on the deployment
  flask_haproxy.deploy.flask_instance:
    name: hello
    number: 2
    port: 5002
    host: web1
    deployment: 0a1b2c3d4e5f
"""
RETURN = r"""
name:
  description: Name of the application.
  returned: always
  type: str
number:
  description: Number of the instance; C(deployment) is what was asked for as well.
  returned: always
  type: int
seconds:
  description: >-
    How long it took to restart it (C(restarted)) and until it answered its health path (C(healthy)), or to stop and
    remove it (C(removed)); without what did not come to pass, and empty in check mode.
  returned: always
  type: dict
  sample: {"restarted": 0.82, "healthy": 0.24}
live:
  description: >-
    What the instance is on afterwards, after a failure too, with C(number), C(deployment), C(release) and C(since), in
    seconds of the epoch; empty where it was removed.
  returned: always
  type: list
  sample: [{"number": 1, "deployment": "0a1b2c3d4e5f", "release": "5f4e3d2c1b0a", "since": 1764115200.0}]
was:
  description: Deployment that the instance ran before; C(was_address) and C(was_port) are where.
  returned: always
  type: str
"""

import contextlib
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import BAD
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.placing import put, restore
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, audit, journal, said_once


def record(app: App, deployment: str, bad: str, reason: str, healthy: bool) -> None:
    """Write down what came of it: which deployment is bad, and which one is not."""
    # What serves comes first: where a full disk was the reason, this fails as well.
    with contextlib.suppress(OSError):
        if bad:
            app.mark_bad(bad, reason)
        if healthy:
            (app.deployments / deployment / BAD).unlink(missing_ok=True)
            app.remember()


def change(module: AnsibleModule, app: App) -> None:
    """Put the instance in place and see it healthy, or put it back as it was."""
    params = module.params
    number, deployment = params["number"], params["deployment"]
    was, was_at = app.linked(number), app.listens_at(number)
    before = {"was": was, "was_address": was_at[0] if was_at else None, "was_port": was_at[1] if was_at else None}
    seconds: dict[str, float] = {}
    result: dict[str, Any] = {"name": app.name, "number": number, "deployment": deployment, "seconds": seconds} | before
    if module.check_mode:
        module.exit_json(changed=True, live=app.on([number]), **result)
    since = time.time()
    old_drop_ins = app.drop_ins(number)
    problem = put(app, params, seconds)
    if "removed" in seconds:
        audit(f"{app.unit(number)}: removed")
        module.exit_json(changed=True, live=[], **result)
    # A first deploy that fails may only need to be done again, as when its database was not there yet.
    failed = problem and deployment != was and (was is not None or app.has_another(deployment))
    bad = params["failed_deployment"] or (deployment if failed else "")
    shown, ended = "", f"on deployment {deployment}, was {was}"
    if problem:
        shown = said_once(journal(app.unit(number), since, lines=1000))
        ended = f"deployment {deployment} failed ({problem}); {restore(app, params, was, was_at, old_drop_ins)}"
    record(
        app, deployment, bad, f"{app.unit(number)}: {problem or 'the balancers did not find it healthy'}", not problem
    )
    audit(f"{app.unit(number)}: {ended}")
    result["live"] = app.on([number])
    if not problem:
        module.exit_json(changed=True, **result)
    marked = f" {bad} is marked bad." if bad else ""
    module.fail_json(msg=f"{app.unit(number)}: {ended}.{marked}\nWhat the unit wrote:\n{shown}", **result)


def main() -> None:
    """Change one instance, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "number": {"type": "int", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "deployment": {"type": "str"},
            "failed_deployment": {"type": "str", "default": ""},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int"},
            "host": {"type": "str"},
            "number_base": {"type": "int", "default": 0},
            "health": {"type": "str", "default": "/health"},
            "health_check": {"type": "dict", "default": {}},
            "health_host": {"type": "str", "default": "localhost"},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ("deployment", "port", "host"))],
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            change(module, app)
    except HostError as error:
        module.fail_json(msg=f"{app.unit(module.params['number'])}: {error}. It was not touched.")


if __name__ == "__main__":
    main()
