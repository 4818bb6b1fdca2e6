"""What is wrong with the hosts of an inventory: their names, their variables, and what differs between them.

And with what a run was told beside it, by -e, which is a variable of every host.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import (
    App,
    Groups,
    HostVars,
    app_address,
    balancer_address,
    is_ip,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.template_problems import evaluated, slips
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import nearest, shown, type_problem

# HAProxy's names of servers have these characters (configuration manual, section 3.2); with them, a line of a unit needs no
# quotes. The length is that of a name in DNS.
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
# What a run may be told with -e, beside the variables of the roles.
RUN_OPTIONS = {"lock_wait": "int"} | dict.fromkeys(
    ("abort", "across_release_command", "flask_app_force", "going_back", "lift", "promote", "with_state"), "bool"
)
# And with what the playbooks take besides.
TOLD = (
    *RUN_OPTIONS, "app", "archive", "command", "deployment", "follow", "format", "host", "let_go",
    "request", "server", "since", "state", "weight",
)  # fmt: skip
ABSENT = object()


def flask_apps_agreed(groups: Groups, hostvars: HostVars) -> Any:  # noqa: ANN401
    """Return flask_apps as most hosts of both groups have it, the first one's where it is a tie; an empty list if none has.

    A host that has none, like a balancer where the list is that of the group app_servers, agrees with the others.
    """
    found = [value for _, value in _lists(groups, hostvars)]
    return max(found, key=found.count) if found else []


def nobody_has_apps(groups: Groups, hostvars: HostVars) -> str:
    """Return what is to be said where no host has flask_apps, empty where one has; an empty list may be what is meant."""
    hosts = [*groups.get("app_servers", []), *groups.get("load_balancers", [])]
    if not hosts or any("flask_apps" in hostvars[host] for host in hosts):
        return ""
    other = " flask_app, which is there, is no variable of an inventory." if "flask_app" in hostvars[hosts[0]] else ""
    return f" No host has it: group_vars is read beside the inventory that -i names, and in its folder.{other}"


def difference_problems(apps: Any, groups: Groups, hostvars: HostVars) -> Iterator[str]:  # noqa: ANN401
    """Yield the hosts whose flask_apps is another one: HAProxy would look for their instances where none is."""
    lists = list(_lists(groups, hostvars))
    agreeing = next((host for host, value in lists if value == apps), "")
    for host, value in lists:
        if value != apps:
            yield (
                f"flask_apps of {host} is not that of {agreeing}: {'; '.join(_differences(value, apps))}. Fix: one flask_apps "
                "for all hosts, in group_vars/all.yml, without what differs from host to host; `hosts: GROUP` in an entry "
                "says where an app runs, and the environment of an instance has APP_INSTANCE."
            )


def _lists(groups: Groups, hostvars: HostVars) -> Iterator[tuple[str, Any]]:
    for host in dict.fromkeys([*groups.get("app_servers", []), *groups.get("load_balancers", [])]):
        if "flask_apps" in (variables := hostvars[host]):
            yield host, evaluated(functools.partial(variables.__getitem__, "flask_apps"))


def _differences(mine: Any, theirs: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield in words what differs between two lists of apps."""
    if not isinstance(mine, list) or not isinstance(theirs, list) or len(mine) != len(theirs):
        yield " against ".join(f"{len(one)} entries" if isinstance(one, list) else "no list" for one in (mine, theirs))
        return
    for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        if one == other:
            continue
        if not isinstance(one, dict) or not isinstance(other, dict):
            yield f"entry {index}"
            continue
        for key in {**one, **other}:
            if one.get(key, ABSENT) != other.get(key, ABSENT):
                yield f"{key} of {one.get('name', index)} is {_said(key, one, other)}"


def _said(key: Any, app: Mapping[str, Any], other: Mapping[str, Any]) -> str:  # noqa: ANN401
    """Return a value beside the other one; what may hold a secret is not shown."""
    words = [shown(str(key), one[key]) if key in one else "left out" for one in (app, other)]
    return "another one, not shown" if words[0] == words[1] else f"{words[0]}, not {words[1]}"


