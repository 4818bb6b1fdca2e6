"""What a run does that cannot deploy everything, or is not to: which apps are left as they are, and what is said of them.

Pure functions, usable without Ansible's engine. Apps are complete, as `flask_apps_complete` returns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.app_problems import NAME
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App, Groups, flask_apps_on
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_problems import names_to_let_go
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.inventory_problems import route_problems

LONG = 700  # characters of a reason, from which on it is cut


def flask_reason(result: Mapping[str, Any]) -> str:
    """Return why a task has failed, in one line: the first one of its message, of a loop that of the first failed item."""
    items = [item for item in result.get("results", []) if item.get("failed") or item.get("unreachable")]
    said = str((items or [result])[0].get("msg") or "").strip() or "it failed without a message"
    line = said.splitlines()[0].rstrip(" :")
    line = line if len(line) <= LONG else f"{line[:LONG]}…"
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def flask_failures(hosts: Sequence[str], found: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return [{app, host, reason}] from what the role flask_app has returned on each host, {app: reason}, by app."""
    failures = [
        {"app": app, "host": host, "reason": reason}
        for host, failed in zip(hosts, found, strict=True)
        for app, reason in failed.items()
    ]
    return sorted(failures, key=lambda failure: failure["app"])


def flask_backends_kept(
    backends: Sequence[Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]] | None,
    only: str,
    failed: Sequence[str],
    inventory: str = "",
    let_go: Any = "",  # noqa: ANN401
) -> list[dict[str, Any]]:
    """Return the backends for a balancer of which `known` are there, where `only` one app is deployed or some have `failed`.

    What `let_go` names goes; where that is the last of the list, so do all of this inventory. The others stay as they are
    known: what has never been there is left out, and what is in no list any more still answers, for what was to take its
    place may have failed. `known` is None where the balancer was not asked yet, and has names only where an earlier release
    of this project configured it. Each has the `inventory` that deployed it last.
    """
    ours = [{**backend, "inventory": inventory} for backend in backends]
    listed = {backend["name"] for backend in backends}
    kept = {name for name in listed if name in failed or only not in ("", name)}
    going = names_to_let_go(let_go)
    gone, last = listed.union(going), bool(going) and not backends
    if known is None or not (kept or only or last):
        return ours
    there = {backend["name"]: backend for backend in known}
    found = [
        {**backend, **(there[backend["name"]] if backend["name"] in kept else {})}
        for backend in ours
        if backend["name"] not in kept or backend["name"] in there
    ]
    others = [dict(backend) for backend in known if backend["name"] not in gone and "servers" in backend]
    others = [backend for backend in others if not last or backend.get("inventory", inventory) != inventory]
    # The first backend answers what no other is meant for. Somebody else's does so still; of ours, a new one may be in
    # its place.
    first = others and others[0]["name"] == known[0]["name"]
    if first and (
        others[0].get("inventory", inventory) != inventory or backends[0]["name"] not in there.keys() | (listed - kept)
    ):
        return [others[0], *found, *others[1:]]
    return [*found, *others]


def flask_going_problems(
    apps: Sequence[App],
    known: Sequence[Mapping[str, Any]],
    inventory: str,
    let_go: Any,  # noqa: ANN401
) -> list[str]:
    """Return a sentence for each app that a balancer has (`known`) and that a run would take out of it by mistake.

    It is in no list, and another inventory has deployed it; or the list is empty. What `let_go` names is to go, and only
    that of what is not ours.
    """
    gone = names_to_let_go(let_go)
    meant = {app["name"] for app in apps}.union(gone)
    going = {one["name"]: one.get("inventory", inventory) for one in known if one["name"] not in meant}
    if gone and not apps:
        going = {name: theirs for name, theirs in going.items() if theirs == inventory}
    found = [
        f"{name} is in no list here and would lose its route: it was deployed from {theirs}, and this is {inventory}. "
        "Fix: one inventory with the apps of both; or -e app=NAME, which leaves all others as they are; "
        f"or -e let_go={name}, if it is to go."
        for name, theirs in going.items()
        if theirs != inventory
    ]
    if going and not apps and not found:
        found.append(
            f"flask_apps is [], and {', '.join(going)} would lose {'its route' if len(going) == 1 else 'their routes'}. "
            f"Fix: put back what is to stay; or -e let_go={','.join([*gone, *going])}, if all are to go."
        )
    return found


def flask_route_problems(backends: Sequence[Mapping[str, Any]], apps: Sequence[App], inventory: str) -> list[str]:
    """Return a sentence for each route that an app and one that another inventory has deployed are both to answer.

    What this one has no longer in its list may have a successor there.
    """
    listed = {app["name"] for app in apps}
    return route_problems(
        [one for one in backends if one["name"] in listed or one.get("inventory", inventory) != inventory]
    )


def flask_unasked(backends: Sequence[Mapping[str, Any]], app: str) -> list[str]:
    """Return a sentence where a balancer sends an app nothing: it is not the first, and says of no request that it is its.

    One list with such an app is refused. One that is deployed alone may come after those of other inventories.
    """
    return [
        f"{app} gets no request: it has no hostnames and no path, and what is meant for no app goes to "
        f"{backends[0]['name']}. Fix: hostnames or path for {app}."
        for one in backends[1:]
        if one["name"] == app and not (one.get("hostnames") or one.get("path"))
    ]


