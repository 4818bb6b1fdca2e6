"""The services of one host, by use: who runs, who is reached from where, and what an app gets to see."""

import hashlib
import itertools
import json
import re
from collections import Counter

import pytest

from tests.support import address_of, ask, changed, converge, eventually, hosts_of, inventory, playbook, refused

WEB = hosts_of("app_servers")[0]
HELLO = [f"flask-hello@{number}.service" for number in (1, 2, 3)]


def numbers(answers):
    """Return which instances of hello answered, as numbers."""
    assert {answer["status"] for answer in answers} == {200}, answers
    return [int(re.fullmatch(r"Hello from Flask App (\d)!\n", answer["body"])[1]) for answer in answers]


def strict(sequence):
    """Say whether a sequence is 1, 2, 3, 1, … from any start."""
    return all(after == before % 3 + 1 for before, after in itertools.pairwise(sequence))


def probe(path="/", headers=(), method="GET"):
    """Send one request to the probe through the balancer."""
    return ask([(method, path, list(headers))], of=WEB, hostname="probe.test")[0]


@pytest.mark.parametrize("unit", [*HELLO, "flask-hello.target", "haproxy.service"])
def test_unit_is_active_and_enabled(web, unit):
    assert web.service(unit).is_running
    assert web.service(unit).is_enabled


@pytest.mark.parametrize("unit", HELLO)
def test_instance_runs_as_its_own_user(web, unit):
    main = web.check_output("systemctl show --property=MainPID --value %s", unit)
    pids = [main, *web.run("pgrep --parent %s", main).stdout.split()]
    assert int(main) > 1
    users = {web.check_output("stat --format=%%U /proc/%s", pid) for pid in pids}
    assert users == {"flask-hello"}


@pytest.mark.parametrize("port", [5001, 5002, 5003, 6001, 8404])
def test_listens_on_loopback_only(web, client, port):
    assert web.run("curl --silent --max-time 5 http://127.0.0.1:%s/", str(port)).rc == 0
    # 7: curl could not connect, so it was refused, not merely answered with an error.
    assert client.run("curl --silent --max-time 5 http://%s:%s/", address_of(WEB), str(port)).rc == 7


@pytest.mark.parametrize("keep_alive", [False, True], ids=["new connections", "keep-alive"])
def test_rotation_is_strict(web, keep_alive):
    # A server that a busy machine had take too long for a check has another place in the order until the next reload.
    web.check_output("systemctl reload haproxy.service")
    eventually(lambda: strict(numbers(ask(30, of=WEB, keep_alive=keep_alive))), what="1, 2, 3, 1, …")


def test_three_hundred_requests_are_shared_equally():
    assert Counter(numbers(ask(300, of=WEB))) == {1: 100, 2: 100, 3: 100}


def test_each_instance_names_itself_and_the_release(web):
    answers = [json.loads(answer["body"]) for answer in ask([("GET", "/health", [])] * 3, of=WEB)]
    assert {answer["instance"] for answer in answers} == {f"{WEB}-1", f"{WEB}-2", f"{WEB}-3"}
    assert len({answer["release"] for answer in answers}) == 1
    # Its own port says the same, so the balancer did not mix them up.
    for number in (1, 2, 3):
        own = json.loads(web.check_output("curl --silent http://127.0.0.1:%s/health", str(5000 + number)))
        assert own == {"instance": f"{WEB}-{number}", "release": answers[0]["release"]}


def test_instance_that_is_not_healthy_leaves_the_rotation_and_comes_back(web):
    def answering():
        return {json.loads(answer["body"])["number"] for answer in ask(12, of=WEB, hostname="probe.test")}

    assert answering() == {1, 2, 3}
    web.check_output("curl --silent --fail -X POST http://127.0.0.1:6002/health/500")
    eventually(lambda: answering() == {1, 3}, what="instance 2 out of the rotation")
    # It runs and answers; only its health says no. That is what an HTTP check sees and a TCP check does not.
    assert web.run("curl --silent --fail http://127.0.0.1:6002/").rc == 0
    web.check_output("curl --silent --fail -X POST http://127.0.0.1:6002/health/200")
    eventually(lambda: answering() == {1, 2, 3}, what="instance 2 back in the rotation")


def test_requests_go_to_the_app_of_their_host_name():
    assert "headers" in json.loads(probe()["body"])
    assert ask(1, of=WEB, hostname="elsewhere.test")[0]["body"].startswith("Hello from Flask App")
    assert "headers" in json.loads(ask(1, of=WEB, hostname="PROBE.test:80")[0]["body"])


def test_forged_headers_do_not_reach_the_app(client):
    forged = [
        ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.test"),
        ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("X-Request-ID", "forged"), ("Proxy", "http://evil.test"),
        ("X_Real_IP", "6.6.6.6"), ("X_Forwarded_Proto", "https"), ("X_Forwarded_For", "6.6.6.6"),
    ]  # fmt: skip
    seen = json.loads(probe(headers=forged)["body"])["headers"]
    own = client.check_output("hostname --all-ip-addresses").split()
    assert [value for name, value in seen if name == "x-forwarded-for"] == [address_of(hosts_of("clients")[0])]
    assert address_of(hosts_of("clients")[0]) in own
    assert [value for name, value in seen if name == "x-forwarded-proto"] == ["http"]
    assert [value for name, value in seen if name == "x-forwarded-host"] == ["probe.test"]
    assert not [value for _, value in seen if value in ("6.6.6.6", "for=6.6.6.6", "forged", "http://evil.test")]


