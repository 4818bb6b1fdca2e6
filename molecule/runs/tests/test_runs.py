"""One app's trouble is nobody else's, and what goes is cleared away: requests all the while, none of them lost.

The tests go on from each other, in this order.
"""

import json
import os
import shutil
import time

import pytest

from tests.probe import copy_of_probe, in_rotation, nothing_lost, running
from tests.support import (
    INVENTORY,
    PROJECT,
    Load,
    Meanwhile,
    Once,
    apps,
    ask,
    changed,
    converge,
    host,
    hosts_of,
    playbook,
    refused,
    squatter,
    variables,
)

APPS, LB = hosts_of("app_servers"), hosts_of("load_balancers")[0]
PROBE, HELLO = apps()
REMOVE = "ansible-playbook flask_haproxy.deploy.remove"


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    """Return the source of a hello that is never healthy, and that says why."""
    folder = tmp_path_factory.mktemp("sick") / "hello"
    shutil.copytree(PROJECT / "files" / "hello", folder)
    code = (folder / "app.py").read_text().replace('@app.get("/health")', '@app.get("/sickness")')
    # A release of its own in each run of the tests: what was marked bad is not tried again.
    (folder / "app.py").write_text(f"# {time.time()}\n{code}")
    return str(folder)


# A file that the user's own lines refer to.
MAP = "/etc/haproxy/words.map"
WORD = f"http-request return status 200 content-type text/plain lf-string %[path,map({MAP})] if {{ path /word }}"
STRICT = """

@app.before_request
def by_https():
    from flask import redirect, request

    if request.path == "/health" and request.headers.get("X-Forwarded-Proto") != "https":
        return redirect("https://third.test/health")
"""
RENAMED = PROBE | {"name": "renamed", "port": 6201}


@pytest.fixture(scope="module")
def third(tmp_path_factory):
    """Return the entry of an app that sends those away who do not come by https, the health check too."""
    folder = tmp_path_factory.mktemp("third") / "hello"
    shutil.copytree(PROJECT / "files" / "hello", folder)
    with (folder / "app.py").open("a") as file:
        file.write(STRICT)
    check = {"path": "/health", "headers": {"X-Forwarded-Proto": "https"}, "status": "200-204", "interval": "2s"}
    names = {"name": "third", "port": 5201, "hostnames": ["third.test"]}
    return HELLO | names | {"source": str(folder), "health": check}


@pytest.fixture(scope="module")
def afterwards(third):
    """Return what the last runs are told."""
    return variables(flask_apps=[RENAMED, third | {"hosts": "first"}], haproxy_frontend_extra=[WORD])


def statuses(hostname):
    return {answer["status"] for answer in ask(4, of=LB, hostname=hostname)}


def links(app):
    """Return what the instances of an app are on, all hosts together."""
    return [host(name).check_output(f"readlink /opt/flask/{app}/instances/*") for name in APPS]


def known():
    """Return {backend: ports} of the balancer's configuration."""
    found = json.loads(host(LB).check_output("cat /etc/haproxy/loaded.json"))["backends"]
    return {backend["name"]: sorted({server["port"] for server in backend["servers"]}) for backend in found}


def test_rollback_says_where_there_is_nothing_to_go_back_to():
    done = playbook(name="playbooks/rollback.yml")
    assert done.returncode == 0, done.stdout
    for app in ("probe", "hello"):
        assert done.stdout.count(f"{app} stays as it is: no other good deployment of it was live.") == 1


def test_who_takes_out_the_last_server_of_an_app_is_told():
    said = "All servers of hello are out by hand: requests are answered 503."
    names = ["hello/app1-1", "hello/app2-1"]
    try:
        found = [playbook("--extra-vars", f"server={name}", name="playbooks/drain.yml").stdout for name in names]
        assert [said in " ".join(output.split()) for output in found] == [False, True]
    finally:
        for name in names:
            playbook("--extra-vars", f"server={name} lift=true", name="playbooks/drain.yml")
    assert statuses("hello.test") == {200}


def test_app_that_fails_holds_up_no_other(tmp_path, sick, third):
    # One that runs and one that is new; what their entries say as well does not come to the balancer either.
    failing = [
        HELLO | {"source": sick, "start_timeout": 10, "instances": 2, "port": 5101},
        HELLO | {"name": "broken", "source": sick, "start_timeout": 10, "port": 5301, "hostnames": ["broken.test"]},
    ]
    before = links("hello")
    with Load(LB, rate=100.0) as load:
        changes = variables(flask_apps=[*failing, PROBE | {"source": copy_of_probe(tmp_path)}, third])
        output = refused(
            playbook(*changes),
            "These apps have failed; all others are as they are to be.",
            "- hello on app1: The rollout of hello stopped at instance 1 of app1",
            "- broken on app1: The rollout of broken stopped at instance 1 of app1",
            "not healthy after 10 s: /health gives status 404, ",
        )
    nothing_lost(load)
    # What has failed is as it was, on all hosts, and answers; one host has found out for all.
    assert "hello on app2" not in output
    assert links("hello") == before
    assert statuses("hello.test") == {200}
    # The others are what they are to be, and what is new has its route.
    assert known() == {"hello": [5001], "probe": [6001, 6002], "third": [5201]}
    assert statuses("third.test") == {200}
    assert len({running(host(name), number)["APP_RELEASE"] for name in APPS for number in (1, 2)}) == 1
    assert sorted(in_rotation(host(LB))) == [f"probe/{name}-{number}" for name in APPS for number in (1, 2)]
    assert not host(LB).file("/run/flask-deploy.lock").exists


