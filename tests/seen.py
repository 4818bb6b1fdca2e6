"""What the hosts of a healthy site answer, for the tests of what is said of it: two balancers, two app hosts, one app."""

from typing import Any

NOW = 1_764_115_200.0
BACKENDS = [
    {
        "name": "hello",
        "servers": [
            {"name": f"{host}-{number}", "address": f"10.0.0.{host[-1]}", "port": 5000 + number}
            for number in (1, 2)
            for host in ("app1", "app2")
        ],
    }
]
DISK = {"path": "/", "free": 50 << 30, "total": 100 << 30, "files_free": 900, "files": 1000}


def host_facts() -> dict[str, Any]:
    """Return what a host says of itself."""
    return {
        "ahead": 0.4,
        "disks": [dict(DISK)],
        "failed_units": [],
        "out_of_memory": [],
        "dropped": [],
        "forgetful": False,
        "reboot": "",
    }


def instance(name: str, number: int) -> dict[str, Any]:
    """Return an instance that is as it should be."""
    return {
        "number": number, "unit": f"flask-hello@{number}.service", "address": f"10.0.0.{name[-1]}", "port": 5000 + number,
        "state": "active", "substate": "running", "result": "success", "started": NOW - 7200, "deployment": "0a1b2c3d4e5f",
        "release": "5f4e3d2c1b0a", "since": NOW - 7200, "runs": "0a1b2c3d4e5f", "restarts": 0, "memory": 30 << 20,
        "files": [10, 1024], "enabled": True, "masked": False, "replaced": False, "reload_needed": False, "rewritten": False,
        "foreign_drop_ins": [],
    }  # fmt: skip


def app_host(name: str) -> dict[str, Any]:
    """Return what M(flask_status) returns."""
    deployments = {
        "0a1b2c3d4e5f": {
            "version": "v2",
            "release": "5f4e3d2c1b0a",
            "bad": None,
            "source": {},
            "made_of": {},
            "written": "2025-11-25T22:00:00+0000",
        },
        "ffffffffffff": {
            "version": "v1",
            "release": "eeeeeeeeeeee",
            "bad": None,
            "source": {},
            "made_of": {},
            "written": "2025-11-24T22:00:00+0000",
        },
    }
    history = [[NOW - 90000, "ffffffffffff"], [NOW - 7200, "0a1b2c3d4e5f"]]
    hello = {"instances": [instance(name, number) for number in (1, 2)], "history": history, "deployments": deployments}
    hello |= {"altered": {}, "exposed": []}
    return {"apps": {"hello": hello}, "others": [], "host": host_facts()}


def server(name: str) -> dict[str, Any]:
    """Return a server that gets requests."""
    return {
        "backend": "hello", "server": name, "address": "10.0.0.1:5001", "status": "UP", "weight": 1, "since": 7200,
        "check": "L7OK 200", "why": "", "took": 1, "now": 1, "requests": 1000, "errors": 0,
    }  # fmt: skip


def balancer() -> dict[str, Any]:
    """Return what M(haproxy_status) returns."""
    return {
        "problem": "", "enabled": True, "lock": {}, "host": host_facts(), "version": "2.6.12-1+deb12u4", "uptime": 7200,
        "reloads": 3, "old_workers": 0, "failed_reloads": 0, "servers": [server(one["name"]) for one in BACKENDS[0]["servers"]],
        "configuration": {"ours": True, "altered": False, "loaded": True, "refused": ""}, "drained": {}, "certificates": [],
        "restart_needed": False, "closed_frontends": [], "maintenance": {}, "renewed": True, "replaced": False, "masked": False,
        "info": {"CurrConns": 3, "Maxconn": 9000, "Maxsock": 18000, "Ulimit-n": 18000, "DroppedLogs": 0},
    }  # fmt: skip


class Site:
    """The answers of all hosts, to be broken by a test."""

    def __init__(self) -> None:
        self.app_hosts = {name: app_host(name) for name in ("app1", "app2")}
        self.balancers = {name: balancer() for name in ("lb1", "lb2")}

    def first(self) -> dict[str, Any]:
        """Return the first instance of the first host."""
        found: dict[str, Any] = self.app_hosts["app1"]["apps"]["hello"]["instances"][0]
        return found
