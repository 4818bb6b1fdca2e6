"""The model: apps × hosts → backends. From what a user writes (`flask_apps`, the inventory's groups) to what the roles take.

Pure functions, usable without Ansible's engine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.binds import frontend_ports
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.health import backend_health
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.hostnames import as_requested, health_names
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import app_keys

App = dict[str, Any]
Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]

# Keys of an app that are keys of its backend.
SAME_FOR_BALANCERS = (
    "hostnames", "canonical", "path", "auth", "rate_limit", "maintenance", "answer_timeout", "tunnel_timeout", "slow_start",
    "sticky",
)  # fmt: skip

# Places that an instance has at most in one balancer, each with its connection.
MOST_PLACES = 200
# A WebSocket holds one for as long as it lives, and an ASGI server no thread for it.
ASGI_PLACES = 2000
# Bytes, or with a suffix of base 1024, as systemd has them.
SIZE = re.compile(r"([1-9][0-9]{0,11})([KMGT]?)")


def flask_apps_complete(apps: Sequence[App]) -> list[App]:
    """Return the apps with every key present and of its type: what the user left out takes its default."""
    return [_complete(app) for app in apps]


def _complete(app: App) -> App:
    keys = app_keys()
    given = {
        key: _listed(key, value) if keys.get(key, {}).get("elements") == "str" else value for key, value in app.items()
    }
    result = ArgumentSpecValidator(keys).validate(_plain(given))
    if result.error_messages:
        raise ValueError("; ".join(result.error_messages))
    found: App = result.validated_parameters
    names = [as_requested(name) for name in found["hostnames"]]
    return found | {"hostnames": names, "canonical": as_requested(found["canonical"])}


def _listed(key: str, value: Any) -> Any:  # noqa: ANN401
    """Return a list of texts that was written as one: lines of HAProxy, which may have commas in them, or others with commas."""
    if not isinstance(value, str):
        return value
    return value.splitlines() if key == "haproxy_extra" else [one.strip() for one in value.split(",")]


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value without Ansible's lazy containers, which cannot be copied while a template is in another one."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def flask_apps_here(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> dict[str, dict[str, dict[str, Any]]]:
    """Return {complete app's name: {host: what the inventory says of it there}}, a part of the role's `flask_app_here`."""
    return {
        app["name"]: {host: _app_here(app, host, groups, hostvars) for host in groups.get(app["hosts"], [])}
        for app in apps
    }


def _app_here(app: App, host: str, groups: Groups, hostvars: HostVars) -> dict[str, Any]:
    return {
        "address": app_address(host, groups, hostvars),
        "health_host": backend_health(app["health"], health_names(app))["health_host"],
        "number_base": int(hostvars[host].get("number_base", 0)),
        "first": groups[app["hosts"]][0] == host,
        "allow": flask_app_allow(host, groups, hostvars),
        # Of several inventories, that of the first host for all: their release is one.
        "source_base": hostvars[groups[app["hosts"]][0]].get("inventory_dir") or "",
    }


def flask_apps_on(apps: Sequence[App], host: str, groups: Groups, only: str = "") -> list[App]:
    """Return those of complete apps that run on `host`, in the order of the list; of `only` one, where it is given."""
    return [app for app in apps if host in groups.get(app["hosts"], []) and only in ("", app["name"])]


def flask_bytes(size: str) -> int:
    """Return a size like `100M` in bytes, 0 for an empty one, which means no limit."""
    found = SIZE.fullmatch(size)
    return int(found[1]) * 1024 ** " KMGT".index(found[2] or " ") if found else 0


def app_address(host: str, groups: Groups, hostvars: HostVars) -> str | None:
    """Return the address at which balancers reach the apps of `host`, None where the inventory does not say.

    It is `app_address`, or the loopback address where the host is its own and only balancer.
    """
    address = hostvars[host].get("app_address")
    if address is None and list(groups.get("load_balancers", [])) == [host]:
        return "127.0.0.1"
    return None if address is None else str(address)


def flask_app_balancers(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the balancers that may have servers: not those on which the check (`found`) has seen no HAProxy yet."""
    return [name for name, one in zip(names, found, strict=True) if not one.get("not_there", False)]


def flask_app_allow(host: str, groups: Groups, hostvars: HostVars) -> list[str]:
    """Return the addresses from which balancers reach the apps of `host`, as far as the inventory names them.

    None are needed where they come over the loopback interface.
    """
    if app_address(host, groups, hostvars) == "127.0.0.1":
        return []
    # The host's own address, because its own health checks come from there.
    found = {
        str(app_address(host, groups, hostvars)),
        *(balancer_address(name, hostvars) for name in groups["load_balancers"]),
    }
    return sorted(address for address in found if is_ip(address))


def balancer_address(name: str, hostvars: HostVars) -> str:
    """Return the address from which a balancer comes, as far as the inventory says; it may be a name, or empty."""
    return str(hostvars[name].get("app_address") or hostvars[name].get("ansible_host") or "")


def is_ip(address: str) -> bool:
    """Say whether HAProxy takes it as an address; one with a zone (fe80::1%eth0) it does not."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address


def balancer_places(threads: int, balancers: int, servers: int, grow: bool) -> dict[str, int]:
    """Return {minconn, maxconn, fullconn}: how many requests one balancer may have in one instance at a time.

    What exceeds it waits in HAProxy, where it can still go to another instance. A request holds its place until its
    last byte has left, so a few slow clients would hold all of them if there were as many as threads. So the places
    grow with the load (HAProxy's manual, `minconn`): from the instance's threads, shared among the balancers, in
    proportion to what the backend holds. The slope is such that all servers together have one and a half times as many
    places as are taken, so that a server may be out, and that a request always makes the place it needs: where each of
    n servers holds m, the next one finds m + 1 somewhere. An instance that hangs holds no more than half of what is
    under way.

    Without `grow` they stay as many as the threads: granian's threads also answer the health check, and one in which
    more requests wait than it has threads would be taken for dead.
    """
    minconn = max(1, -(-threads // max(1, balancers)))
    maxconn = max(MOST_PLACES, minconn) if grow else minconn
    slope = max(1.5 / servers, (minconn + 1) / (servers * minconn + 1))
    return {"minconn": minconn, "maxconn": maxconn, "fullconn": max(1, int(maxconn / slope))}


def _is_waitress(app: App) -> bool:
    return bool(app["interface"] == "wsgi" and app["server"] == "waitress")


def _places(app: App, balancers: int, servers: int) -> dict[str, int]:
    if app["interface"] == "asgi":
        return {"minconn": ASGI_PLACES, "maxconn": ASGI_PLACES, "fullconn": ASGI_PLACES}
    return balancer_places(app["threads"], balancers, servers, _is_waitress(app))


def flask_backends(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Return `haproxy_backends`: one backend an app, one server an instance.

    Servers are ordered by instance, then host, so that neighbours in the rotation are on different hosts.
    """
    backends = []
    for app in flask_apps_complete(apps):
        hosts = list(groups[app["hosts"]])
        servers = [
            {
                "name": f"{host}-{number}",
                "address": app_address(host, groups, hostvars),
                "port": app["port"] + number - 1,
                "options": server_options(hostvars[host]),
            }
            for number in range(1, app["instances"] + 1)
            for host in hosts
        ]
        backends.append(
            {
                "name": app["name"],
                "servers": servers,
                **backend_health(app["health"], health_names(app)),
                "places": _places(app, len(groups["load_balancers"]), len(servers)),
                # Waitress answers 413 itself and reads on, so that clients which read only after they have sent get it.
                "max_body": 0 if _is_waitress(app) else flask_bytes(app["max_body"]),
                "extra": app["haproxy_extra"],
            }
            | {key: app[key] for key in SAME_FOR_BALANCERS}
        )
    return backends


def server_options(variables: Mapping[str, Any]) -> str:
    """Return what a `server` line has for a host with these variables, beginning with a space where it has something."""
    weight, backup = int(variables.get("app_weight", 1)), boolean(variables.get("app_backup", False))
    return (f" weight {weight}" if weight != 1 else "") + (" backup" if backup else "")


def flask_servers(backends: Sequence[Mapping[str, Any]], server: str, host: str) -> list[str]:
    """Return the servers (`backend/server`) that `server` names (`*`: all) or that are on `host`."""
    found = []
    for backend in backends:
        for one in backend["servers"]:
            name = f"{backend['name']}/{one['name']}"
            if server in (name, "*") or (host and one["name"].rpartition("-")[0] == host):
                found.append(name)
    return found


def flask_all_out(backends: Sequence[Mapping[str, Any]], out: Collection[str]) -> list[str]:
    """Return the names of the backends all of whose servers (`backend/server`) are `out`."""
    return [one["name"] for one in backends if set(flask_servers([one], "*", "")) <= set(out)]


def flask_servers_on(backends: Sequence[Mapping[str, Any]], hosts: Sequence[str], only: str = "") -> list[str]:
    """Return the servers (`backend/server`) that are on some hosts; of `only` one app, where it is given."""
    apps = [backend for backend in backends if only in ("", backend["name"])]
    return [server for host in hosts for server in flask_servers(apps, "", host)]


def flask_ports(apps: Sequence[App], host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Return [{port, owner}]: who, of complete apps, is to listen where on one host, to be compared with who does already."""
    ports = []
    if host in groups.get("load_balancers", []):
        ports += [{"port": port, "owner": "haproxy"} for port in frontend_ports(hostvars[host])]
    for app in flask_apps_on(apps, host, groups):
        for number in range(1, app["instances"] + 1):
            ports.append({"port": app["port"] + number - 1, "owner": f"flask-{app['name']}@{number}.service"})
    return ports
