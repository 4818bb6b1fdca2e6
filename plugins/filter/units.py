"""What the role flask_app writes into the units and the instances of an app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import (
    App,
    Groups,
    HostVars,
    flask_app_allow,
    flask_apps_on,
)


def flask_app_instances(
    port: int, instances: int, address: str, host: str, number_base: int, health_host: str
) -> list[dict[str, Any]]:
    """Return the instances of an app on a host as the modules take them, one mapping of these arguments and `number` each."""
    shared = {"address": address, "host": host, "number_base": number_base, "health_host": health_host}
    return [{"number": number, "port": port + number - 1} | shared for number in range(1, instances + 1)]


def flask_unit_settings(
    sandbox: Mapping[str, Any], egress: str, memory_max: str, allow: Sequence[str], state: Iterable[str] = ()
) -> list[str]:
    """Return the lines of the `[Service]` section that are an app's own, in an order that does not depend on chance.

    `egress: none` becomes a filter of the kernel (systemd.resource-control(5), IPAddressDeny=) that lets through the
    loopback addresses and those in `allow`, the balancers. `state` is folders below /var/lib that are to be there.
    """
    lines = [f"IPAddressDeny=any\nIPAddressAllow={' '.join(['localhost', *sorted(allow)])}"] if egress == "none" else []
    lines += [f"MemoryMax={memory_max}"] if memory_max else []
    lines += [f"StateDirectory={' '.join(sorted(state))}"] if (state := list(state)) else []
    # A number is one, though 1 == True.
    words = {"True": "yes", "False": "no"}
    lines += [f"{key}={words[str(one)] if isinstance(one, bool) else one}" for key, one in sorted(sandbox.items())]
    return "\n".join(lines).splitlines()


def flask_unit_settings_on(apps: Sequence[App], host: str, groups: Groups, hostvars: HostVars) -> dict[str, list[str]]:
    """Return the lines of each of complete apps that runs on a host, as its deployments have them (unit.conf)."""
    allow, found = flask_app_allow(host, groups, hostvars), {}
    for app in flask_apps_on(apps, host, groups):
        folders = [f"flask-{app['name']}/{path}" for path in app["state_paths"]]
        found[app["name"]] = flask_unit_settings(app["sandbox"], app["egress"], app["memory_max"], allow, folders)
    return found


def flask_calendars(apps: Sequence[App]) -> dict[str, dict[str, str]]:
    """Return when the timers of complete apps run: {app: {timer: time}}."""
    return {app["name"]: {timer["name"]: timer["calendar"] for timer in app["timers"]} for app in apps if app["timers"]}


class FilterModule:
    """Make the functions of this file available to templates under their own names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_calendars": flask_calendars,
            "flask_app_instances": flask_app_instances,
            "flask_unit_settings": flask_unit_settings,
            "flask_unit_settings_on": flask_unit_settings_on,
        }
