"""The rules and the dashboard of docs/monitoring in a Prometheus that reads the balancers."""

import contextlib
import json
import re
import subprocess
import time

import pytest
import yaml

from tests.probe import in_rotation, order, statistics
from tests.support import PROJECT, address_of, ask, command_on, eventually, host, hosts_of

MONITORING = PROJECT / "docs" / "monitoring"
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
FOLDER = "/etc/prometheus"
QUERY = """
import json, sys, urllib.parse, urllib.request
url = "http://127.0.0.1:9090/api/v1/" + sys.argv[1]
print(urllib.request.urlopen(url + ("?query=" + urllib.parse.quote(sys.argv[2]) if sys.argv[2:] else "")).read().decode())
"""
# Something from many at a time, again and again, whatever becomes of it, until the input ends: requests, or connections
# that say nothing.
MANY = """
import contextlib, http.client, socket, sys, threading
def get():
    connection = http.client.HTTPConnection(sys.argv[1], timeout=50)
    connection.request("GET", sys.argv[3])
    connection.getresponse().read()
def idle():
    with socket.create_connection((sys.argv[1], 80), timeout=50) as connection:
        connection.recv(999)
def again():
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            get() if sys.argv[3:] else idle()
for _ in range(int(sys.argv[2])):
    threading.Thread(target=again, daemon=True).start()
sys.stdin.read()
"""
# 8 MB of the access log, of requests that HAProxy answers by itself.
TALK = """
import socket, sys
for _ in range(8000):
    with socket.create_connection((sys.argv[1], 80), timeout=10) as connection:
        connection.sendall(b"TRACE /" + 900 * b"x" + b" HTTP/1.0\\r\\n\\r\\n")
        connection.recv(99)
"""
TARGETS = {
    "haproxy": [f"{address_of(name)}:8404" for name in hosts_of("load_balancers")],
    "app_servers": [f"{address_of('app1')}:9100"],
}


def install(on, package):
    on.check_output(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "
        "-o Dpkg::Options::=--force-confold %s", package,
    )  # fmt: skip


@pytest.fixture(scope="module")
def prometheus():
    """Give the client host Debian's Prometheus, with the rules and the scrape configuration of the documentation.

    They are made quick: what lasts minutes there lasts a second here.
    """
    client, app1 = host(hosts_of("clients")[0]), host("app1")
    install(client, "prometheus")
    # Its settings are read when it is installed.
    text = (MONITORING / "prometheus-node-exporter").read_text().replace("10.0.0.21", address_of("app1"))
    app1.check_output("printf %%s %s > /etc/default/prometheus-node-exporter", text)
    install(app1, "prometheus-node-exporter")
    for name in ("prometheus.yml", "alerts.yml"):
        client.check_output("printf %%s %s > %s", (MONITORING / name).read_text(), f"{FOLDER}/{name}")
    checked = client.check_output(
        "cd %s && promtool check config prometheus.yml && promtool check rules alerts.yml", FOLDER
    )
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], "1s")
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = TARGETS[job["job_name"]]
    client.check_output("printf %%s %s > %s/prometheus.yml", json.dumps(config), FOLDER)
    # A balancer that a busy machine has answer late, twice, is not silent.
    quick = "sed -i 's/for: .*/for: 1s/; /alert: BalancerSilent/,/for:/s/for: .*/for: 10s/' %s/alerts.yml"
    client.check_output(f"{quick} && systemctl restart prometheus", FOLDER)
    eventually(lambda: client.run("python3 -c %s rules", QUERY).rc == 0, what="an answer of Prometheus")
    client.checked = checked
    return client


def query(prometheus, *words):
    return json.loads(prometheus.check_output("python3 -c %s " + " ".join(["%s"] * len(words)), QUERY, *words))["data"]


def firing(prometheus):
    return {(one["labels"]["alertname"], one["labels"].get("server", "")) for one in query(prometheus, "alerts")["alerts"]
            if one["state"] == "firing"}  # fmt: skip


def answering(prometheus):
    targets = query(prometheus, "targets")["activeTargets"]
    return {target["labels"]["instance"] for target in targets if target["health"] == "up"}