def test_request_id_that_the_app_saw_is_in_the_access_log(web):
    answer = probe(path="/?marked")
    seen = json.loads(answer["body"])
    identifiers = [value for name, value in seen["headers"] if name == "x-request-id"]
    assert len(identifiers) == 1
    assert [value for name, value in answer["headers"].items() if name.lower() == "x-request-id"] == identifiers
    lines = eventually(
        # journalctl ends with 1 where it finds nothing.
        lambda: web.run("journalctl --unit=haproxy.service --quiet --no-pager --grep=%s", identifiers[0]).stdout,
        what="the access log's line",
    )
    assert f" probe/{seen['instance']} " in lines
    assert '"GET /?marked HTTP/1.1"' in lines


def test_statistics_and_metrics_answer_on_loopback(web):
    metrics = web.check_output("curl --silent --fail http://127.0.0.1:8404/metrics")
    for number in (1, 2, 3):
        assert f'haproxy_server_status{{proxy="hello",server="{WEB}-{number}",state="UP"}} 1' in metrics
    page = web.check_output("curl --silent --fail http://127.0.0.1:8404/")
    assert f"{WEB}-3" in page


def test_sandbox_scores(web):
    # hello calls nobody (`egress: none`), the probe may call anybody.
    for unit, most in (("flask-hello@1.service", 0.9), ("flask-probe@1.service", 1.1), ("haproxy.service", 2.5)):
        shown = web.check_output("systemd-analyze security --no-pager %s", unit)
        score = float(re.search(r"exposure level for .*: ([\d.]+)", shown)[1])
        assert score <= most, "\n".join(line for line in shown.splitlines() if "✗" in line)


def test_state_of_an_app_is_nobody_elses(web):
    shown = web.check_output("stat --format='%U %a' /var/lib/flask-probe /var/lib/flask-hello")
    assert shown.splitlines() == ["flask-probe 700", "flask-hello 700"]


def test_sandbox_lets_an_app_write_to_its_state_folder_only():
    found = json.loads(probe(path="/write")["body"])
    assert found.pop("/var/lib/flask-probe/probe") == "written"
    assert set(found.values()) == {"OSError"}, found


def test_regular_expression_of_an_extra_works_inside_the_sandbox():
    assert ask([("GET", "/teapot-12", [])], of=WEB)[0]["status"] == 418
    assert ask([("GET", "/teapot-x", [])], of=WEB)[0]["status"] == 404


def test_environment_arrives_whatever_is_in_it():
    environment = inventory()["_meta"]["hostvars"][WEB]["flask_apps"][1]["environment"]
    assert len(environment) > 1
    for key, value in environment.items():
        assert (
            json.loads(probe(path=f"/environment/{key}")["body"])["sha256"]
            == hashlib.sha256(value.encode()).hexdigest()
        )


def processes(web):
    """Return (pid of HAProxy's master, pids of its workers)."""
    main = web.check_output("systemctl show --property=MainPID --value haproxy.service")
    return main, set(web.check_output("pgrep --parent %s", main).split())


def test_changed_configuration_is_reloaded(web):
    main, workers = processes(web)
    converge("--extra-vars", json.dumps({"haproxy_defaults_extra": ["timeout tunnel 1h"]}))
    now, fresh = eventually(
        lambda: (found := processes(web))[1].isdisjoint(workers) and found, what="the old worker gone"
    )
    assert now == main
    assert fresh
    converge()
    assert processes(web)[0] == main


def test_broken_configuration_is_refused_before_it_is_live(web):
    before = web.check_output("sha256sum /etc/haproxy/haproxy.cfg"), processes(web)
    done = playbook("--extra-vars", json.dumps({"haproxy_defaults_extra": ["timeout nonsense 1h"]}))
    # HAProxy's own words, in which it lists what it knows.
    refused(
        done,
        "HAProxy does not accept the configuration, or could not load it",
        "'timeout' supports 'client', 'server', 'connect'",
    )
    assert (web.check_output("sha256sum /etc/haproxy/haproxy.cfg"), processes(web)) == before
    assert set(numbers(ask(6, of=WEB))) == {1, 2, 3}


@pytest.mark.long
def test_dependencies_that_somebody_removed_are_shipped_again(web):
    there = web.check_output("readlink --canonicalize /opt/flask/hello/instances/1/release/lib")
    web.check_output("mv %s /root/removed", there)
    try:
        assert "Ship the release" in converge()
        assert web.run("diff --recursive --exclude=__pycache__ %s /root/removed", there).stdout == ""
        assert numbers(ask(3, of=WEB))
    finally:
        web.run("rm -rf /root/removed")
    assert changed(converge()) == 0


def test_all_is_back_after_a_restart_of_the_host(web):
    booted = web.check_output(
        "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic"
    )
    assert playbook(name="molecule/shared/restart.yml").returncode == 0
    now = web.check_output("cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic")
    assert now != booted, "the host was not restarted"
    eventually(lambda: all(web.service(unit).is_running for unit in [*HELLO, "haproxy.service"]), what="units active")
    eventually(lambda: {a["status"] for a in ask(6, of=WEB)} == {200}, what="answers")
    eventually(lambda: set(numbers(ask(6, of=WEB))) == {1, 2, 3}, what="all three in rotation")
    assert web.check_output("systemctl list-units --state=failed --no-legend --plain 'flask-*' haproxy.service") == ""
