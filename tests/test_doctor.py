"""What is found wrong with a site: each fault is one finding, and nothing else is."""

import json
import time
from datetime import UTC, datetime

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.conftest import PROJECT, load
from tests.seen import BACKENDS, NOW, Site, instance, server

WARNING, CRITICAL = 1, 2


def findings(site):
    return load("plugin_utils/diagnoses.py").diagnose(BACKENDS, site.app_hosts, site.balancers, NOW)


def ago(seconds):
    return datetime.fromtimestamp(NOW - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S%z")


def of_host(site, **facts):
    site.app_hosts["app1"]["host"] |= facts


def of_instance(site, **facts):
    site.first().update(facts)


def of_app(site, **facts):
    site.app_hosts["app1"]["apps"]["hello"] |= facts


def of_balancer(site, **facts):
    site.balancers["lb1"] |= facts


def of_configuration(site, **facts):
    site.balancers["lb1"]["configuration"] |= facts


def of_info(site, **facts):
    site.balancers["lb1"]["info"] |= facts


def of_server(site, *names, **facts):
    for name in names or ("lb1",):
        site.balancers[name]["servers"][0] |= facts


def marked(site):
    site.app_hosts["app1"]["apps"]["hello"]["deployments"]["0a1b2c3d4e5f"]["bad"] = "yesterday: not healthy after 30 s"


def another_version(site):
    of_instance(site, deployment="ffffffffffff", release="eeeeeeeeeeee", runs="ffffffffffff")


CANARY = {"server": "app1-1", "share": 10, "who": "anna@laptop", "since": "2026-11-26T09:00:00+0000"}


def lock(site, seconds):
    since = ago(seconds).replace("T", " ").replace("+", " +")
    of_balancer(site, lock={"who": "anna@laptop", "pid": 5, "what": "ansible-playbook site.yml", "since": since})


def drained(site, seconds):
    of_balancer(site, drained={"hello/app1-1": {"who": "anna@laptop", "since": ago(seconds)}})
    of_server(site, status="MAINT")


def disk(site, **facts):
    site.app_hosts["app1"]["host"]["disks"][0] |= facts


def certificate(site, **facts):
    of_balancer(
        site, certificates=[{"file": "/etc/x.pem", "subject": "/CN=x", "ends": NOW + 9e6, "stored": True} | facts]
    )


def process(site, unit, state, result="success", **more):
    one = {"unit": unit, "state": state, "substate": "dead", "result": result, "last": None, "next": None}
    one |= {"enabled": True, "masked": False, "restarts": 0, "started": NOW - 60}
    site.app_hosts["app1"]["others"].append(one | more)


def unlisted(site):
    site.app_hosts["app1"]["apps"]["hello"]["instances"].append(instance("app1", 3))


FAULTS = [
    (lambda s: s.app_hosts.update(app1={"unreachable": True, "msg": "no route"}), CRITICAL, "app1", "no answer: no route"),
    (lambda s: of_instance(s, state="inactive", substate="dead"), CRITICAL, "app1", "flask-hello@1.service is inactive (dead)"),
    (lambda s: of_instance(s, runs="ffffffffffff"), WARNING, "app1", "a restart is pending"),
    (lambda s: of_instance(s, reload_needed=True), WARNING, "app1", "have changed since systemd read them"),
    (lambda s: of_instance(s, files=[1000, 1024]), WARNING, "app1", "has 1000 files open and may have 1024"),
    (lambda s: of_instance(s, enabled=False), WARNING, "app1", "flask-hello@1.service will not be started at boot"),
    (lambda s: of_instance(s, port=5009), WARNING, "app1", "listens at 10.0.0.1:5009, and the inventory has 10.0.0.1:5001"),
    (lambda s: of_instance(s, foreign_drop_ins=["/etc/x/override.conf"]), WARNING, "app1", "changed by hand: /etc/x/override"),
    (lambda s: of_instance(s, restarts=9, started=NOW - 60), WARNING, "app1", "was restarted 9 times, last 1 min ago"),
    (marked, CRITICAL, "app1", "which was marked bad (yesterday"),
    (another_version, CRITICAL, "all", "on 2 versions: v1 on app1-1; v2 on app2-1, app1-2, app2-2"),
    (lambda s: s.app_hosts["app1"]["apps"]["hello"]["instances"].pop(), CRITICAL, "app1", "hello/app1-2 is in the inventory"),
    (lambda s: process(s, "flask-x@mail-1.service", "inactive"), CRITICAL, "app1", "flask-x@mail-1.service is inactive (dead)"),
    (lambda s: process(s, "flask-x@mail-1.service", "active", restarts=3, started=NOW - 2), WARNING, "app1", "restarted 3 times"),
    (lambda s: process(s, "flask-x@nightly.service", "inactive", "exit-code"), WARNING, "app1", "ended with exit-code"),
    (lambda s: process(s, "flask-x@nightly.timer", "inactive"), CRITICAL, "app1", "flask-x@nightly.timer is inactive (dead)"),
    (lambda s: process(s, "flask-x@mail-1.service", "activating", restarts=9), CRITICAL, "app1", "is activating (dead)"),
    (lambda s: process(s, "flask-x@mail-1.service", "active", restarts=9), WARNING, "app1", "was restarted 9 times, last 1 min"),
    (lambda s: process(s, "flask-x@mail-1.service", "active", enabled=False), WARNING, "app1", "will not be started at boot"),
    (lambda s: process(s, "flask-x@nightly.timer", "inactive", masked=True), CRITICAL, "app1", "is masked and inactive (dead)"),
    (lambda s: of_instance(s, masked=True, reload_needed=True), WARNING, "app1", "flask-hello@1.service is masked"),
    (lambda s: of_instance(s, masked=True, state="inactive", substate="dead"), CRITICAL, "app1", "is masked and inactive (dead)"),
    (lambda s: of_instance(s, replaced=True), WARNING, "app1", "run on with the one of before: flask-hello@1.service"),
    (lambda s: of_balancer(s, replaced=True), WARNING, "lb1", "HAProxy was upgraded"),
    (lambda s: of_host(s, forgetful=True), WARNING, "app1", "the journal is in memory only"),
    (lambda s: of_host(s, reboot="linux-image-x"), WARNING, "app1", "a restart of the host is pending, for linux-image-x"),
    (lambda s: of_app(s, altered={"/opt/flask/hello/libs/x": ["a.py", "b.py"]}), WARNING, "app1", "by hand: a.py and 1 more"),
    (lambda s: of_app(s, exposed=["/opt/flask/hello/deployments/x/env"]), WARNING, "app1", "others than root may read or"),
    (lambda s: of_instance(s, rewritten=True), WARNING, "app1", "the drop-ins of flask-hello@1.service are not what its"),
    (unlisted, WARNING, "app1", "instance 3 of hello is there and in no list"),
    (lambda s: of_server(s, "lb1", "lb2", status="DOWN", check="L4CON", why="refused"), CRITICAL, "lb1, lb2", "DOWN for 2 h: L4"),
    (lambda s: s.balancers["lb2"]["servers"].pop(), CRITICAL, "lb2", "hello/app2-2 is not in the configuration"),
    (lambda s: of_server(s, status="DRAIN"), WARNING, "lb1", "drained or unchecked at run time"),
    (lambda s: of_server(s, status="no check"), WARNING, "lb1", "drained or unchecked at run time"),
    (lambda s: of_server(s, status="MAINT"), WARNING, "lb1", "server hello/app1-1 is out, and by no run"),
    (lambda s: of_server(s, weight=0), WARNING, "lb1", "server hello/app1-1 gets no new request"),
    (lambda s: of_balancer(s, closed_frontends=["http_front"]), CRITICAL, "lb1", "http_front takes no connection"),
    (lambda s: s.balancers["lb1"]["servers"].append(server("old-1")), WARNING, "lb1", "server hello/old-1 is there and in no"),
    (lambda s: drained(s, 90000), WARNING, "lb1", "hello/app1-1 is out by hand since"),
    (lambda s: lock(s, 7200), WARNING, "lb1", "by anna@laptop (pid 5, ansible-playbook site.yml)"),
    (lambda s: of_balancer(s, problem="haproxy.service does not run"), CRITICAL, "lb1", "does not run"),
    (lambda s: of_balancer(s, enabled=False), WARNING, "lb1", "haproxy.service will not be started at boot"),
    (lambda s: of_balancer(s, enabled=False, masked=True), WARNING, "lb1", "will not be started at boot: it is masked"),
    (lambda s: of_balancer(s, problem="haproxy.service does not run", masked=True), CRITICAL, "lb1", "not run, and is masked"),
    (lambda s: of_balancer(s, maintenance={"hello": NOW - 90000}), WARNING, "lb1", "hello is in maintenance, since before 20"),
    (lambda s: of_balancer(s, renewed=False), WARNING, "lb1", "certbot.timer does not run"),
    (lambda s: of_configuration(s, refused="no file"), CRITICAL, "lb1", "would not load /etc/haproxy/haproxy.cfg again: no file"),
    (lambda s: of_balancer(s, failed_reloads=2), CRITICAL, "lb1", "could not load its configuration, 2 times"),
    (lambda s: of_balancer(s, restart_needed=True), WARNING, "lb1", "unit has changed"),
    (lambda s: of_configuration(s, altered=True), WARNING, "lb1", "haproxy.cfg was changed by hand"),
    (lambda s: of_configuration(s, loaded=False), WARNING, "lb1", "is younger than what HAProxy has loaded"),
    (lambda s: of_configuration(s, altered=True, loaded=False), WARNING, "lb1", "changed by hand, and that is not loaded"),
    (lambda s: of_configuration(s, ours=False, loaded=False), CRITICAL, "lb1", "is somebody else's"),
    (lambda s: of_info(s, DroppedLogs=7), WARNING, "lb1", "dropped 7 lines"),
    (lambda s: of_info(s, CurrConns=8000), WARNING, "lb1", "has 8000 connections and takes 9000"),
    (lambda s: certificate(s, ends=NOW + 864000), WARNING, "lb1", "the certificate /etc/x.pem ends at"),
    (lambda s: certificate(s, ends=NOW + 3600), CRITICAL, "lb1", "the certificate /etc/x.pem ends at"),
    (lambda s: certificate(s, stored=False), WARNING, "lb1", "/etc/x.pem is not the certificate that is loaded"),
    (lambda s: disk(s, free=5 << 30), WARNING, "app1", "the disk of / has 5 % of its space left (5.0G)"),
    (lambda s: disk(s, files_free=10), CRITICAL, "app1", "1 % of its inodes left (10)"),
    (lambda s: of_host(s, ahead=-30), WARNING, "app1", "the clock is 30 s behind this machine's"),
    (lambda s: of_host(s, failed_units=["cron.service"]), WARNING, "app1", "cron.service has failed"),
    (lambda s: of_host(s, failed_units=["flask-x.service"]), CRITICAL, "app1", "flask-x.service has failed"),
    (lambda s: of_host(s, out_of_memory=[[NOW, "flask-hello@1.service"]] * 2), WARNING, "app1", "for want of memory, 2 times"),
    (lambda s: of_host(s, dropped=[[NOW, "flask-hello@1.service"]]), WARNING, "app1", "the journal dropped lines of"),
]  # fmt: skip


def test_healthy_site_has_nothing_wrong():
    assert findings(Site()) == []


@pytest.mark.parametrize(("fault", "level", "host", "words"), FAULTS, ids=[words for *_, words in FAULTS])
def test_each_fault_is_found_and_nothing_else(fault, level, host, words):
    site = Site()
    fault(site)
    found = findings(site)
    assert [(one.level, one.host) for one in found] == [(level, host)], found
    assert words in found[0].what
    assert found[0].fix


@pytest.mark.parametrize(
    "state",
    [
        lambda s: drained(s, 3600),
        lambda s: lock(s, 60),
        lambda s: process(s, "flask-x@nightly.service", "inactive", enabled=None),
        lambda s: process(s, "flask-x@mail-1.service", "active"),
        lambda s: certificate(s),
        lambda s: of_instance(s, restarts=9),
        lambda s: of_balancer(s, maintenance={"hello": NOW - 3600}),
        lambda s: s.app_hosts.update(app2={}),
        # A canary is, that somebody wanted.
        lambda s: (another_version(s), of_balancer(s, canaries={"hello": CANARY})),
        # A deploy is under way.
        lambda s: (lock(s, 60), another_version(s), of_server(s, status="DRAIN")),
        lambda s: (
            lock(s, 60),
            of_instance(s, state="deactivating"),
            process(s, "flask-x@mail-1.service", "activating"),
        ),
        # Of an app with cookies it has its servers in maintenance.
        lambda s: (lock(s, 60), of_server(s, status="MAINT", weight=0)),
    ],
)
def test_what_is_no_fault(state):
    site = Site()
    state(site)
    assert findings(site) == []


def test_what_follows_from_a_fault_is_not_told():
    site = Site()
    of_instance(site, state="inactive", substate="dead")
    of_server(site, "lb1", "lb2", status="DOWN", check="L4CON")
    assert len(findings(site)) == 1
    site = Site()
    of_balancer(site, problem="haproxy.service does not run")
    site.balancers["lb1"]["host"]["failed_units"] = ["haproxy.service"]
    assert [one.what for one in findings(site)] == ["haproxy.service has failed"]


def test_app_that_is_in_no_list_is_told_once_with_what_takes_it_away():
    site, remove = Site(), "ansible-playbook flask_haproxy.deploy.remove -e app="
    site.app_hosts["app1"]["apps"]["other"] = {"instances": [instance("app1", 1)], "history": [], "deployments": {}}
    site.app_hosts["app1"]["apps"]["other"] |= {"altered": {}, "exposed": []}
    for balancer in site.balancers.values():
        balancer["servers"].append(server("app1-1") | {"backend": "other"})
    (one,) = findings(site)
    assert one.what == "app other with 1 instance is there and in no list of the inventory"
    assert f"{remove}other" in one.fix
    assert "where another inventory deploys it, leave it" in one.fix
    # The app is in the list, and not for this host.
    site = Site()
    backends = [{**BACKENDS[0], "servers": [one for one in BACKENDS[0]["servers"] if one["name"].startswith("app2")]}]
    for balancer in site.balancers.values():
        balancer["servers"] = [one for one in balancer["servers"] if one["server"].startswith("app2")]
    (one,) = load("plugin_utils/diagnoses.py").diagnose(backends, site.app_hosts, site.balancers, NOW)
    assert one.fix == f"{remove}hello -e host=app1"


def test_worst_comes_first_and_is_the_exit_status():
    action = load("action/flask_report.py")
    site = Site()
    asked = {"backends": BACKENDS, "app_hosts": site.app_hosts, "balancers": site.balancers}
    of_balancer(site, enabled=False)
    shown, text, level = action.doctor(asked)
    assert level == WARNING
    marked(site)
    shown, text, level = action.doctor(asked)
    assert level == CRITICAL
    assert json.loads(json.dumps(shown))[0]["level"] == "critical"
    lines = text.splitlines()
    assert lines[0].startswith("CRITICAL  app1: hello is on deployment 0a1b2c3d4e5f, which was marked bad")
    assert lines[-1] == "1 critical, 1 warning: looked at 4 instances on 2 app hosts, 2 balancers."
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_hosts_are_asked_with_the_same_time_in_all_time_zones(zone, monkeypatch):
    (block,) = yaml.safe_load((PROJECT / "playbooks" / "tasks" / "look.yml").read_text())
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        asked = Templar(loader=DataLoader()).template(trust_as_template(block["vars"]["asked"]))
        assert abs(asked - time.time()) < 5
    finally:
        monkeypatch.undo()
        time.tzset()


def test_failed_socket_is_told_with_what_names_who_has_its_port():
    site = Site()
    of_host(site, failed_units=["flask-hello@1.socket", "cron.service"])
    assert ["ss -ltnp" in one.fix for one in findings(site)] == [True, False]
