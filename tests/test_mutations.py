"""Inventories that somebody has broken at one to three places: refused in words of ours, or served; never a traceback."""

import copy
import random
import subprocess

import pytest
import yaml

from tests.conftest import PROJECT, load
from tests.rendering import render

HELLO = str(PROJECT / "files" / "hello")
APPS = [
    {
        "name": "hello", "source": HELLO, "wsgi": "app:app", "port": 5001, "instances": 3, "threads": 4, "health": "/health",
        "environment": {"SECRET": "s3cr3t"}, "sandbox": {"PrivateUsers": False}, "memory_max": "512M", "max_body": "1G",
        "hostnames": ["a.test"], "haproxy_extra": ["timeout tunnel 1h"], "egress": "none",
    },
    {"name": "api", "source": HELLO, "wsgi": "app:app", "port": 6001, "path": "/api", "server": "granian", "hosts": "some",
     "health": {"path": "/", "status": "200-299", "headers": {"Host": "a.test", "X-A": "b"}, "interval": "5s"},
     "static": {"/static": "instance/files"}, "state_paths": ["instance"], "apt": ["ffmpeg"], "release_command": ["flask db"],
     "processes": [{"name": "mail", "command": "rq worker", "instances": 2}],
     "timers": [{"name": "nightly", "command": "flask report", "calendar": "03:00", "hosts": "first"}]},
]  # fmt: skip
BALANCER = {
    "haproxy_binds": ["*:80"], "haproxy_stats_bind": "127.0.0.1:8404", "haproxy_trusted_proxies": ["192.0.2.0/24"],
    "haproxy_timeout_queue": "10s", "haproxy_hard_stop_after": "60s", "haproxy_threads": 2, "haproxy_takeover": "true",
    "haproxy_frontend_extra": ["# nothing"], "haproxy_extra": "", "lock_wait": "300", "app_address": "192.0.2.9",
    "haproxy_certificates": [{"path": "/etc/ssl/private/a.pem"}], "haproxy_tls": {"binds": ["*:443"], "hsts": 60}, "app": "api",
}  # fmt: skip
HOST = {"number_base": "0", "inventory_dir": str(PROJECT), "ansible_host": "192.0.2.1", "flask_app_force": "false"}
ODD = [
    None, True, False, 0, -1, 1.5, 7, 10**17, 10**30, "", " ", "x", "é", "\\", "'", '"', "%", "#", "a\nb", "a\0b", "~", "/",
    "../..", "0", "-1", "1e3", "true", "0x10", "１２", "a" * 5000, [], {}, [None], [[]], [{}], {"a": {"b": []}}, {None: None},
    10**17, "\ud800", {"on": "\udfff"}, {True: "x"}, "b", {"path": "/"}, ["a: b"],
    {7: "x"}, {"": ""}, {True: False}, ["a", 7], [""], (1, 2), b"bytes", float("nan"), float("inf"), {"name": "hello"},
]  # fmt: skip


