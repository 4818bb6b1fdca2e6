#!/usr/bin/python
"""Save the state of an application in an archive, or put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_state
short_description: Save the state of a WSGI application, or put it back
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - The state is what lies in C(/var/lib/flask-NAME). To save it, the application goes on; a database of SQLite is copied as it is
    at one moment. To put it back, the application is stopped; what was there before is kept as C(/var/lib/flask-NAME.before).
options:
  name:
    description: Name of the application.
    type: str
    required: true
  archive:
    description: An archive on the host, of the kind C(tar.gz); to be written, a file that is there already.
    type: path
    required: true
  state:
    description: C(saved) or C(restored).
    type: str
    choices: [saved, restored]
    required: true
  health_host:
    description: Host name to ask for the health path with, after it was put back.
    type: str
    default: localhost
  timeout:
    description: Seconds that the instances have to become healthy then.
    type: int
    default: 60
"""
EXAMPLES = r"""
- name: Save the state
  flask_haproxy.deploy.flask_state:
    name: shop
    archive: /var/tmp/shop.tar.gz
    state: saved
"""
RETURN = r"""
count:
  description: How many files and folders are in the archive.
  returned: on success
  type: int
databases:
  description: Which of them are databases of SQLite, where they were saved.
  returned: on success
  type: list
"""

import os
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.staleness import health
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.state import STATE, as_user, members, save, unpack
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, audit, run


def swap(app: App, new: Path, home: Path) -> None:
    """Stop all of an application, put a folder in the place of its state, and start it again."""
    before = home.with_name(f"{home.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    units = f"flask-{app.name}.target"
    # Sockets as well, or the next request would start an instance.
    run("systemctl", "stop", units, f"flask-{app.name}@*")
    try:
        if home.exists():
            home.rename(before)
        new.rename(home)
    finally:
        if not home.exists() and before.exists():
            before.rename(home)
        run("systemctl", "start", units)


def wait(app: App, host: str, timeout: float) -> str:
    """Wait until every instance answers its health path; return which one does not and why, empty if they do."""
    end = time.monotonic() + timeout
    for number in app.numbers():
        at, deployment = app.listens_at(number), app.linked(number)
        while at and deployment:
            problem = health(*at, app.health_path(deployment), host, app.health_check(deployment))
            if not problem:
                break
            if time.monotonic() > end:
                return f"{app.unit(number)} is not healthy with it: {problem}"
            time.sleep(0.1)
    return ""


def restore(module: AnsibleModule, app: App, home: Path) -> dict[str, Any]:
    """Unpack beside the state, which nobody notices, then put it in its place."""
    user = f"flask-{app.name}"
    new = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    try:
        shutil.chown(new, user, user)
        with Path(module.params["archive"]).open("rb") as archive:
            found = as_user(user, lambda: unpack(archive, new))
        swap(app, new, home)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    problem = wait(app, module.params["health_host"], module.params["timeout"])
    if problem:
        audit(f"flask-{app.name}: state restored, {problem}")
        module.fail_json(
            msg=f"The state of {app.name} was restored, but {problem}. Fix: `journalctl -u 'flask-{app.name}@*'` says why; what "
            f"was there before is {home}.before until the next restore.",
            changed=True,
        )
    return found


def main() -> None:
    """Save it, or put it back, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "archive": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["saved", "restored"], "required": True},
            "health_host": {"type": "str", "default": "localhost"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    app = App(module.params["name"])
    home = STATE / f"flask-{app.name}"
    if not app.numbers():
        module.fail_json(
            msg=f"{app.name} has no instance on this host. Fix: ansible-playbook flask_haproxy.deploy.site"
        )
    try:
        with app.alone():
            if module.params["state"] == "saved":
                # It belongs to whoever is to fetch it.
                with os.fdopen(os.open(module.params["archive"], os.O_WRONLY | os.O_TRUNC), "wb") as archive:
                    found = as_user(f"flask-{app.name}", lambda: save(home, archive))
                # What is not there when it is needed is no backup.
                with Path(module.params["archive"]).open("rb") as archive:
                    if members(archive) != found["count"]:
                        raise HostError("the archive has not all that was to be in it")
            else:
                found = restore(module, app, home)
    except (OSError, EOFError, tarfile.TarError, HostError) as error:
        module.fail_json(msg=f"The state of {app.name} was not {module.params['state']}: {error}.")
    audit(f"flask-{app.name}: state {module.params['state']}")
    module.exit_json(changed=module.params["state"] == "restored", **found)


if __name__ == "__main__":
    main()
