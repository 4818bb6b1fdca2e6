#!/usr/bin/python
"""Find what only the host itself knows and what would make a run fail half-way."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_preflight
short_description: Find on a host what would make a run fail half-way
description:
  - Changes nothing. Reports the Debian release, whether systemd runs the host, ports that somebody else holds, a foreign
    haproxy.cfg and a full disk, all of them at once.
  - Returns the facts that the roles need, as M(ansible.builtin.setup) names them, and C(flask_users), the users of apps
    that are there as the role flask_app makes them.
options:
  ports:
    description: Ports that are going to be used, C({port, owner}), the owner being C(haproxy) or a unit.
    type: list
    elements: dict
    default: []
  balancer:
    description: Whether HAProxy is going to run here.
    type: bool
    default: false
  takeover:
    description: Whether a foreign haproxy.cfg may be replaced.
    type: bool
    default: false
  supported:
    description: Releases of Debian that are supported, like C(12).
    type: list
    elements: str
    required: true
  free_mib:
    description: Space that has to be free where applications are kept.
    type: int
    default: 200
"""
EXAMPLES = r"""
- name: Look for what would be in the way
  host_preflight:
    supported: ["12", "13"]
    ports:
      - {port: 5001, owner: flask-hello@1.service}
"""
RETURN = r"""
problems:
  description: A sentence for each thing in the way. The module fails if there is one.
  returned: always
  type: list
"""

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.haproxy_files import CONFIG, foreign
from ansible.module_utils.listeners import Listener, listeners


def os_release(text: str) -> dict[str, str]:
    """Return os-release(5) as a mapping."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip("\"'") for key, value in pairs}


def release_problems(release: dict[str, str], supported: list[str]) -> Iterator[str]:
    """Yield what is wrong with the distribution."""
    if release.get("ID") != "debian" or release.get("VERSION_ID") not in supported:
        yield (
            f"this is {release.get('PRETTY_NAME', 'an unknown system')}. "
            f"Fix: a host with Debian {' or '.join(supported)}; it is what the project is tested on."
        )


def port_problems(wanted: list[dict[str, Any]], found: dict[int, Listener]) -> Iterator[str]:
    """Yield the ports that are held by somebody who is not to have them."""
    for entry in wanted:
        port, owner = int(entry["port"]), str(entry["owner"])
        holder = found.get(port)
        if holder is None:
            continue
        unit = "haproxy.service" if owner == "haproxy" else owner
        # An instance may follow another one of its app on a port; the rollout sees to the order.
        same_app = "@" in unit and holder.unit.startswith(unit.partition("@")[0] + "@")
        if holder.unit != unit and not same_app:
            named = holder.unit or f"process {holder.pid}"
            key = "haproxy_binds" if owner == "haproxy" else "port of the app"
            yield (
                f"port {port}, which {owner} is to listen on, is held by {holder.command} ({named}). "
                f"Fix: stop that (systemctl disable --now {named.removesuffix('.service')}), or change {key}."
            )


def app_users(users: Iterable[pwd.struct_passwd]) -> list[str]:
    """Return the names of those users that are as the role flask_app makes the user of an app."""
    return [
        user.pw_name
        for user in users
        if user.pw_name.startswith("flask-")
        and (user.pw_dir, user.pw_shell) == (f"/var/lib/{user.pw_name}", "/usr/sbin/nologin")
    ]


def main() -> None:
    """Collect the problems and fail with all of them."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "dict", "default": []},
            "balancer": {"type": "bool", "default": False},
            "takeover": {"type": "bool", "default": False},
            "supported": {"type": "list", "elements": "str", "required": True},
            "free_mib": {"type": "int", "default": 200},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not Path("/run/systemd/system").is_dir():
        module.fail_json(
            msg="This machine was not booted with systemd, which has to run the services here; "
            "`make up` makes a test host that is, or name real hosts with -i.",
            problems=["not booted with systemd"],
        )
    release = os_release(Path("/etc/os-release").read_text())
    problems = list(release_problems(release, params["supported"]))
    problems += port_problems(params["ports"], listeners({int(entry["port"]) for entry in params["ports"]}))
    if params["balancer"] and foreign(CONFIG) and not params["takeover"]:
        problems.append(
            f"{CONFIG} was written by somebody else. Fix: move what you need of it to haproxy_*_extra, then run again "
            "with -e haproxy_takeover=true, which replaces it."
        )
    folder = next(path for path in (Path("/opt/flask"), Path("/opt"), Path("/")) if path.is_dir())
    free = shutil.disk_usage(folder).free >> 20
    if free < params["free_mib"]:
        problems.append(f"{folder} has {free} MiB free. Fix: free at least {params['free_mib']} MiB there.")
    if problems:
        module.fail_json(
            msg="Nothing was changed, because:\n" + "\n".join(f"- {text}" for text in problems), problems=problems
        )
    version = {"major": sys.version_info.major, "minor": sys.version_info.minor}
    facts = {
        "python": {"version": version},
        "architecture": os.uname().machine,
        "distribution_major_version": release["VERSION_ID"],
        "flask_users": app_users(pwd.getpwall()),
    }
    module.exit_json(changed=False, problems=[], ansible_facts=facts)


if __name__ == "__main__":
    main()
