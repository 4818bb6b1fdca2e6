"""From what a user writes (`flask_apps` and the groups of the inventory) to what the roles take.

Pure functions, usable without Ansible's engine. The keys of an app, their types, choices and defaults are those
of the role flask_app (`meta/argument_specs.yml`, `defaults/main.yml`) without the prefix `flask_app_`; they are
read from there, so that they are described once.
"""

from __future__ import annotations

import ast
import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROLE = PROJECT / "roles" / "flask_app"
PREFIX = "flask_app_"

# Variables of the role that site.yml works out: no user writes them in `flask_apps`.
HANDED_OVER = frozenset(
    {"address", "allow", "balancers", "deployment", "force", "health_host", "number_base", "rollback_required"}
)
# Keys that concern the balancers, not the role.
ROUTING: dict[str, dict[str, Any]] = {
    "hosts": {"type": "str", "default": "app_servers"},
    "hostnames": {"type": "list", "default": []},
    "path": {"type": "str", "default": ""},
    "haproxy_extra": {"type": "list", "default": []},
}

App = dict[str, Any]
Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]

TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "bool": (bool, "true or false, without quotes"),
    "dict": (dict, "a mapping"),
    "list": (list, "a list"),
}

# systemd allows more (systemd.unit(5)); useradd's limit of 32 characters with `flask-` before it is the tighter one.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,24}[a-z0-9]|[a-z]")
WSGI = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<callable>[A-Za-z_]\w*)(?P<factory>\(\))?")
HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.I)
URL_PATH = re.compile(r"/[A-Za-z0-9._~!&*+,;=:@%/-]*")
BIND_PORT = re.compile(r":(\d+)(?:$|\s)")
# HAProxy's manual, section 2.5: a time without a unit is in milliseconds, which nobody means.
DURATION = re.compile(r"[1-9][0-9]*(us|ms|s|m|h|d)")
ENVIRONMENT_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the units set themselves; an app that set it would contradict the inventory.
RESERVED_ENVIRONMENT = ("GRANIAN_", "APP_", "PYTHONPATH")


@functools.cache
def app_keys() -> dict[str, dict[str, Any]]:
    """Return {key: {type, choices, required, default}} for all that an entry of `flask_apps` may hold."""
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    keys: dict[str, dict[str, Any]] = {}
    for variable, option in specs["argument_specs"]["main"]["options"].items():
        key = variable.removeprefix(PREFIX)
        if key not in HANDED_OVER:
            keys[key] = {name: option[name] for name in ("type", "choices", "required") if name in option}
            if variable in defaults:
                keys[key]["default"] = defaults[variable]
    return keys | ROUTING


def flask_apps_complete(apps: Sequence[App]) -> list[App]:
    """Return the apps with every key present: what the user left out takes its default."""
    defaults = {key: spec.get("default") for key, spec in app_keys().items()}
    return [defaults | app for app in apps]


def flask_apps_on(apps: Sequence[App], host: str, groups: Groups) -> list[App]:
    """Return the completed apps that run on `host`, in the order of the list."""
    return [app for app in flask_apps_complete(apps) if host in groups.get(app["hosts"], [])]


def flask_app_instances(
    port: int, instances: int, address: str, host: str, number_base: int, health_host: str
) -> list[dict[str, Any]]:
    """Return the instances of an app on a host as the modules take them, one mapping of these arguments and `number` each."""
    shared = {"address": address, "host": host, "number_base": number_base, "health_host": health_host}
    return [{"number": number, "port": port + number - 1} | shared for number in range(1, instances + 1)]


def flask_unit_settings(sandbox: Mapping[str, Any], egress: str, memory_max: str, allow: Sequence[str]) -> list[str]:
    """Return the lines of the `[Service]` section that are an app's own, in an order that does not depend on chance.

    `egress: none` becomes a filter of the kernel (systemd.resource-control(5), IPAddressDeny=) that lets through the
    loopback addresses and those in `allow`, the balancers.
    """
    lines = [f"IPAddressDeny=any\nIPAddressAllow={' '.join(['localhost', *sorted(allow)])}"] if egress == "none" else []
    lines += [f"MemoryMax={memory_max}"] if memory_max else []
    words = {True: "yes", False: "no"}
    lines += [f"{key}={words.get(value, value)}" for key, value in sorted(sandbox.items())]
    return "\n".join(lines).splitlines()