def test_one_app_is_deployed_alone(sick):
    """The one whose first deploy has failed: nothing was there to stay with, so it is tried again without a word."""
    before = links("hello")
    entries = [
        HELLO | {"source": sick, "port": 5101},
        HELLO | {"name": "broken", "port": 5301, "hostnames": ["b.test"]},
    ]
    converge(*variables(flask_apps=[*entries, PROBE | {"port": 6101}]), "--extra-vars", "app=broken")
    assert links("hello") == before
    assert known() == {"hello": [5001], "broken": [5301], "probe": [6001, 6002], "third": [5201]}
    assert statuses("b.test") == statuses("hello.test") == statuses("third.test") == {200}


@pytest.mark.parametrize("name", ["site.yml", "playbooks/rollback.yml"])
def test_name_of_no_app_is_refused(name):
    refused(
        playbook("--extra-vars", "app=prob", name=name),
        "app is 'prob', which no entry of flask_apps is called. Fix: probe, if that is meant",
    )


def test_renamed_app_takes_over_from_the_one_before(third, afterwards):
    """It has the old one's port in its entry first, and is told what to do."""
    refused(
        playbook(*variables(flask_apps=[RENAMED | {"port": 6001}, third])),
        "port 6001, which flask-renamed@1.service is to listen on, is held by the app probe. Fix: another port for renamed",
    )
    host(LB).check_output(f"echo /word one > {MAP}")
    # A host leaves the group of another app at the same time.
    with Load(LB, rate=100.0) as load:
        output = converge(*afterwards)
    assert (load.report.failed, load.report.doubled) == (0, 0), load.report
    assert known() == {"renamed": [6201, 6202], "third": [5201]}
    output = " ".join(output.split())
    for name in APPS:
        for app in ("probe", "hello", "broken"):
            fix = f"Fix: {REMOVE} -e app={app} takes it away"
            assert (
                f"{app} is on {name} and in no list: no balancer has it now, and it stays there, with its secrets. {fix}"
                in output
            )
    assert f"third is on {APPS[0]}" not in output
    assert f"third is on {APPS[1]}, which is not in its group first" in output
    assert f"Fix: {REMOVE} -e app=third -e host={APPS[1]} takes it away" in output


def test_app_in_no_list_is_taken_away(afterwards):
    refused(
        playbook(*afterwards, "--extra-vars", "app=renamed", name="playbooks/remove.yml"),
        "renamed is in flask_apps, and app1, app2 in its group. Fix: take its entry out",
    )
    refused(
        playbook(*variables(flask_apps=[RENAMED]), "--extra-vars", "app=third", name="playbooks/remove.yml"),
        "a balancer still sends requests to third on app1. Fix: run flask_haproxy.deploy.site first",
    )
    with Load(LB, rate=100.0) as load:
        done = playbook(*afterwards, "--extra-vars", "app=probe", name="playbooks/remove.yml")
        assert done.returncode == 0, done.stdout
        done = playbook(*afterwards, "--extra-vars", f"app=third host={APPS[1]}", name="playbooks/remove.yml")
        assert done.returncode == 0, done.stdout
    assert (load.report.failed, load.report.doubled) == (0, 0), load.report
    assert "/var/lib/flask-third stays" in " ".join(done.stdout.split())
    for name in APPS:
        assert left_of("probe", host(name)) == ["/var/lib/flask-probe"]
        assert host(name).file("/var/lib/flask-probe").user == "root"
        host(name).check_output("systemctl is-active flask-renamed@1")
    assert left_of("third", host(APPS[1])) == ["/var/lib/flask-third"]
    host(APPS[0]).check_output("systemctl is-active flask-third@1")


def test_file_that_has_changed_is_loaded(afterwards):
    def word():
        return ask([("GET", "/word", [])], of=LB, hostname="probe.test")[0]["body"]

    assert word() == "one"
    host(LB).check_output(f"echo /word two > {MAP}")
    with Load(LB, rate=100.0) as load:
        output = converge(*afterwards)
    assert (load.report.failed, load.report.doubled) == (0, 0), load.report
    assert word() == "two"
    # That was all there was to do, and is done.
    assert changed(output) == 1
    assert changed(converge("--check", *afterwards)) == 0


