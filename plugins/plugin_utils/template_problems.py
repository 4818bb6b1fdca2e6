"""The variables that an inventory is judged by, evaluated; and what cannot be, as a template with a name that nobody defines.

Ansible evaluates a template where its value is used, and would fail there without a word about the variable and the host.
"""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import Groups, HostVars
from jinja2 import TemplateError, Undefined

# What stands where a value cannot be evaluated, so that the others can be looked at.
UNREADABLE = "(cannot be evaluated)"
OF_HOSTS = frozenset(
    (
        "ansible_host",
        "app",
        "app_address",
        "app_backup",
        "app_weight",
        "flask_app",
        "flask_apps",
        "let_go",
        "number_base",
    )
)
NAMED = 3  # hosts, in a message
# Variables that nobody misses where they are mistyped.
OURS = ("app_address", "app_backup", "app_weight", "flask_apps", "number_base")


def _slips(name: str) -> Iterator[str]:
    """Yield a name with a letter left out, typed twice, or two of them the other way round."""
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]
        yield name[:at] + name[at] + name[at:]
        yield name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :]


def slips(names: Collection[str]) -> dict[str, str]:
    """Return {mistyped name: name}."""
    return {slip: name for name in names for slip in _slips(name) if slip not in names}


# `flask_app` is what the role takes.
SLIPS = {slip: name for slip, name in slips(OURS).items() if slip != "flask_app"}


def evaluated(read: Callable[[], Any], where: str = "", said: Callable[[str, str], object] | None = None) -> Any:  # noqa: ANN401
    """Return what `read` does, in plain lists and mappings; `said` gets (place, reason) for what cannot be evaluated."""
    try:
        value = read()
        if isinstance(value, Undefined):
            # It says what it is where it is used.
            value = str(value)
    except (AnsibleError, TemplateError) as error:
        if said:
            said(
                where,
                str(error).removeprefix("A captured exception marker was tripped: ").partition("\n")[0].rstrip("."),
            )
        return UNREADABLE
    if isinstance(value, Mapping):
        return {key: evaluated(functools.partial(value.__getitem__, key), f"{where}.{key}", said) for key in value}
    if isinstance(value, list):
        return [
            evaluated(functools.partial(value.__getitem__, index), f"{where}[{index}]", said)
            for index in range(len(value))
        ]
    return value


def readable(value: Any) -> bool:  # noqa: ANN401
    """Say whether all of an evaluated value could be."""
    if isinstance(value, (dict, list)):
        return all(readable(one) for one in (value.values() if isinstance(value, dict) else value))
    return not (isinstance(value, str) and value == UNREADABLE)


def evaluated_hosts(groups: Groups, hostvars: HostVars, more: Collection[str]) -> tuple[HostVars, list[str]]:
    """Return the variables of the hosts, and what is mistyped or cannot be evaluated of those that are looked at.

    `more` are among these. Of `flask_apps`, UNREADABLE stands there; other variables are left out.
    """
    hosts_of: dict[tuple[str, str], list[str]] = {}
    mistyped: dict[str, list[str]] = {}
    found: dict[str, dict[str, Any]] = {}
    balancers = groups.get("load_balancers", [])
    for number, host in enumerate(dict.fromkeys([*groups.get("app_servers", []), *balancers]), 1):
        # Ansible puts them together each time that it is asked for those of a host.
        variables = hostvars[host]
        found[host] = {"inventory_dir": variables.get("inventory_dir")}
        for name in variables:
            if name in SLIPS:
                mistyped.setdefault(name, []).append(host)
            if not (name in OF_HOSTS or name in more or (name.startswith("haproxy_") and host in balancers)):
                continue
            wrong: list[tuple[str, str]] = []
            read = functools.partial(variables.__getitem__, name)
            value = evaluated(read, name, lambda *one: wrong.append(one))  # noqa: B023 (it is over before the next one)
            for one in wrong:
                hosts_of.setdefault(one, []).append(host)
            if not wrong or name == "flask_apps":
                found[host][name] = value
            elif name == "app_address":
                # That it is missing would be wrong to say.
                found[host][name] = f"2001:db8::{number:x}"
    # Nothing is written to it.
    everybody: HostVars = ChainMap(found, hostvars)  # type: ignore[arg-type]
    return everybody, [*_mistyped(mistyped), *_unreadable(hosts_of)]


def _mistyped(hosts_of: Mapping[str, list[str]]) -> Iterator[str]:
    for name, hosts in hosts_of.items():
        yield f"{_named(hosts)}: there is no variable {name}. Fix: {SLIPS[name]}, if that is meant; else another name."


def _unreadable(hosts_of: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    for (where, reason), hosts in hosts_of.items():
        yield (
            f"{where} of {_named(hosts)} cannot be evaluated: {reason}. Fix: mend its template, or define what it names for "
            f"{'that host' if len(hosts) == 1 else 'those hosts'}."
        )


def _named(hosts: list[str]) -> str:
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    return ", ".join(hosts[:NAMED]) + more