def host_problems(app: App, groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield what is wrong with the hosts of an app."""
    hosts = groups.get(app["hosts"])
    if not hosts:
        yield f"hosts is {app['hosts']!r}, a group that is {'missing' if hosts is None else 'empty'}. Fix: a group with hosts."
        return
    for host in hosts:
        if host not in groups.get("app_servers", []):
            yield f"hosts is {app['hosts']!r}; its host {host} is not in app_servers. Fix: add it to app_servers."
        address = app_address(host, groups, hostvars)
        if address is None:
            yield (
                f"the host {host} has no app_address, and it is not the only balancer itself. "
                f"Fix: app_address: <the address at which balancers reach it> in the variables of {host}."
            )
        elif not is_ip(address):
            yield f"app_address of {host} is {address!r}. Fix: an IPv4 or IPv6 address."
        elif other := next((name for name in groups.get("load_balancers", []) if not reaches(name, host, address)), ""):
            yield (
                f"app_address of {host} is {address}, at which the balancer {other} cannot reach it. "
                f"Fix: the address of {host} that balancers reach."
            )
        elif app["egress"] == "none" and address != "127.0.0.1":
            for balancer in groups.get("load_balancers", []):
                if not is_ip(balancer_address(balancer, hostvars)):
                    yield (
                        f"egress is none, and the balancer {balancer} has no address that {host} could let through. "
                        f"Fix: app_address: <its address> in the variables of {balancer}, or egress: any."
                    )


def reaches(balancer: str, host: str, address: str) -> bool:
    """Say whether a balancer may reach a host at an address; a loopback address is nobody else's."""
    found = ipaddress.ip_address(address)
    if found.is_loopback:
        return balancer == host
    # Without a zone, which HAProxy does not take, fe80::1 is nowhere.
    nowhere = found.version == 6 and found.is_link_local
    return not (nowhere or found.is_unspecified or found.is_multicast or address == "255.255.255.255")


def name_problems(groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield the hosts whose names HAProxy or systemd would not take, and whose variables are none that an app's host may have."""
    for host in groups.get("app_servers", []):
        if not HOST.fullmatch(host):
            yield (
                f"the name of the host {host!r} cannot be that of a server of HAProxy. Fix: at most 253 of a-z, A-Z, 0-9, ., _, "
                ": and -, beginning with a letter or a digit; what it is reached at is its ansible_host."
            )
        variables = hostvars[host]
        weight = variables.get("app_weight", 1)
        if not re.fullmatch(r"[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-6]", str(weight)):
            yield f"app_weight of {host} is {weight!r}. Fix: a whole number from 1 to 256."
        if type_problem(backup := variables.get("app_backup", False), {"type": "bool"}):
            yield f"app_backup of {host} is {backup!r}. Fix: true or false."
        base = variables.get("number_base", 0)
        if type_problem(base, {"type": "int"}) or int(base) < 0:
            yield f"number_base of {host} is {base!r}. Fix: a whole number from 0."


def address_problems(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield the hosts whose instances balancers would look for at the address and port of those of another host."""
    seen: dict[tuple[str | None, int], str] = {}
    for host in groups.get("app_servers", []):
        address = app_address(host, groups, hostvars)
        ports = {
            port
            for app in apps
            if host in groups[app["hosts"]]
            for port in range(app["port"], app["port"] + app["instances"])
        }
        if others := sorted({seen[address, port] for port in ports if (address, port) in seen}):
            yield f"app_address of {host} is {address}, which is that of {others[0]}. Fix: an address of its own for each host."
        seen |= {(address, port): host for port in ports}


def run_problems(names: Sequence[str] | None, groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield what is wrong with what a run was told beside the inventory, of whose apps these are the names; None for any."""
    hosts = [*groups.get("app_servers", []), *groups.get("load_balancers", [])]
    for name, kind in RUN_OPTIONS.items():
        for value in (hostvars[host][name] for host in hosts if name in hostvars[host]):
            if fix := type_problem(value, {"type": kind}):
                yield f"{name} is {value!r}. Fix: {fix}."
                break
    for name in let_go(groups, hostvars):
        if name in (names or ()):
            yield f"let_go has {name!r}, which is in flask_apps. Fix: take its entry out; or leave {name} out of let_go."
    for value in (hostvars[host].get("app", "") for host in hosts):
        if value and names is not None and value not in names:
            yield f"app is {value!r}, which no entry of flask_apps is called. Fix: {nearest(str(value), names)}; or leave it out."
            break


def told_problems(told: Sequence[str]) -> Iterator[str]:
    """Yield the names of variables given with -e which are probably mistyped: the run would go on as if without them."""
    meant = slips(TOLD) | {f"{name}s": name for name in TOLD}
    # What canary.yml makes of it.
    meant |= dict.fromkeys(["canary_weight", *slips(["canary_weight"])], "weight")
    for name in told:
        plain = name.lower().replace("-", "_")
        if name not in TOLD and (plain in TOLD or plain in meant):
            yield f"{name} is no variable for -e. Fix: {meant.get(plain, plain)}, if that is meant; else another name."


def let_go(groups: Groups, hostvars: HostVars) -> list[str]:
    """Return the names of the apps that a run was told to have the balancers let go of: `-e let_go=NAME`, several with commas."""
    return names_to_let_go(run_option("let_go", groups, hostvars) or "")


def run_option(name: str, groups: Groups, hostvars: HostVars) -> Any:  # noqa: ANN401
    """Return what a run was told with -e, which every host knows; None for nothing."""
    hosts = [*groups.get("app_servers", []), *groups.get("load_balancers", [])]
    return next((hostvars[host][name] for host in hosts if name in hostvars[host]), None)


def names_to_let_go(value: Any) -> list[str]:  # noqa: ANN401
    """Return the names in `let_go`, which may be a list or a text with commas."""
    names = value if isinstance(value, list) else str(value).split(",")
    return [name for one in names if (name := str(one).strip())]
