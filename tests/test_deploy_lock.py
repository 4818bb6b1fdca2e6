"""Who holds the deploy lock, and whether that run still lives."""

import os
import platform
import subprocess

import yaml

from tests.conftest import PROJECT, load

lock = load("action/deploy_lock.py")
who = load("plugin_utils/who.py")


def test_run_that_lives_holds_it():
    assert not lock.has_ended(lock.holder())


def test_run_that_has_ended_does_not():
    process = subprocess.Popen(["true"])
    held = lock.holder() | {"pid": process.pid, "token": who.token(process.pid)}
    process.wait()
    assert lock.has_ended(held)
    # Its pid may belong to another process by now.
    assert lock.has_ended(held | {"pid": os.getpid()})


def test_run_before_the_last_boot_of_this_machine_has_ended(monkeypatch):
    held = lock.holder()
    monkeypatch.setattr(who, "boot", lambda: "another boot")
    assert lock.has_ended(held)


def test_run_on_another_machine_is_not_ours_to_judge(monkeypatch):
    held = lock.holder()
    monkeypatch.setattr(lock, "machine", lambda: "another machine")
    assert not lock.has_ended(held)


def tasks_of(found, defaults):
    """Yield (arguments, those that its blocks give it) of each task with haproxy_server."""
    for entry in found if isinstance(found, list) else []:
        given = defaults | entry.get("module_defaults", {}).get("flask_haproxy.deploy.haproxy_server", {})
        if "flask_haproxy.deploy.haproxy_server" in entry:
            yield given | entry["flask_haproxy.deploy.haproxy_server"]
        for part in ("tasks", "block", "rescue", "always"):
            yield from tasks_of(entry.get(part), given)


def test_whatever_waits_for_requests_to_end_renews_the_lock():
    """It may take longer than the lock lasts, all servers together."""
    files = [*(PROJECT / "playbooks").rglob("*.yml"), *(PROJECT / "roles").glob("*/tasks/*.yml")]
    found = [(path.name, one) for path in files for one in tasks_of(yaml.safe_load(path.read_text()), {})]
    assert len(found) > 6
    assert [(name, one) for name, one in found if "lease" not in one] == []


def test_user_without_a_name_is_a_number(monkeypatch):
    """As in a container that somebody runs under a number of their own."""

    def unknown():
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", unknown)
    number = f"{os.getuid()}@{platform.node()}"
    assert lock.holder()["who"] == number
    assert load("lookup/who.py").LookupModule().run([]) == [number]
    told = load("action/flask_notify.py")
    assert told.who() == number