def test_what_is_wrong_with_one_app_holds_up_no_other(third):
    """A line that HAProxy refuses, a port that somebody holds, a source that is not there: no business of another app."""
    entries = [RENAMED | {"haproxy_extra": ["http-requst deny"]}, third | {"hosts": "first", "environment": {"A": "b"}}]
    before = host(LB).check_output("sha256sum /etc/haproxy/*.cfg /etc/haproxy/*.json")
    refused(
        playbook(*variables(flask_apps=entries)),
        "/etc/haproxy/haproxy.cfg was not touched.",
        "unknown keyword 'http-requst' in 'backend' section",
        "'http-requst deny', is in haproxy_extra of renamed. Fix: what HAProxy says of it, or take it out",
    )
    assert host(LB).check_output("sha256sum /etc/haproxy/*.cfg /etc/haproxy/*.json") == before
    entries += [
        HELLO | {"name": "taken", "port": 6401, "path": "/a"},
        HELLO | {"name": "gone", "source": "gone", "path": "/b", "port": 6501},
    ]
    changes = [*variables(flask_apps=entries, haproxy_frontend_extra=[WORD]), "--extra-vars", "app=third"]
    live = host(APPS[0]).check_output("readlink /opt/flask/third/instances/1")
    with squatter(host(APPS[0]), 6401):
        converge(*changes)
        assert host(APPS[0]).check_output("readlink /opt/flask/third/instances/1") != live
        done = playbook(*changes, name="playbooks/rollback.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert host(APPS[0]).check_output("readlink /opt/flask/third/instances/1") == live
    assert known() == {"renamed": [6201, 6202], "third": [5201]}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Return the inventory of somebody else, who has one app on the same hosts."""
    folder = tmp_path_factory.mktemp("theirs") / "deploy"
    shutil.copytree(INVENTORY, folder)
    entry = HELLO | {
        "name": "theirs",
        "source": str(PROJECT / "files" / "hello"),
        "port": 5401,
        "hostnames": ["theirs.test"],
    }
    (folder / "group_vars" / "all.yml").write_text(json.dumps({"flask_apps": [entry]}))
    text = (folder / "hosts.yml").read_text()
    (folder / "hosts.yml").write_text(text.replace("{{ inventory_dir }}", str(INVENTORY)))
    return folder


def test_another_inventory_takes_no_route_away(theirs):
    before = known()
    refused(
        playbook(inventory=theirs),
        "renamed is in no list here and would lose its route: it was deployed from ",
        f"and this is {os.uname().nodename}:{theirs}. Fix: one inventory with the apps of both; or -e app=NAME",
    )
    assert known() == before
    with Load(LB, rate=100.0) as load:
        done = playbook("--extra-vars", "app=theirs", inventory=theirs)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (load.report.failed, load.report.doubled) == (0, 0), load.report
    assert "renamed is on app1 and in no list here; the balancers have it still." in " ".join(done.stdout.split())
    # What no other is meant for still goes where it went.
    assert list(known()) == ["renamed", "theirs", "third"]
    assert statuses("theirs.test") == statuses("third.test") == {200}
    assert all("x-instance" in answer["headers"] for answer in ask(4, of=LB, hostname="nobody.test"))


class Asking(Meanwhile):
    """Somebody who asks the app that goes for what takes long, so that the last of it is under way when it goes."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def once(self):
        if "renamed" in known():
            self.asked.append(Once("together", of=LB, path="/sleep/20.0", timeout=90))
            self.over.wait(4)


def test_last_app_is_taken_away():
    refused(playbook(*variables(flask_apps=[])), "flask_apps is []. Fix:", "the last app is to go: -e let_go=NAME.")
    with Asking() as asking:
        converge(*variables(flask_apps=[], let_go="renamed,third"))
    # Somebody else's is none of ours.
    assert list(known()) == ["theirs"]
    assert statuses("theirs.test") == {200}
    answers = [one.answer() for one in asking.asked]
    # 404 has who asked when it had gone.
    assert {"204": 1} in answers
    assert [one for one in answers if one not in ({"204": 1}, {"404": 1})] == []
    converge(*variables(flask_apps=[], let_go="theirs"))
    assert known() == {}
    (answer,) = ask(1, of=LB, hostname="probe.test")
    assert answer["status"] == 404
    assert "<h1>Nothing here</h1>" in answer["body"]
    done = playbook(*variables(flask_apps=[]), "--extra-vars", "app=renamed", name="playbooks/remove.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    for name in APPS:
        assert left_of("renamed", host(name)) == ["/var/lib/flask-renamed"]


def left_of(app, of):
    """Return what is left of an app on a host: files, units, users and processes."""
    paths = f"/opt/flask/{app} /var/lib/flask-{app} /etc/systemd/system/flask-{app}* /etc/systemd/system/*/flask-{app}*"
    found = of.run(f"ls -d {paths} 2>/dev/null").stdout.split()
    found += of.run(
        f"systemctl list-units --all --plain --no-legend 'flask-{app}@*' 'flask-{app}.*'"
    ).stdout.splitlines()
    return found + of.run(f"getent passwd flask-{app}; pgrep -u flask-{app} 2>/dev/null").stdout.splitlines()
