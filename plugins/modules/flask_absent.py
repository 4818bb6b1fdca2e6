#!/usr/bin/python
"""Take an application away from a host, with everything that belongs to it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_absent
short_description: Take a WSGI application away from a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Stops its instances and removes its units, its folder C(/opt/flask/NAME) with all releases and environments, and its
    user. What it wrote to C(/var/lib/flask-NAME) stays, for root alone, unless I(with_state) says otherwise; an app of that
    name that comes again gets it back.
  - The balancers are not this module's business; they have to have let go of it.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  with_state:
    description: Remove C(/var/lib/flask-NAME) as well.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Take the app away
  flask_haproxy.deploy.flask_absent:
    name: hello
"""
RETURN = r"""
name:
  description: Name of the application.
  returned: always
  type: str
instances:
  description: Numbers of the instances that were there.
  returned: always
  type: list
  elements: int
removed:
  description: What was there and is no longer, or would be gone outside check mode.
  returned: always
  type: list
  elements: str
state:
  description: Folder with what the application wrote, where it is still there; else empty.
  returned: always
  type: str
"""

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import app_users
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.placing import remove
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import SYSTEMD, HostError, audit, run


def belongings(app: App, state: Path, with_state: bool) -> list[Path]:
    """Return the files and folders that belong to an application, its units first."""
    units = [path for pattern in ("@*", ".target*") for path in sorted(SYSTEMD.glob(f"flask-{app.name}{pattern}"))]
    return [*units, *[path for path in (app.home, state) if path.is_dir() and (path != state or with_state)]]


def take_away(app: App, paths: list[Path], users: list[str], state: Path) -> None:
    """Stop and remove all of it. Its user goes last, so that no number of a user is without a name before."""
    for number in app.numbers():
        remove(app, number)
    if any(path.parent == SYSTEMD for path in paths):
        # Processes and timers as well.
        run("systemctl", "disable", "--now", "--quiet", f"flask-{app.name}.target", check=False)
        run("systemctl", "stop", f"flask-{app.name}@*", check=False)
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=path.parent == SYSTEMD)
        else:
            path.unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    if state.is_dir():
        # The number of the user may become somebody else's. systemd gives the folder back to whom the unit names.
        os.chown(state, 0, 0)
    for user in users:
        run("userdel", user)
    audit(f"{app.name}: taken away")


def main() -> None:
    """Look, and take away what there is."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "with_state": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    app = App(module.params["name"])
    state = Path(f"/var/lib/flask-{app.name}")
    paths = belongings(app, state, module.params["with_state"])
    users = [user for user in app_users(pwd.getpwall()) if user == f"flask-{app.name}"]
    folders = [str(path) for path in paths if path.parent != SYSTEMD]
    units = ["its units"] if len(folders) < len(paths) else []
    result: dict[str, Any] = {"name": app.name, "instances": app.numbers()}
    result["removed"] = [*units, *folders, *(f"the user {user}" for user in users)]
    changed = bool(result["removed"])
    try:
        if changed and not module.check_mode:
            with app.alone():
                take_away(app, paths, users, state)
    except (OSError, HostError) as error:
        module.fail_json(msg=f"{app.name}: {error}. Fix: mend that, and run this again.", **result)
    module.exit_json(changed=changed, state=str(state) if state.is_dir() else "", **result)


if __name__ == "__main__":
    main()