def places(value):
    """Yield where in an inventory something can be broken, as (the container, its key)."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def mutate(inventory, chance):
    """Break an inventory at one place."""
    container, key = chance.choice([place for place in places(inventory) if place[0] is not inventory])
    what = chance.choice(["odd"] * 6 + ["gone", "renamed", "listed", "doubled", "text"])
    value = container[key]
    if what == "odd":
        container[key] = copy.deepcopy(chance.choice(ODD))
    elif what == "listed":
        container[key] = [value]
    elif what == "text":
        container[key] = str(value)
    elif what == "doubled" and isinstance(container, list):
        container.append(copy.deepcopy(value))
    elif what == "renamed" and isinstance(container, dict):
        container[chance.choice([f"{key}s", f"x{key}", 7, ""])] = container.pop(key)
    else:
        del container[key]


def mutated(seed):
    """Return (apps, groups, hostvars), broken. What Ansible itself sees to stays: names are text, and hosts have variables."""
    chance = random.Random(seed)
    hosts = ["web1", "web2"]
    inventory = {
        "apps": copy.deepcopy(APPS),
        "groups": {"app_servers": list(hosts), "some": ["web2"], "load_balancers": ["lb1"]},
        "hostvars": {name: HOST | {"app_address": f"192.0.2.{number}"} for number, name in enumerate(hosts, 1)}
        | {"lb1": BALANCER},
    }
    # One machine, as most have: its ports are compared with those of the apps.
    if seed % 2:
        inventory["groups"]["load_balancers"] = ["web1"]
        inventory["hostvars"]["web1"] |= {key: value for key, value in BALANCER.items() if key != "app_address"}
    inventory = copy.deepcopy(inventory)
    for _ in range(chance.choice([1, 1, 2, 3])):
        mutate(inventory, chance)
    groups = {
        str(name): [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
        for name, names in inventory["groups"].items()
    }
    variables = {
        name: {str(key): value for key, value in (found if isinstance(found, dict) else {}).items()}
        for name, found in inventory["hostvars"].items()
        if isinstance(name, str)
    }
    hostvars = {
        name: variables.get(name, {}) for name in {*variables, *(one for names in groups.values() for one in names)}
    }
    for name in chance.sample(sorted(hostvars), k=chance.randrange(len(hostvars) + 1)):
        hostvars[name] = hostvars[name] | {"flask_apps": copy.deepcopy(inventory["apps"])}
    # Ansible's own.
    hostvars = {name: variables | {"inventory_dir": str(PROJECT)} for name, variables in hostvars.items()}
    return inventory["apps"], groups, hostvars


@pytest.mark.parametrize("seed", range(400))
def test_broken_inventory_is_refused_in_words_or_served(seed, apps_model, flask_problems):
    apps, groups, hostvars = mutated(seed)
    agreed = load("plugin_utils/host_problems.py").flask_apps_agreed(groups, hostvars)
    found = [*flask_problems(agreed, groups, hostvars), *flask_problems(apps, groups, hostvars)]
    assert all(isinstance(one, str) and "Fix: " in one and "Traceback" not in one for one in found), found
    assert not any("s3cr3t" in one for one in found), found
    if found:
        return
    complete = apps_model.flask_apps_complete(apps)
    assert apps_model.flask_apps_complete(complete) == complete
    here = apps_model.flask_apps_here(complete, groups, hostvars)
    for host in groups["app_servers"]:
        names = [app["name"] for app in apps_model.flask_apps_on(complete, host, groups)]
        assert all(isinstance(here[one][host]["number_base"], int) for one in names)
        apps_model.flask_ports(complete, host, groups, hostvars)
        load("filter/units.py").flask_unit_settings_on(complete, host, groups, hostvars)
    for host in groups["load_balancers"]:
        # What HAProxy has against lines of a user's own, its parser says on the host.
        variables = {key: value for key, value in hostvars[host].items() if key.startswith("haproxy_")}
        assert "frontend http_front" in render(apps_model.flask_backends(apps, groups, hostvars), **variables)


@pytest.mark.parametrize("seed", [2, 3, 5, 8])
def test_broken_inventory_is_refused_by_the_playbook(seed, tmp_path):
    """The same as Ansible reads it, with its own kinds of text, lists and mappings."""
    apps, groups, hostvars = mutated(seed)
    everybody = {host: {"ansible_connection": "local"} | variables for host, variables in hostvars.items()}
    for variables in everybody.values():
        variables.pop("inventory_dir", None)
        variables["flask_apps"] = apps
    children = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in groups.items() if name}
    written = yaml.safe_dump({"all": {"hosts": everybody, "children": children}})
    (tmp_path / "hosts.yml").write_text(written)
    command = ["ansible-playbook", f"--inventory={tmp_path / 'hosts.yml'}", "playbooks/check.yml"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    assert "plugin" not in output, output
    assert "s3cr3t" not in output
    assert done.returncode == 0 or "No host was asked or changed, because:" in output, written + output
