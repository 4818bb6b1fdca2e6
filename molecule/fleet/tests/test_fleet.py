"""Two balancers, two app hosts: what is done to an instance is known to every balancer, and to every host."""

import contextlib
import itertools
import json
import shutil
from collections import Counter

import pytest
import yaml

from tests.probe import copy_of_probe, in_rotation, nothing_lost, running, tried_again
from tests.support import (
    INVENTORY,
    PROJECT,
    Load,
    address_of,
    apps,
    ask,
    converge,
    eventually,
    host,
    hosts_of,
    playbook,
    refused,
    variables,
)

APPS, BALANCERS = hosts_of("app_servers"), hosts_of("load_balancers")
SERVERS = [f"probe/{name}-{number}" for number in (1, 2) for name in APPS]

SICK_ON_APP2 = """

if os.uname().nodename == "app2":
    @app.before_request
    def sick():
        return Response("", status=503)
"""


@contextlib.contextmanager
def load_on_all():
    """Send requests through both balancers at once; none may be lost."""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(name, rate=100.0)) for name in BALANCERS]
        yield
    for load in loads:
        nothing_lost(load)


@contextlib.contextmanager
def nothing_tried_again():
    """Require that no balancer has to try a request again, as where an instance ends that it has not let go of.

    HAProxy counts from its last reload on, so there must not be one.
    """
    before = {name: tried_again(host(name)) for name in BALANCERS}
    yield
    assert {name: tried_again(host(name)) for name in BALANCERS} == before


def deployments():
    """Return {version: how many instances run it}, a version being the same on all hosts."""
    record = "cat /opt/flask/probe/deployments/%s/deployment.json"
    shown = [
        host(name).check_output(record, running(host(name), number)["APP_DEPLOYMENT"])
        for name in APPS
        for number in (1, 2)
    ]
    return Counter(json.loads(text)["version"] for text in shown)


@pytest.fixture(autouse=True)
def calm():
    """Have all instances in rotation after each test."""
    yield
    if any(sorted(in_rotation(host(name))) != sorted(SERVERS) for name in BALANCERS):
        converge()


@pytest.mark.parametrize("balancer", BALANCERS)
def test_requests_are_shared_among_all_hosts(balancer):
    seen = [answer["headers"]["x-instance"] for answer in ask(40, of=balancer)]
    assert Counter(seen) == {name.removeprefix("probe/"): 10 for name in SERVERS}

    def neighbours_are_on_two_hosts():
        names = [answer["headers"]["x-instance"].partition("-")[0] for answer in ask(12, of=balancer)]
        return all(one != other for one, other in itertools.pairwise(names))

    # As the configuration has them; servers that come back after a drain may change places.
    host(balancer).check_output("systemctl reload haproxy.service")
    eventually(neighbours_are_on_two_hosts, what="neighbours in the rotation on two hosts")


def test_deploy_drains_on_every_balancer(tmp_path):
    before = deployments()
    with load_on_all(), nothing_tried_again():
        converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path))))
    assert sum(deployments().values()) == 4
    assert len(deployments()) == 1
    assert deployments() != before


def test_host_is_taken_out_by_hand(tmp_path):
    app1 = host("app1")
    with load_on_all():
        assert playbook("--extra-vars", "host=app1", name="playbooks/drain.yml").returncode == 0
        for balancer in BALANCERS:
            assert sorted(in_rotation(host(balancer))) == ["probe/app2-1", "probe/app2-2"]
        with nothing_tried_again():
            app1.check_output("systemctl kill --signal=KILL 'flask-probe@*'")
            # A deploy comes to it as well, and leaves it out.
            converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path))))
        for balancer in BALANCERS:
            assert sorted(in_rotation(host(balancer))) == ["probe/app2-1", "probe/app2-2"]
        assert playbook("--extra-vars", "host=app1 lift=true", name="playbooks/drain.yml").returncode == 0
        for balancer in BALANCERS:
            assert sorted(in_rotation(host(balancer))) == sorted(SERVERS)


