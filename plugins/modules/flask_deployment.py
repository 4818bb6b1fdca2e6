#!/usr/bin/python
"""Write a deployment, prove that it can be imported, and say which instances are not on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_deployment
short_description: Have a deployment of a WSGI application on a host
description:
  - A deployment is a release, an environment and the settings of the unit under one id. This module writes it, imports
    its application once inside the unit's sandbox, and reports which instances have yet to be put on it.
  - No instance is touched.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  release:
    description: Id of the release, as M(flask_release) returns it.
    type: str
    required: true
  version:
    description: >-
      What the deployment is made of, the same for all hosts, where its id depends on the host's Python and addresses.
    type: str
    required: true
  environment:
    description: Environment of the app, a mapping of text to text as JSON. Never shown.
    type: str
    default: ""
  units:
    description: Units of the app, file name to text; a change of one is a new deployment.
    type: dict
    required: true
  unit_settings:
    description: Lines for the C([Service]) section of the units of this deployment.
    type: list
    elements: str
    default: []
  server:
    description: Settings of the application server, C(GRANIAN_*) without the prefix.
    type: dict
    default: {}
  wsgi:
    description: The application, C(module:callable) or C(module:factory()).
    type: str
    required: true
  instances:
    description: The instances that this host is to have, each with number, address, port, host and number_base.
    type: list
    elements: dict
    required: true
  health:
    description: Path that answers 200 when an instance is ready.
    type: str
    required: true
  keep:
    description: How many deployments to keep beside those that instances are on.
    type: int
    default: 5
  force:
    description: Take a deployment although it was marked bad.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Write the deployment
  flask_deployment:
    name: hello
    release: 0a1b2c3d4e5f
    version: 5f4e3d2c1b0a
    units:
      flask-hello@.service: "{{ lookup('ansible.builtin.template', 'app@.service.j2') }}"
    wsgi: app:app
    health: /health
    instances:
      - {number: 1, address: 127.0.0.1, port: 5001, host: web1, number_base: 0}
"""
RETURN = r"""
deployment:
  description: Id of the deployment.
  returned: always
  type: str
stale:
  description: Those of the instances that do not run the deployment, or not healthily, with the reason.
  returned: always
  type: list
at_boot:
  description: Whether the target of the app is enabled and started.
  returned: always
  type: bool
not_there:
  description: Whether the units are still to be written, which they are after check mode only.
  returned: always
  type: bool
surplus:
  description: Numbers of the instances that this host has and should not have.
  returned: always
  type: list
"""

import contextlib
import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import (
    PROVEN,
    RUNTIME,
    SYSTEMD,
    App,
    LayoutError,
    health,
    journal,
    quoted,
    read_json,
    run,
    stale_instances,
    write_file,
)


