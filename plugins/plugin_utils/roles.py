"""The variables of this collection's roles, as their argument specs and defaults describe them.

An entry of `flask_apps` is the variable `flask_app` of the role of that name, described there and nowhere else.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

ROLES = Path(__file__).resolve().parents[2] / "roles"

# Variables of the role haproxy that site.yml works out.
HANDED_TO_BALANCER = frozenset({"haproxy_backends", "haproxy_balancers", "haproxy_beside_apps"})


@functools.cache
def app_keys() -> dict[str, dict[str, Any]]:
    """Return {key: specification} for all that an entry of `flask_apps` may hold, as Ansible's validator takes it."""
    options = role_options("flask_app")["flask_app"]["options"]
    return {
        key: {name: one for name, one in option.items() if name != "description"} for key, option in options.items()
    }


@functools.cache
def balancer_options() -> dict[str, dict[str, Any]]:
    """Return the options of the role haproxy that a user may set, as the argument specs have them.

    The others are handed over by site.yml.
    """
    return {name: option for name, option in role_options("haproxy").items() if name not in HANDED_TO_BALANCER}


@functools.cache
def balancer_defaults() -> dict[str, Any]:
    """Return the defaults of the role haproxy."""
    return role_defaults("haproxy")


def role_options(role: str) -> dict[str, dict[str, Any]]:
    """Return the options of a role, from its argument specs."""
    specs = yaml_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, dict[str, Any]] = specs["argument_specs"]["main"]["options"]
    return options


def role_defaults(role: str) -> dict[str, Any]:
    """Return the defaults of a role."""
    defaults: dict[str, Any] = yaml_load((ROLES / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    return defaults
