"""What a site is: what the inventory says of it, joined with what its hosts answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]
# What M(flask_status) and M(haproxy_status) returned, by host; empty for a host that was not asked.
Answers = Mapping[str, Found]
NOT_ASKED = "was not asked"


def silence(found: Found) -> str:
    """Say why there is no answer of a host, empty where there is one."""
    if found.get("unreachable") or found.get("failed"):
        lines = [line.strip() for line in str(found.get("msg", "")).splitlines() if line.strip()]
        return (lines or ["the task failed"])[-1].removeprefix("Task failed: ")
    return "" if found.get("host") else NOT_ASKED


def site_status(backends: Sequence[Found], app_hosts: Answers, balancers: Answers) -> dict[str, Any]:
    """Return {instances, balancers, others, drained, canaries, unlisted, silent} of a site.

    `backends` are what P(flask_backends) returns: an instance of an app is a server of the backend of its name.
    """
    return {
        "instances": [
            _instance(backend["name"], server, app_hosts, balancers)
            for backend in backends
            for server in backend["servers"]
        ],
        "balancers": [_balancer(name, found) for name, found in balancers.items()],
        "others": [{"host": host, **unit} for host, found in app_hosts.items() for unit in found.get("others", [])],
        "drained": _drained(balancers),
        "canaries": _canaries(balancers),
        "unlisted": list(_unlisted(backends, app_hosts, balancers)),
        "silent": [
            {"host": host, "why": why}
            for host, why in {
                **{host: silence(found) for host, found in balancers.items()},
                **{host: silence(found) for host, found in app_hosts.items()},
            }.items()
            if why
        ],
    }


def _instance(app: str, server: Found, app_hosts: Answers, balancers: Answers) -> dict[str, Any]:
    """Return one instance: what the inventory, its host and each balancer say of it."""
    host, _, number = server["name"].rpartition("-")
    found = app_hosts.get(host, {})
    there = found.get("apps", {}).get(app, {})
    mine = next((one for one in there.get("instances", []) if one["number"] == int(number)), None)
    state = "no answer" if silence(found) else "missing"
    about = {"app": app, "host": host, "number": int(number), "address": server["address"], "port": server["port"]}
    if mine:
        about |= {"listens": [mine["address"], mine["port"]]}
        about |= {key: value for key, value in mine.items() if key not in about}
        deployment = there["deployments"].get(mine["deployment"], {})
        about |= {key: deployment.get(key) for key in ("version", "bad", "source")}
    on = {name: _on(app, server["name"], balancer) for name, balancer in balancers.items()}
    return {"state": state} | about | {"on": on}


def _on(app: str, server: str, balancer: Found) -> dict[str, Any]:
    """Return what a balancer says of a server."""
    if silence(balancer) or balancer["problem"]:
        return {"status": "no answer"}
    of_it = [one for one in balancer["servers"] if (one["backend"], one["server"]) == (app, server)]
    return dict(of_it[0]) if of_it else {"status": "absent"}


def _balancer(name: str, found: Found) -> dict[str, Any]:
    """Return a balancer without its servers, which stand with their instances."""
    why = silence(found)
    if why:
        return {"name": name, "problem": why, "silent": True}
    serving = [one["status"].split()[0] for one in found.get("servers", [])]
    left_out = ("servers", "drained", "canaries", "host", "changed", "failed", "invocation")
    about = {key: value for key, value in found.items() if key not in left_out and not key.startswith("_")}
    return {"name": name, **about, "up": serving.count("UP"), "all": len(serving)}


def _drained(balancers: Answers) -> list[dict[str, Any]]:
    """Return {server, who, since, on} of what is out by hand."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, balancer in balancers.items():
        for server, about in balancer.get("drained", {}).items():
            one = found.setdefault((server, about["who"]), {"server": server, **about, "on": []})
            one["on"].append(name)
    return list(found.values())


def _canaries(balancers: Answers) -> list[dict[str, Any]]:
    """Return {app, server, share, who, since, on} of what gets a share of the requests of its app."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for name, balancer in balancers.items():
        for app, about in balancer.get("canaries", {}).items():
            one = found.setdefault((app, about["server"], about["share"]), {"app": app, **about, "on": []})
            one["on"].append(name)
    return list(found.values())


def _unlisted(backends: Sequence[Found], app_hosts: Answers, balancers: Answers) -> Iterator[dict[str, Any]]:
    """Yield {host, what, app, listed} of what is there and in no list; `listed` says whether the app is, for other hosts."""
    listed = {(backend["name"], server["name"]) for backend in backends for server in backend["servers"]}
    apps = {of for of, _ in listed}
    for host, found in app_hosts.items():
        for app, there in found.get("apps", {}).items():
            numbers = [one["number"] for one in there["instances"] if (app, f"{host}-{one['number']}") not in listed]
            if not any(name.rpartition("-")[0] == host for of, name in listed if of == app):
                what = f"app {app}" + (
                    f" with {len(numbers)} instance{'s' * (len(numbers) > 1)}"
                    if numbers
                    else ", of which files are left"
                )
                yield {"host": host, "what": what, "app": app, "listed": app in apps}
            else:
                for number in numbers:
                    yield {"host": host, "what": f"instance {number} of {app}", "app": app, "listed": True}
    for name, balancer in balancers.items():
        for one in balancer.get("servers", []):
            if (one["backend"], one["server"]) not in listed:
                what = f"server {one['backend']}/{one['server']}"
                yield {"host": name, "what": what, "app": one["backend"], "listed": one["backend"] in apps}