def full_environment(app: App, params: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a deployment without its id: the user's part, over which ours wins."""
    environment: dict[str, str] = json.loads(params["environment"] or "{}")
    home = app.releases / params["release"]
    ours = {f"GRANIAN_{key.upper()}": str(value) for key, value in params["server"].items()}
    # Not by way of the instance's link: an import late in a process' life must come from the release it was started with.
    ours |= {
        "PYTHONPATH": f"{home}/app:{home}/lib",
        "APP_RELEASE": params["release"],
        "APP_WSGI": params["wsgi"].removesuffix("()"),
    }
    return environment | ours


def prove(app: App, deployment: str, instance: dict[str, Any]) -> str:
    """Import the application as the unit would, in the unit's sandbox; return what went wrong, empty if nothing."""
    drop_in = RUNTIME / f"{app.unit('check')}.d" / "check.conf"
    write_file(
        drop_in,
        app.expected_drop_in(deployment, instance)
        + "Type=oneshot\nRestart=no\nTimeoutStartSec=120\nExecStart=\n"
        + "ExecStart=/usr/bin/python3 -m wsgi_check ${APP_WSGI}\n",
    )
    app.point("check", deployment)
    since = time.time()
    try:
        run("systemctl", "daemon-reload")
        done = subprocess.run(["systemctl", "start", app.unit("check")], capture_output=True, text=True, check=False)
        if not done.returncode:
            return ""
        said = journal(app.unit("check"), since)
        if not said:
            # The unit did not come as far as the application, which is then not to blame.
            raise LayoutError(f"{app.unit('check')} could not be started: {done.stderr.strip()}")
        return said
    finally:
        subprocess.run(["systemctl", "reset-failed", app.unit("check")], capture_output=True, check=False)
        app.point("check", None)
        drop_in.unlink()
        drop_in.parent.rmdir()
        run("systemctl", "daemon-reload")


def health_problem(app: App, params: dict[str, Any]) -> str:
    """Say why a changed health path cannot be rolled out: the balancers ask all instances for one path.

    Where what is live answers its own path and not the new one, it would leave the rotation as soon as the balancers ask
    for the new one, and a new instance would not enter it as long as they ask for the old one.
    """
    for instance in params["instances"]:
        live, at = app.linked(instance["number"]), app.listens_at(instance["number"])
        if live and at and app.health_path(live) != params["health"]:
            path, host = app.health_path(live), instance["health_host"]
            new = health(*at, params["health"], host)
            if new and not health(*at, path, host):
                return (
                    f"health of {app.name} is {params['health']}, which what is live does not answer ({new}); it answers {path}. "
                    f"No instance was touched. Fix: deploy code that answers both paths with health: {path}, then change it."
                )
    return ""


def same(path: Path, text: str, mode: int) -> bool:
    """Say whether a file has this text and this mode."""
    return path.is_file() and path.read_text() == text and path.stat().st_mode & 0o7777 == mode


def unit_diff(path: Path, text: str) -> dict[str, str]:
    """Return what `--diff` shows for a unit."""
    before = path.read_text() if path.is_file() else ""
    return {"before": before, "after": text, "before_header": str(path), "after_header": str(path)}


def bring(module: AnsibleModule, app: App) -> None:
    """Write, prove, compare."""
    params = module.params
    variables = full_environment(app, params)
    environment = "".join(f"{key}={quoted(value)}\n" for key, value in variables.items())
    settings = "".join(f"{line}\n" for line in params["unit_settings"])
    deployment = hashlib.sha256("\0".join([environment, settings, *params["units"].values()]).encode()).hexdigest()[:12]
    home = app.deployments / deployment
    wanted = {"env": (f"{environment}APP_DEPLOYMENT={quoted(deployment)}\n", 0o600), "unit.conf": (settings, 0o644)}
    result: dict[str, Any] = {"deployment": deployment, "stale": [], "surplus": [], "not_there": False}
    numbers = [instance["number"] for instance in params["instances"]]
    result["surplus"] = [number for number in app.numbers() if number not in numbers]

    reason = app.bad(deployment)
    if reason and not params["force"]:
        module.fail_json(
            msg=f"Deployment {deployment} of {app.name} was marked bad, {reason}. It is not tried again by itself. "
            f"Fix: change the app or its settings; or, to try it all the same, add `-e flask_app_force=true`.",
            **result,
        )
    problem = health_problem(app, params)
    if problem:
        module.fail_json(msg=problem, **result)
    try:
        units = {SYSTEMD / name: text for name, text in params["units"].items()}
        changed_units = [path for path, text in units.items() if not path.is_file() or path.read_text() != text]
        different = [name for name, (text, mode) in wanted.items() if not same(home / name, text, mode)]
        stale = stale_instances(app, deployment, params["instances"], params["health"], variables)
        result |= {"stale": stale, "changed": bool(different or changed_units), "at_boot": app.at_boot()}
        result["diff"] = [unit_diff(path, units[path]) for path in changed_units]
        result["diff"] += [{"prepared": f"{home / name}: differs; its content is not shown\n"} for name in different]
        if module.check_mode:
            module.exit_json(**result | {"not_there": not all(path.is_file() for path in units)})
        for path in changed_units:
            write_file(path, units[path])
        if changed_units:
            run("systemctl", "daemon-reload")
        for name in different:
            write_file(home / name, *wanted[name])
        if not (home / "release").is_symlink():
            (home / "release").symlink_to(f"../../releases/{params['release']}")
        record = {"deployment": deployment} | {key: params[key] for key in ("release", "version", "health")}
        if not record.items() <= read_json(home / "deployment.json").items():
            written = {"written": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
            write_file(home / "deployment.json", json.dumps(record | written) + "\n")
            app.prune(params["keep"], deployment)
        if different or not (home / PROVEN).exists():
            problem = prove(app, deployment, params["instances"][0])
            if problem:
                app.mark_bad(deployment, "its application could not be imported")
                module.fail_json(
                    msg=f"Deployment {deployment} of {app.name} cannot be imported, so no instance was touched:\n{problem}",
                    **result,
                )
            write_file(home / PROVEN, "")
    except (OSError, LayoutError) as error:
        module.fail_json(msg=f"Deployment {deployment} of {app.name}: {error}. No instance was touched.", **result)
    module.exit_json(**result)


def main() -> None:
    """Do so, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "environment": {"type": "str", "default": "", "no_log": True},
            "units": {"type": "dict", "required": True},
            "unit_settings": {"type": "list", "elements": "str", "default": []},
            "server": {"type": "dict", "default": {}},
            "wsgi": {"type": "str", "required": True},
            "instances": {"type": "list", "elements": "dict", "required": True},
            "health": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 5},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            bring(module, app)
    except LayoutError as error:
        module.fail_json(msg=f"{app.name}: {error}. No instance was touched.")


if __name__ == "__main__":
    main()