def test_rules_are_what_promtool_takes(prometheus):
    assert f"SUCCESS: {len(RULES)} rules found" in prometheus.checked
    loaded = [rule for group in query(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert len(loaded) == len(RULES)
    eventually(
        lambda: all(
            rule["health"] == "ok" for group in query(prometheus, "rules")["groups"] for rule in group["rules"]
        ),
        what="an evaluation of each rule",
    )
    # Not the series `up`, where those of the configuration that Debian's began with stay for five minutes.
    addresses = {address for job in TARGETS.values() for address in job}
    eventually(lambda: answering(prometheus) == addresses, what="an answer of each target")


def test_every_query_of_the_dashboard_has_an_answer(prometheus):
    ask(20, of="lb1")
    ask(20, of="lb2")
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > 12
    for written in queries:
        text = re.sub(r"\$(app|balancer)", ".*", written).replace("$__rate_interval", "1m")
        assert "$" not in text
        eventually(lambda text=text: query(prometheus, "query", text)["result"], what=text)


def test_a_fault_fires_its_alert_and_no_other(prometheus):
    assert firing(prometheus) == set()
    app1 = host("app1")
    app1.check_output("systemctl stop flask-probe@1.socket flask-probe@1.service")
    try:
        eventually(lambda: firing(prometheus), what="an alert")
        assert firing(prometheus) == {("ServerDown", "app1-1")}
    finally:
        app1.check_output("systemctl start flask-probe@1.service")
    eventually(lambda: not firing(prometheus), what="the end of the alert")


@contextlib.contextmanager
def instances_stopped(*which):
    """Stop instances of the probe, (host, numbers) each, until the block ends."""
    for name, numbers in which:
        host(name).check_output(f"systemctl stop flask-probe@{numbers}.socket flask-probe@{numbers}.service")
    try:
        yield
    finally:
        for name, _ in which:
            host(name).check_output("systemctl start flask-probe.target")
        eventually(lambda: len(in_rotation(host("lb1"))) == 4, what="all servers in rotation")


@contextlib.contextmanager
def many(*what):
    """Keep a balancer busy from the client host until the block ends."""
    command = command_on(hosts_of("clients")[0], "python3", "-c", MANY, address_of("lb1"), *what)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as crowd:
        try:
            yield
        finally:
            crowd.communicate()
            host("lb1").check_output("systemctl reload haproxy")


@contextlib.contextmanager
def balancer_stopped():
    host("lb2").check_output("systemctl stop haproxy")
    try:
        yield
    finally:
        host("lb2").check_output("systemctl start haproxy")


@contextlib.contextmanager
def app_down():
    with instances_stopped(*((name, "*") for name in hosts_of("app_servers"))):
        ask([("GET", "/", [])] * 5, of="lb1")
        yield


@contextlib.contextmanager
def instance_that_comes_and_goes():
    """Have the checks find an instance ill and well again, time after time."""
    ill = "curl --silent --fail --request POST http://%s:6001/health/%s"
    for _ in range(5):
        for status, word in (("500", "DOWN"), ("200", "UP")):
            host("lb1").check_output(ill, address_of("app1"), status)
            eventually(lambda word=word: statistics(host("lb1"))["app1-1"]["status"].startswith(word), what=word)
            # Prometheus sees what lasts until it looks.
            time.sleep(1.2)
    yield


@contextlib.contextmanager
def one_instance_for_a_crowd():
    """Leave one instance to many requests that take their time: it has places for some, and works on four of them."""
    with instances_stopped(("app1", "2"), ("app2", "*")), many("400", "/sleep/0.5"):
        yield


@contextlib.contextmanager
def connections_held():
    """Hold most of the connections that a balancer takes, which are few for the while."""
    host("lb1").check_output(order("set maxconn global 60"))
    with many("55"):
        yield


@contextlib.contextmanager
def journal_that_stands_still():
    """Have the journal read nothing while more is said than waits for it."""
    lb1 = host("lb1")
    lb1.check_output("kill -STOP $(pidof systemd-journald)")
    try:
        host(hosts_of("clients")[0]).check_output("python3 -c %s %s", TALK, address_of("lb1"))
        yield
    finally:
        lb1.check_output("kill -CONT $(pidof systemd-journald)")
        # The count of what was dropped begins anew.
        lb1.check_output("systemctl reload haproxy")


@contextlib.contextmanager
def instance_that_dies_again_and_again():
    app1, pid = host("app1"), "systemctl show --property=MainPID --value flask-hello@1.service"
    for _ in range(4):
        before = app1.check_output(pid)
        app1.check_output("systemctl kill --signal=KILL flask-hello@1.service")
        eventually(lambda before=before: app1.check_output(pid) not in ("0", before), what="its return")
    yield
    # Other tests are told of restarts.
    host("app1").check_output("systemctl reset-failed flask-hello@1.service")


@contextlib.contextmanager
def timer_whose_service_fails():
    host("app1").run("systemd-run --quiet --wait --unit=flask-hello-broken.service false")
    try:
        yield
    finally:
        host("app1").check_output("systemctl reset-failed flask-hello-broken.service")


FAULTS = {
    "UnitFailed": timer_whose_service_fails,
    "UnitRestarts": instance_that_dies_again_and_again,
    "BalancerSilent": balancer_stopped,
    "AppDown": app_down,
    "Errors": app_down,
    "ServerDown": lambda: instances_stopped(("app1", "1")),
    "ConnectionsNearLimit": connections_held,
    "RequestsWait": one_instance_for_a_crowd,
    "Slow": one_instance_for_a_crowd,
    "LogsDropped": journal_that_stands_still,
    "ServerFlaps": instance_that_comes_and_goes,
}


def test_every_alert_has_its_fault():
    assert set(FAULTS) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize(
    ("fault", "alerts"),
    [(fault, {alert for alert in FAULTS if FAULTS[alert] is fault}) for fault in dict.fromkeys(FAULTS.values())],
    ids=lambda one: "-".join(sorted(one)) if isinstance(one, set) else "",
)
def test_fault_fires_its_alerts(prometheus, fault, alerts):
    fired = set()

    def all_fired():
        fired.update(name for name, _ in firing(prometheus))
        return alerts <= fired

    with fault():
        eventually(all_fired, what=f"the alerts {sorted(alerts)}")