def app_address(host: str, groups: Groups, hostvars: HostVars) -> str | None:
    """Return the address at which balancers reach the apps of `host`, None where the inventory does not say.

    It is `app_address`, or the loopback address where the host is its own and only balancer.
    """
    address = hostvars[host].get("app_address")
    if address is None and list(groups.get("load_balancers", [])) == [host]:
        return "127.0.0.1"
    return None if address is None else str(address)


def flask_app_balancers(groups: Groups, hostvars: HostVars) -> list[str]:
    """Return the balancers that may have servers: not those on which the check has found no HAProxy yet."""
    return [
        name
        for name in groups["load_balancers"]
        if not hostvars[name].get("__haproxy_check", {}).get("not_there", False)
    ]


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
    return sorted(address for address in found if _is_ip(address))


def balancer_address(name: str, hostvars: HostVars) -> str:
    """Return the address from which a balancer comes, as far as the inventory says; it may be a name, or empty."""
    return str(hostvars[name].get("app_address") or hostvars[name].get("ansible_host") or "")


def balancer_maxconn(threads: int, balancers: int) -> int:
    """Return how many requests one balancer may have in one instance at a time.

    What exceeds it waits in HAProxy, where it can still go to another instance. The thread that an instance has
    beyond `threads` answers the health check while all others are busy.
    """
    return max(1, -(-threads // max(1, balancers)))


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
            }
            for number in range(1, app["instances"] + 1)
            for host in hosts
        ]
        backends.append(
            {
                "name": app["name"],
                "servers": servers,
                "health": app["health"],
                "hostnames": app["hostnames"],
                "path": app["path"],
                "maxconn": balancer_maxconn(app["threads"], len(groups["load_balancers"])),
                "extra": app["haproxy_extra"],
            }
        )
    return backends


def flask_servers(backends: Sequence[Mapping[str, Any]], server: str, host: str) -> list[str]:
    """Return the servers (`backend/server`) that `server` names (`*`: all) or that are on `host`."""
    found = []
    for backend in backends:
        for one in backend["servers"]:
            name = f"{backend['name']}/{one['name']}"
            if server in (name, "*") or (host and one["name"].rpartition("-")[0] == host):
                found.append(name)
    return found