def flask_unlisted(
    apps: Sequence[App],
    hosts: Sequence[str],
    there: Sequence[Sequence[str]],
    groups: Groups,
    kept: Sequence[str] = (),
    let_go: Any = "",  # noqa: ANN401
    trial: bool = False,
) -> list[str]:
    """Return a sentence for each app that is `there` on one of the hosts and not to be: in no list, or not for that host.

    `kept` are the names of those that the balancers had before a run which did not deploy everything, and have still but
    for what it was to `let_go`. A `trial`, in check mode, has taken nothing out of them.
    """
    listed = {app["name"]: app for app in apps}
    found = []
    for host, names in zip(hosts, there, strict=True):
        # What can be no app is somebody else's, as the lost+found of a file system of its own.
        for name in filter(NAME.fullmatch, names):
            remove = f"ansible-playbook flask_haproxy.deploy.remove -e app={name}"
            if name not in listed and name in kept and name not in names_to_let_go(let_go):
                found.append(f"{name} is on {host} and in no list here; the balancers have it still.")
            elif name not in listed:
                found.append(
                    f"{name} is on {host} and in no list: no balancer {'would have' if trial else 'has'} it "
                    f"{'then' if trial else 'now'}, and it stays there, with its secrets. "
                    f"Fix: {remove} takes it away; or put it back into flask_apps."
                )
            elif host not in groups.get(listed[name]["hosts"], []):
                found.append(
                    f"{name} is on {host}, which is not in its group {listed[name]['hosts']}: it stays there, with its "
                    f"secrets.{_beside(listed[name])} Fix: {remove} -e host={host} takes it away; or put {host} back into "
                    "the group."
                )
    return found


def _beside(app: App) -> str:
    """Return what is to be said of what an app runs beside its instances, where a host goes on with it that is not to."""
    found = [one for key in ("processes", "timers") for one in app.get(key, [])]
    if not found:
        return ""
    once = ", ".join(one["name"] for one in found if one["hosts"] == "first")
    twice = f"; what is to run on one host alone ({once}) may run on two" if once else ""
    return f" Its processes and timers ({', '.join(one['name'] for one in found)}) run there as well{twice}."


def flask_former_balancers(hosts: Sequence[str], there: Sequence[bool], groups: Groups) -> list[str]:
    """Return a sentence for each host that has a configuration of ours for HAProxy and is no balancer (any more)."""
    return [
        f"{host} is in no list of balancers, and HAProxy is there as if it were: it still sends requests where its "
        f"configuration says. Fix: on {host}, apt purge haproxy; or put {host} back into load_balancers."
        for host, is_there in zip(hosts, there, strict=True)
        if is_there and host not in groups.get("load_balancers", [])
    ]


def flask_left(servers: Sequence[str], known: Sequence[Mapping[str, Any]], groups: Groups) -> list[dict[str, Any]]:
    """Return [{app, host, there}] for the hosts that have left the groups: who has or had `servers` of whose app.

    `there` says whether the inventory has the host still. Of others it is only known while a balancer has them (`known`).
    """
    ours = {*groups.get("app_servers", []), *groups.get("load_balancers", [])}
    now = {f"{backend['name']}/{server['name']}" for backend in known for server in backend.get("servers", [])}
    found = {}
    for one in servers:
        app, host = one.rpartition("-")[0].split("/", 1)
        there = host in groups.get("all", [])
        if host not in ours and (there or one in now):
            found[app, host] = {"app": app, "host": host, "there": there}
    return list(found.values())


def flask_left_words(
    left: Sequence[Mapping[str, Any]], looked: Sequence[Mapping[str, Any]], apps: Sequence[App]
) -> list[str]:
    """Return a sentence for each of those that still has the app, or may have it, `looked` being what was found there."""
    beside = {app["name"]: _beside(app) for app in apps}
    live = {(one["item"]["app"], one["item"]["host"]): one.get("live") for one in looked}
    said = []
    for one in left:
        app, host, more = one["app"], one["host"], beside.get(one["app"], "")
        fix = f"ansible-playbook flask_haproxy.deploy.remove -e app={app} -e host={host} takes it away"
        if not one["there"]:
            said.append(
                f"{app} was on {host}, which the inventory no longer has: what is there stays, with its secrets."
                f"{more} Fix: with {host} in the inventory, in no group, {fix}."
            )
        elif (instances := live.get((app, host))) is None:
            said.append(
                f"{app} was on {host}, which has left its group and cannot be asked.{more} Fix: when it can, {fix}."
            )
        elif instances:
            said.append(
                f"{app} is on {host}, which has left its group: it stays there, with its secrets.{more} Fix: {fix}."
            )
    return said


def flask_removal_problem(
    apps: Sequence[App], name: str, hosts: Sequence[str], groups: Groups, known: Sequence[Mapping[str, Any]]
) -> str:
    """Return why an app is not to be taken away from hosts, `known` being the backends of all balancers; else nothing."""
    if not NAME.fullmatch(name):
        return f"app is {name!r}. Fix: -e app=NAME, the name of an app that is in no list any more."
    if listed := [host for host in hosts if name in {app["name"] for app in flask_apps_on(apps, host, groups)}]:
        return (
            f"{name} is in flask_apps, and {', '.join(listed)} in its group. Fix: take its entry out, or "
            f"{listed[0] if len(listed) == 1 else 'them'} out of the group; run flask_haproxy.deploy.site, then this."
        )
    # An earlier release of this project has not written down which servers a backend has.
    servers = [one for backend in known if backend["name"] == name for one in backend.get("servers", [{"name": ""}])]
    asked = {one["name"].rpartition("-")[0] for one in servers}
    if found := ", ".join(host for host in hosts if {host, ""} & asked):
        return f"a balancer still sends requests to {name} on {found}. Fix: run flask_haproxy.deploy.site first, without -e app."
    return ""