@pytest.mark.long
def test_rollback_after_a_rollout_that_stopped_at_the_second_host(tmp_path):
    converge()
    old = deployments()
    sick = variables(flask_apps=apps(source=copy_of_probe(tmp_path, hook=SICK_ON_APP2), start_timeout=15))
    with load_on_all(), nothing_tried_again():
        refused(playbook(*sick), "not healthy after 15 s", "stopped at instance 1 of app2")
        assert sorted(deployments().values()) == [2, 2]
        done = playbook(name="playbooks/rollback.yml")
    assert done.returncode == 0, done.stdout
    assert deployments() == old
    # What is bad on one host is bad for all: no instance of the first one is put on it again.
    refused(playbook(*sick), "was marked bad")
    assert deployments() == old


def beating():
    """Return the hosts on which what runs on the first host of the app is at work."""
    return [
        name for name in APPS if host(name).run("systemctl is-active flask-probe@beat-1").stdout.strip() == "active"
    ]


@pytest.mark.long
def test_what_is_on_the_first_host_goes_to_another_when_that_leaves(tmp_path):
    process = {"name": "beat", "command": "python -c 'import time; time.sleep(9e5)'", "hosts": "first"}
    changed = variables(flask_apps=apps(processes=[process]))
    # A list has the same host in both places, so that it is reached in the second as well.
    without = tmp_path / "inventory"
    shutil.copytree(INVENTORY, without)
    listed = yaml.safe_load((without / "hosts.yml").read_text())
    del listed["all"]["children"]["app_servers"]["hosts"]["app1"]
    text = yaml.safe_dump(listed).replace("{{ inventory_dir }}", str(INVENTORY))
    (without / "hosts.yml").write_text(text)
    found = apps(processes=[process], source=str(PROJECT / "molecule" / "shared" / "probe"))
    converge(*changed)
    assert beating() == ["app1"]
    try:
        with load_on_all():
            done = playbook(*variables(flask_apps=found), inventory=without)
            assert done.returncode == 0, done.stdout
            assert "app2" in beating()
            gone = playbook("--extra-vars", "app=probe host=app1", name="playbooks/remove.yml", inventory=without)
            assert gone.returncode == 0, gone.stdout
            assert beating() == ["app2"]
    finally:
        # It comes back, before the other one: there it ends before it begins here.
        converge(*changed)
        after = beating()
        converge()
    assert after == ["app1"]
    assert beating() == []


@pytest.mark.long
def test_run_that_ends_with_servers_down_fails():
    """A balancer that does not reach a host, whose instances are well: nothing in the rollout asks it."""
    lb1, route = host("lb1"), f"prohibit {address_of('app2')}/32"
    lb1.check_output(f"ip route add {route}")
    try:
        eventually(lambda: sorted(in_rotation(lb1)) == ["probe/app1-1", "probe/app1-2"], what="app2 down on lb1")
        output = refused(
            playbook(), "HAProxy sends nothing to these servers", "- probe/app2-1: L4", "- probe/app2-2: L4"
        )
        assert "probe/app1" not in output.partition("HAProxy sends nothing")[2]
        # Somebody knows, and runs it for the others; or has taken them out.
        converge("--limit=app1")
        assert playbook("--extra-vars", "host=app2", name="playbooks/drain.yml").returncode == 0
        converge()
    finally:
        lb1.check_output(f"ip route delete {route}")
        assert playbook("--extra-vars", "host=app2 lift=true", name="playbooks/drain.yml").returncode == 0


@pytest.mark.long
def test_balancer_that_is_stopped_is_no_reason_to_fail(tmp_path):
    host("lb2").check_output("systemctl stop haproxy.service")
    before = running(host("app1"), 1)["APP_DEPLOYMENT"]
    with Load("lb1") as load:
        converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path))))
    nothing_lost(load)
    assert running(host("app1"), 1)["APP_DEPLOYMENT"] != before
    # What the inventory says is that it runs.
    eventually(lambda: sorted(in_rotation(host("lb2"))) == sorted(SERVERS), what="the second balancer serving")
