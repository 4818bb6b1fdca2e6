#!/usr/bin/python
"""Find what only the host itself knows and what would make a run fail half-way."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_preflight
short_description: Find on a host what would make a run fail half-way
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Changes nothing. Reports the Debian release, whether systemd runs the host, ports that somebody else holds, accounts that
    somebody else has, settings that systemd does not take, a foreign haproxy.cfg and a full disk, all of them at once.
  - Returns the facts that the roles need, as M(ansible.builtin.setup) names them, C(flask_users), the users of apps that
    are there as the role flask_app makes them, and C(flask_apps_there), the apps of which something is there,
    C(flask_releases), the ids of the releases of each app, and C(flask_haproxy_there), whether the configuration of
    HAProxy is one of this collection.
options:
  ports:
    description: Ports that are going to be used, C({port, owner}), the owner being C(haproxy) or a unit.
    type: list
    elements: dict
    default: []
  apps:
    description: >-
      The apps of this host by name, each with the lines of its own for the section [Service] of its units. Lines that are new
      are put to systemd, which ignores what it does not know.
    type: dict
    default: {}
  calendars:
    description: >-
      When the timers of each app run, C({app: {timer: time}}), which systemd is asked about.
    type: dict
    default: {}
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
  flask_haproxy.deploy.host_preflight:
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
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import ROOT, app_users, of_an_app
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import CONFIG, OURS, foreign
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.listeners import Listener, listeners
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import SYSTEMD
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.unit_check import calendar_problems, setting_problems

# What the units run, and what a release is made for.
PYTHON = "/usr/bin/python3"
# Units that more runs in than what they are for, as somebody's shell: stopping them takes the way to the host away.
SHARED = re.compile(r"(ssh|sshd|dbus|cron|getty|systemd-|user@|init)\b|.*\.scope$")


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


def _other_app(mine: str, other: str, wanted: list[dict[str, Any]]) -> str:
    """Return the name of an app that holds a port, and how another one gets it; one that is to stay is not to be removed."""
    if any(str(entry["owner"]).startswith(f"flask-{other}@") for entry in wanted):
        return (
            f"{other}, which has to leave it before. Fix: a port for {other} that is free, and -e app={other}, which deploys "
            f"it alone; then all. Or another port for {mine}."
        )
    return (
        f"{other}. Fix: another port for {mine}, which then takes over without losing a request where it has got the place "
        f"of {other} in flask_apps; `ansible-playbook flask_haproxy.deploy.remove -e app={other}` frees the port afterwards."
    )


def port_problems(wanted: list[dict[str, Any]], found: dict[int, Listener]) -> Iterator[str]:
    """Yield the ports that are held by somebody who is not to have them."""
    for entry in wanted:
        port, owner = int(entry["port"]), str(entry["owner"])
        holder = found.get(port)
        if holder is None:
            continue
        unit = "haproxy.service" if owner == "haproxy" else owner
        # The instance listens, or systemd does so for it.
        holder = holder._replace(unit=holder.unit.replace(".socket", ".service") if "@" in unit else holder.unit)
        # An instance may follow another one of its app on a port; the rollout sees to the order.
        same_app = "@" in unit and holder.unit.startswith(unit.partition("@")[0] + "@")
        other_app = re.fullmatch(r"flask-(.+)@\d+\.service", holder.unit)
        if other_app and "@" in unit and not same_app:
            mine = unit.removeprefix("flask-").partition("@")[0]
            yield f"port {port}, which {owner} is to listen on, is held by the app {_other_app(mine, other_app[1], wanted)}"
        elif holder.unit != unit and not same_app:
            named = holder.unit or f"process {holder.pid}"
            mine = re.sub(r"^flask-(.+)@\d+\.service$", r"\1", owner)
            key = "haproxy_binds" if owner == "haproxy" else f"port of the app {mine}"
            alone = "" if owner == "haproxy" else " Of several apps, -e app=NAME deploys another one meanwhile."
            stop = f"systemctl disable --now {named.removesuffix('.service')}"
            if not holder.unit or SHARED.match(holder.unit):
                stop = f"kill {holder.pid}" if holder.pid else "see `ss -ltnp`"
            yield (
                f"port {port}, which {owner} is to listen on, is held by {holder.command} ({named}). "
                f"Fix: stop that ({stop}), or change {key}.{alone}"
            )


def account_problems(names: Iterable[str], users: Iterable[pwd.struct_passwd], home: Path = ROOT) -> Iterator[str]:
    """Yield the accounts that apps are to have and somebody else has; where the app has been here, its user is its own."""
    wanted = {f"flask-{name}": name for name in names if not (home / name).exists()}
    for user in users:
        if user.pw_name in wanted and not of_an_app(user):
            yield (
                f"the account {user.pw_name} (home {user.pw_dir}, shell {user.pw_shell}) is none of an app, and "
                f"{wanted[user.pw_name]} would run as it. Fix: another name for the app, or for the account "
                f"(usermod --login NEW {user.pw_name})."
            )


def apps_there() -> list[str]:
    """Return the names of the apps of which something is on this host: a folder, or units."""
    folders = {path.name for path in ROOT.glob("*") if path.is_dir()}
    units = {path.name.removeprefix("flask-").removesuffix("@.service") for path in SYSTEMD.glob("flask-*@.service")}
    return sorted(folders | units)


def releases_there() -> dict[str, list[str]]:
    """Return the ids of the releases that each app has on this host; a folder of that name is a complete one."""
    return {
        home.name: sorted(path.name for path in home.glob("releases/[!.]*") if (path / "lib").is_dir())
        for home in ROOT.glob("*")
    }


def host_problems(params: dict[str, Any]) -> Iterator[str]:
    """Yield what else is in the way: no Python, ports, a foreign haproxy.cfg, a full disk."""
    if not Path(PYTHON).exists():
        yield f"there is no {PYTHON}, which runs the instances. Fix: apt install python3."
    yield from port_problems(params["ports"], listeners({int(entry["port"]) for entry in params["ports"]}))
    yield from account_problems(params["apps"], pwd.getpwall())
    yield from setting_problems(params["apps"], ROOT)
    yield from calendar_problems(params["calendars"])
    if params["balancer"] and foreign(CONFIG) and not params["takeover"]:
        yield (
            f"{CONFIG} was written by somebody else. Fix: move what you need of it to haproxy_*_extra, then run again "
            "with -e haproxy_takeover=true, which replaces it."
        )
    folder = next((path for path in (ROOT, ROOT.parent) if path.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free >> 20
    if free < params["free_mib"]:
        yield f"{folder} has {free} MiB free. Fix: free at least {params['free_mib']} MiB there."


def python_version() -> dict[str, int]:
    """Return the version of the Python that the instances run on, whatever Python Ansible has found for its modules."""
    shown = subprocess.run(
        [PYTHON, "-I", "-c", "import sys; print(*sys.version_info[:2])"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.split()
    return {"major": int(shown[0]), "minor": int(shown[1])}


def main() -> None:
    """Collect the problems and fail with all of them."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "dict", "default": []},
            "apps": {"type": "dict", "default": {}},
            "calendars": {"type": "dict", "default": {}},
            "balancer": {"type": "bool", "default": False},
            "takeover": {"type": "bool", "default": False},
            "supported": {"type": "list", "elements": "str", "required": True},
            "free_mib": {"type": "int", "default": 200},
        },
        supports_check_mode=True,
    )
    if not Path("/run/systemd/system").is_dir():
        module.fail_json(
            msg="This machine was not booted with systemd, which has to run the services here; "
            "`make up` makes a test host that is, or name real hosts with -i.",
            problems=["not booted with systemd"],
        )
    release = os_release(Path("/etc/os-release").read_text(encoding="utf-8"))
    problems = [*release_problems(release, module.params["supported"]), *host_problems(module.params)]
    if problems:
        module.fail_json(
            msg="Nothing was changed, because:\n" + "\n".join(f"- {text}" for text in problems), problems=problems
        )
    facts = {
        "python": {"version": python_version()},
        "architecture": os.uname().machine,
        "processor_nproc": len(os.sched_getaffinity(0)),
        "flask_users": app_users(pwd.getpwall()),
        "flask_apps_there": apps_there(),
        "flask_releases": releases_there(),
        "flask_haproxy_there": CONFIG.is_file() and OURS in read_file(CONFIG),
    }
    module.exit_json(changed=False, problems=[], ansible_facts=facts)


if __name__ == "__main__":
    main()
