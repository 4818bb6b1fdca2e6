"""What is wrong with an inventory as a whole, a sentence each: where, the key, the value, the fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.app_problems import (
    shape_problems,
    value_problems,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import (
    App,
    Groups,
    HostVars,
    flask_apps_complete,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.balancer_problems import (
    answer_problems,
    balancer_problems,
    issuer_problems,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.binds import frontend_ports
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_problems import (
    RUN_OPTIONS,
    address_problems,
    difference_problems,
    host_problems,
    let_go,
    name_problems,
    nobody_has_apps,
    run_option,
    run_problems,
    told_problems,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.sources import source_problems
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.template_problems import (
    UNREADABLE,
    evaluated,
    evaluated_hosts,
    readable,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import shown

# For what is missing or wrong, so that the rest of an entry can be looked at.
STAND_IN = {"name": "app", "source": ".", "wsgi": "app:app", "port": 5000}


def flask_problems(
    apps: Any,  # noqa: ANN401
    groups: Groups,
    hostvars: HostVars,
    sources: bool = True,
    unlisted: bool = False,
    told: Sequence[str] = (),
) -> list[str]:
    """Return what is wrong with the inventory, a sentence each: where, the key, the value, the fix.

    All of it can be known before any host is asked. An empty list means that the functions of apps.py, and the template of
    the role haproxy, accept the same arguments. Without `sources`, those of the apps need not be on
    this machine: where nothing is built. With `unlisted`, `-e app` may name one that has no entry; that may have been the
    last one, as may those that `-e let_go` names. `told` are the names of what the run was given with -e.
    """
    given = apps
    apps = evaluated(lambda: given)
    hostvars, unreadable = evaluated_hosts(groups, hostvars, RUN_OPTIONS)
    found = [
        *_group_problems(groups),
        *unreadable,
        *difference_problems(apps, groups, hostvars),
        *name_problems(groups, hostvars),
        *told_problems(told),
    ]
    if not readable(apps) and not isinstance(apps, list):
        return found
    if not isinstance(apps, list) or not (apps or unlisted or let_go(groups, hostvars)):
        last = " Where the last app is to go: -e let_go=NAME." if apps == [] else ""
        missing = nobody_has_apps(groups, hostvars)
        fix = f"make it a list with one entry an app; README.md shows one.{missing}{last}"
        return [*found, f"flask_apps is {shown('', apps)}. Fix: {fix}"]
    usable, problems = _entries(apps, groups, hostvars, sources)
    found += problems
    for host in groups.get("load_balancers", []):
        found += [problem for problem in balancer_problems(host, hostvars[host]) if problem not in found]
    found += issuer_problems(groups, hostvars)
    names = [str(app["name"]) for app in apps if isinstance(app, dict) and "name" in app]
    found += run_problems(names if readable(names) and not unlisted else None, groups, hostvars)
    return [*found, *_problems_together(usable, len(usable) == len(apps), groups, hostvars)]


def _problems_together(apps: Sequence[App], all_of_them: bool, groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield what is wrong with apps that are right by themselves."""
    yield from _clash_problems(apps)
    # One app alone changes nothing of that; and which is the first one, a list without all does not say.
    if all_of_them and not run_option("app", groups, hostvars):
        yield from _unasked_problems(apps)
    yield from address_problems(apps, groups, hostvars)
    yield from answer_problems(apps, groups, hostvars)
    yield from _port_problems(apps, groups, hostvars)


def _entries(apps: Sequence[Any], groups: Groups, hostvars: HostVars, sources: bool) -> tuple[list[App], list[str]]:
    """Return the entries of flask_apps that are usable, complete, and what is wrong with the others."""
    usable, found = [], []
    for index, app in enumerate(apps):
        if app == UNREADABLE:
            continue
        complete, problems = _entry(app, groups, hostvars, sources)
        label = f"flask_apps[{index}]"
        if isinstance(app, dict) and isinstance(app.get("name"), str) and readable(app["name"]):
            label += f" ({app['name']})"
        found += [f"{label}: {problem}" for problem in problems]
        usable += [complete] if complete and not problems else []
    return usable, found