def haproxy_routes(backends: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return [{backend, condition}] for the `use_backend` lines, the most specific first.

    A host name beats none, then the longer path beats the shorter; a backend without both is reached by default
    only. `path: /api` is meant as a folder: /api and /api/x, not /apix.
    """
    routes = []
    for backend in backends:
        hostnames, path = list(backend.get("hostnames", [])), str(backend.get("path", "")).rstrip("/")
        conditions = []
        if hostnames:
            # Browsers send the port along where it is not the scheme's own (RFC 9110 section 7.2).
            conditions.append("{ req.hdr(host),field(1,:) -i " + " ".join(hostnames) + " }")
        if path:
            conditions.append("{ path " + path + " } || { path_beg " + path + "/ }")
        if conditions:
            routes.append((bool(hostnames), len(path), backend["name"], conditions))
    routes.sort(key=lambda route: (not route[0], -route[1]))
    lines = []
    for has_hostnames, _, name, conditions in routes:
        if has_hostnames and len(conditions) == 2:
            folder = conditions[1].split(" || ")
            condition = f"{conditions[0]} {folder[0]} || {conditions[0]} {folder[1]}"
        else:
            condition = conditions[0]
        lines.append({"backend": name, "condition": condition})
    return lines


def bind_ports(binds: Sequence[str]) -> list[int]:
    """Return the TCP ports of HAProxy `bind` lines such as `*:80` or `:::443 v4v6 ssl crt /etc/…`."""
    return [int(found.group(1)) for bind in binds if (found := BIND_PORT.search(str(bind)))]


def frontend_ports(variables: Mapping[str, Any]) -> list[int]:
    """Return the ports that a balancer with these host variables listens on: its frontends' and the stats page's."""
    defaults = balancer_defaults()
    binds = variables.get("haproxy_binds", defaults["haproxy_binds"])
    stats = variables.get("haproxy_stats_bind", defaults["haproxy_stats_bind"])
    return bind_ports([*binds, stats])


@functools.cache
def balancer_defaults() -> dict[str, Any]:
    """Return the defaults of the role haproxy."""
    defaults: dict[str, Any] = yaml.safe_load((PROJECT / "roles" / "haproxy" / "defaults" / "main.yml").read_text())
    return defaults


def flask_ports(apps: Sequence[App], host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Return [{port, owner}]: who is to listen where on one host, to be compared with what listens there already."""
    ports = []
    if host in groups.get("load_balancers", []):
        ports += [{"port": port, "owner": "haproxy"} for port in frontend_ports(hostvars[host])]
    for app in flask_apps_on(apps, host, groups):
        for number in range(1, app["instances"] + 1):
            ports.append({"port": app["port"] + number - 1, "owner": f"flask-{app['name']}@{number}.service"})
    return ports


def flask_problems(apps: Any, groups: Groups, hostvars: HostVars) -> list[str]:  # noqa: ANN401 (it is what a user wrote)
    """Return what is wrong with the inventory, a sentence each: where, the key, the value, the fix.

    All of it can be known before any host is asked. An empty list means that the other functions of this file,
    and the template of the haproxy role, accept the same arguments.
    """
    found = [
        f"the group {group} is {'empty' if group in groups else 'missing'}. Fix: name at least one host in it."
        for group in ("app_servers", "load_balancers")
        if not groups.get(group)
    ]
    if not isinstance(apps, list) or not apps:
        return [
            *found,
            f"flask_apps is {_shown('', apps)}. Fix: make it a list with one entry an app; README.md shows one.",
        ]
    usable = []
    for index, app in enumerate(apps):
        label = f"flask_apps[{index}]"
        if isinstance(app, dict) and isinstance(app.get("name"), str):
            label += f" ({app['name']})"
        problems = list(_shape_problems(app))
        if not problems:
            complete = flask_apps_complete([app])[0]
            problems = [
                *_value_problems(complete),
                *_source_problems(complete),
                *_host_problems(complete, groups, hostvars),
            ]
            if not problems:
                usable.append(complete)
        found += [f"{label}: {problem}" for problem in problems]
    for host in groups.get("load_balancers", []):
        found += [problem for problem in _balancer_problems(host, hostvars[host]) if problem not in found]
    return [*found, *_name_problems(usable), *_port_problems(usable, groups, hostvars)]


@functools.cache
def balancer_options() -> dict[str, dict[str, Any]]:
    """Return the options of the role haproxy that a user may set, as the argument specs have them."""
    specs = yaml.safe_load((PROJECT / "roles" / "haproxy" / "meta" / "argument_specs.yml").read_text())
    options: dict[str, dict[str, Any]] = specs["argument_specs"]["main"]["options"]
    return {name: option for name, option in options.items() if name != "haproxy_backends"}


def _balancer_problems(host: str, variables: Mapping[str, Any]) -> Iterator[str]:
    options = balancer_options()
    for name in variables:
        if not name.startswith("haproxy_"):
            continue
        if name not in options:
            yield f"{host}: there is no variable {name}. Fix: one of {', '.join(sorted(options))}."
            continue
        value, (wanted, words) = variables[name], TYPES[options[name]["type"]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            yield f"{host}: {name} is {value!r}. Fix: write {words}."
        elif isinstance(value, list) and not all(isinstance(line, str) and line and "\n" not in line for line in value):
            yield f"{host}: {name} is {value!r}. Fix: a list of single lines of text."
        elif name.startswith("haproxy_timeout_") and not DURATION.fullmatch(str(value)):
            yield f"{host}: {name} is {value!r}. Fix: a number with a unit, like 500ms, 30s or 5m."
    proxies = variables.get("haproxy_trusted_proxies", [])
    for network in proxies if isinstance(proxies, list) else []:
        if not _is_network(network):
            yield f"{host}: haproxy_trusted_proxies has {network!r}. Fix: an address or a network, like 192.0.2.0/24."
    for name in ("haproxy_binds", "haproxy_stats_bind"):
        value = variables.get(name)
        binds = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        for bind in binds:
            if isinstance(bind, str) and not BIND_PORT.search(bind):
                yield f"{host}: {name} has {bind!r}. Fix: address:port, like *:80."
        if value == []:
            yield f"{host}: {name} is []. Fix: at least one, like *:80."


def _shape_problems(app: Any) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(app, dict):
        yield f"is {_shown('', app)}. Fix: write a mapping, beginning with `- name: …`."
        return
    keys = app_keys()
    for key, value in app.items():
        if key not in keys:
            yield f"there is no key {key!r} (value {_shown(key, value)}). Fix: one of {', '.join(sorted(keys))}."
            continue
        wanted, words = TYPES[keys[key]["type"]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            yield f"{key} is {_shown(key, value)}. Fix: write {words}."
        elif "choices" in keys[key] and value not in keys[key]["choices"]:
            yield f"{key} is {value!r}. Fix: one of {', '.join(keys[key]['choices'])}."
    for key, spec in keys.items():
        if spec.get("required") and key not in app:
            yield f"{key} is missing. Fix: add `{key}: …`."


def _shown(key: str, value: Any) -> str:  # noqa: ANN401
    """Return a value for a message; what may hold a secret is not shown.

    That is the environment, under this or a mistaken name: of a key that is none of ours, only numbers are shown.
    """
    if key == "environment" or (key not in app_keys() and value and not isinstance(value, (int, float))):
        return f"{type(value).__name__}, not shown"
    return repr(value)


def _value_problems(app: App) -> Iterator[str]:
    if not NAME.fullmatch(app["name"]):
        yield (
            f"name is {app['name']!r}. Fix: at most 26 of a-z, 0-9, - and _, beginning with a letter and ending "
            "with a letter or a digit: it becomes a unit, a user and a folder."
        )
    if not WSGI.fullmatch(app["wsgi"]):
        yield f"wsgi is {app['wsgi']!r}. Fix: module:callable, like app:app, or module:factory()."
    for key, low, high in (("port", 1024, 65535), ("instances", 1, 200), ("threads", 1, 256), ("keep", 1, 100)):
        if not low <= app[key] <= high:
            yield f"{key} is {app[key]}. Fix: a number from {low} to {high}."
    if app["port"] + app["instances"] - 1 > 65535:
        yield f"port is {app['port']}; {app['instances']} instances would reach beyond 65535. Fix: a lower port."
    if not URL_PATH.fullmatch(app["health"]):
        yield f"health is {app['health']!r}. Fix: a path that begins with /, like /health."
    if app["path"] and (not URL_PATH.fullmatch(app["path"]) or not app["path"].rstrip("/")):
        yield f"path is {app['path']!r}. Fix: a path below /, like /api; leave it out for everything."
    for name in app["hostnames"]:
        if not isinstance(name, str) or not HOSTNAME.fullmatch(name):
            yield f"hostnames has {name!r}. Fix: a host name without scheme and port, like www.example.org."
    for line in app["haproxy_extra"]:
        if not isinstance(line, str) or "\n" in line:
            yield f"haproxy_extra has {line!r}. Fix: a list of single lines."
    for key, value in app["environment"].items():
        if not isinstance(key, str) or not ENVIRONMENT_KEY.fullmatch(key):
            yield f"environment has the key {key!r}. Fix: letters, digits and _, not beginning with a digit."
        elif key.startswith(RESERVED_ENVIRONMENT):
            yield f"environment has the key {key}. Fix: another name; {', '.join(RESERVED_ENVIRONMENT)} are the unit's own."
        elif not isinstance(value, str) or "\0" in value:
            yield f"environment.{key} is no text (value not shown). Fix: put it in quotes."
    for key, value in app["sandbox"].items():
        if not isinstance(key, str) or not re.fullmatch(r"[A-Z][A-Za-z]+", key):
            yield f"sandbox has the key {key!r}. Fix: a setting of systemd.exec(5), like MemoryDenyWriteExecute."
        elif not isinstance(value, (str, bool)) or "\n" in str(value):
            yield f"sandbox.{key} is {value!r}. Fix: true, false or one line of text."


def _source_problems(app: App) -> Iterator[str]:
    source = Path(PROJECT, app["source"]).expanduser()
    if not source.is_dir():
        yield f"source is {app['source']!r}; there is no folder {source}. Fix: a folder on this machine."
        return
    if app["requirements"] and not (source / app["requirements"]).is_file():
        yield f"requirements is {app['requirements']!r}; there is no such file in {source}. Fix: its name, or leave it out."
    wsgi = WSGI.fullmatch(app["wsgi"])
    if wsgi:
        yield from _wsgi_problems(app["wsgi"], source, wsgi["module"], wsgi["callable"])


def _wsgi_problems(value: str, source: Path, module: str, name: str) -> Iterator[str]:
    stem = source.joinpath(*module.split("."))
    path = next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    if path is None:
        yield f"wsgi is {value!r}; {source} has no module {module}. Fix: the module that holds the application."
        return
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        yield f"wsgi is {value!r}; {path} is not valid Python: {error}. Fix: that line."
        return
    if not any(bound in (name, "*") for bound in _bound_names(tree)):
        yield f"wsgi is {value!r}; nothing called {name} is defined in {path}. Fix: the name of the application there."


def _bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names a module binds, also inside `if`, `try` and `with`; `*` where a star import hides them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        else:
            yield from _bound_names(node)


def _host_problems(app: App, groups: Groups, hostvars: HostVars) -> Iterator[str]:
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
        elif not _is_ip(address):
            yield f"app_address of {host} is {address!r}. Fix: an IPv4 or IPv6 address."
        elif app["egress"] == "none" and address != "127.0.0.1":
            for balancer in groups.get("load_balancers", []):
                if not _is_ip(balancer_address(balancer, hostvars)):
                    yield (
                        f"egress is none, and the balancer {balancer} has no address that {host} could let through. "
                        f"Fix: app_address: <its address> in the variables of {balancer}, or egress: any."
                    )
        base = hostvars[host].get("number_base", 0)
        if not isinstance(base, int) or isinstance(base, bool) or base < 0:
            yield f"number_base of {host} is {base!r}. Fix: a whole number from 0."


def _is_ip(address: str) -> bool:
    """Say whether HAProxy takes it as an address; one with a zone (fe80::1%eth0) it does not."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address


def _is_network(network: Any) -> bool:  # noqa: ANN401
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    return isinstance(network, str) and "%" not in network


def _name_problems(apps: Sequence[App]) -> Iterator[str]:
    names = [app["name"] for app in apps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"flask_apps: the name {name!r} is used {names.count(name)} times. Fix: one name an app."
    routes: dict[tuple[str, str], str] = {}
    for app in apps:
        for hostname in app["hostnames"] or ([""] if app["path"] else []):
            route = (hostname.lower(), app["path"].rstrip("/"))
            if route in routes and routes[route] != app["name"]:
                yield (
                    f"flask_apps: {routes[route]} and {app['name']} are both to answer {''.join(route)!r}. "
                    "Fix: another hostnames or path for one of them."
                )
            routes[route] = app["name"]


def _port_problems(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> Iterator[str]:
    seen: set[str] = set()
    for host in groups.get("app_servers", []):
        taken: dict[int, str] = {}
        if host in groups.get("load_balancers", []):
            taken.update((port, "haproxy's frontends and stats page") for port in frontend_ports(hostvars[host]))
        for app in apps:
            if host not in groups[app["hosts"]]:
                continue
            ports = range(app["port"], app["port"] + app["instances"])
            for owner in sorted({taken[port] for port in ports if port in taken}):
                clash = next(port for port in ports if taken.get(port) == owner)
                problem = (
                    f"flask_apps: port {clash} of {app['name']} ({ports[0]} to {ports[-1]}) is also that of {owner}. "
                    f"Fix: another port for {app['name']}."
                )
                if problem not in seen:
                    yield problem
                seen.add(problem)
            taken.update((port, app["name"]) for port in ports)


class FilterModule:
    """Make the functions of this file available to templates under their own names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_apps_complete": flask_apps_complete,
            "flask_app_allow": flask_app_allow,
            "flask_app_balancers": flask_app_balancers,
            "flask_app_instances": flask_app_instances,
            "flask_apps_on": flask_apps_on,
            "flask_servers": flask_servers,
            "flask_unit_settings": flask_unit_settings,
            "flask_app_address": app_address,
            "flask_backends": flask_backends,
            "flask_ports": flask_ports,
            "flask_problems": flask_problems,
            "haproxy_routes": haproxy_routes,
        }