def _group_problems(groups: Groups) -> Iterator[str]:
    for group in ("app_servers", "load_balancers"):
        if not groups.get(group):
            yield f"the group {group} is {'empty' if group in groups else 'missing'}. Fix: name at least one host in it."


def _entry(app: Any, groups: Groups, hostvars: HostVars, sources: bool) -> tuple[App, list[str]]:  # noqa: ANN401
    """Return an app, complete, and all that is wrong with it by itself."""
    found = list(shape_problems(app))
    problems, wrong = [problem for _, problem in found if problem], {key for key, _ in found}
    if "" in wrong:
        return {}, problems
    complete = flask_apps_complete([STAND_IN | {key: app[key] for key in app if str(key) not in wrong}])[0]
    problems += value_problems(complete)
    if "hosts" not in wrong:
        problems += host_problems(complete, groups, hostvars)
    # Where one app is deployed alone, nothing is built of others.
    only = (run_option("app", groups, hostvars) if sources else None) or complete["name"]
    if sources and only == complete["name"] and not wrong & {"source", "requirements", "wsgi"}:
        problems += source_problems(complete, _folder(complete, groups, hostvars))
    return complete if not wrong else {}, problems


def _folder(app: App, groups: Groups, hostvars: HostVars) -> str | None:
    """Return the folder of the inventory that the hosts of an app are from; of several inventories, the first host's."""
    hosts = groups.get(app["hosts"])
    return hostvars[hosts[0]].get("inventory_dir") if hosts else None


def _clash_problems(apps: Sequence[App]) -> Iterator[str]:
    """Yield the names that several apps have, and the routes."""
    names = [str(app["name"]) for app in apps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"flask_apps: the name {name!r} is used {names.count(name)} times. Fix: one name an app."
    yield from route_problems(apps)


def route_problems(apps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each host name and path that two apps, or backends of them, are to answer."""
    found = []
    routes: dict[tuple[str, str], str] = {}
    for app in apps:
        for hostname in app["hostnames"] or ([""] if app["path"] else []):
            # As HAProxy compares it: /%77iki is /wiki.
            route = (hostname.lower(), unquote(app["path"]).rstrip("/"))
            if route in routes and routes[route] != app["name"]:
                found.append(
                    f"flask_apps: {routes[route]} and {app['name']} are both to answer {''.join(route)!r}. "
                    "Fix: another hostnames or path for one of them."
                )
            routes[route] = app["name"]
    return found


def _unasked_problems(apps: Sequence[App]) -> Iterator[str]:
    """Yield the apps that no request would go to: what is meant for no app goes to the first one."""
    for app in apps[1:]:
        if not (app["hostnames"] or app["path"]):
            yield (
                f"flask_apps: {app['name']} has neither hostnames nor path, and what is meant for no app goes to "
                f"{apps[0]['name']}, the first one: {app['name']} would get no request. "
                f"Fix: hostnames or path for {app['name']}; or its entry as the first one."
            )


def _port_problems(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> Iterator[str]:
    seen: set[str] = set()
    for host in groups.get("app_servers", []):
        taken: dict[int, str] = {}
        # What it listens on can be said where its variables are as they should be.
        if host in groups.get("load_balancers", []) and not any(balancer_problems(host, hostvars[host])):
            taken.update((port, "haproxy's frontends and stats page") for port in frontend_ports(hostvars[host]))
        for app in apps:
            if host not in groups[app["hosts"]]:
                continue
            ports = range(app["port"], app["port"] + app["instances"])
            for owner in sorted({taken[port] for port in ports if port in taken}):
                clash = min(port for port in ports if taken.get(port) == owner)
                problem = (
                    f"flask_apps: port {clash} of {app['name']} ({ports[0]} to {ports[-1]}) is also that of {owner}. "
                    f"Fix: another port for {app['name']}."
                )
                if problem not in seen:
                    yield problem
                seen.add(problem)
            taken.update((port, app["name"]) for port in ports)
