"""A canary: one instance of two on the new deployment at a share, on both balancers; promoted, taken back, or sick.

The tests go on from each other, in this order: each begins with all instances on one deployment.
"""

import contextlib
import json
import time
from collections import Counter

import pytest

from tests.probe import copy_of_probe, in_rotation, nothing_lost
from tests.support import Load, apps, changed, converge, host, hosts_of, playbook, refused, variables

APP, BALANCERS = hosts_of("app_servers")[0], hosts_of("load_balancers")
HELLO = apps()[1]
SICK = "\n\n@app.before_request\ndef sick():\n    return Response('', status=503)\n"


@pytest.fixture(scope="module", autouse=True)
def plain():
    """Have what the inventory says, without TLS."""
    converge()


def canary(*arguments, **options):
    """Run canary.yml for the probe and return it, finished."""
    return playbook(*arguments, *variables(app="probe", **options), name="playbooks/canary.yml")


@contextlib.contextmanager
def load_on_both():
    """Send requests to the probe by one balancer and to the other app by the other one; none may be lost.

    Gives the load of the probe, which has the requests when the block is over.
    """
    other = {"rate": 50.0, "host": "hello.test", "post_share": 0, "slow_share": 0}
    with Load(BALANCERS[0], rate=100.0) as probe, Load(BALANCERS[1], **other) as hello:
        yield probe
    for load in (probe, hello):
        nothing_lost(load)


def share(load, window):
    """Return the share in per cent that the first instance had of what was sent in a time (seconds of the epoch)."""
    begin, end = (moment - load.report.started for moment in window)
    seen = Counter(one.server for one in load.requests if begin < one.at < one.done < end)
    assert seen.total() > 300, "the time is too short to say something"
    return 100 * seen[f"{APP}-1"] / seen.total()


def deployments():
    """Return the versions that the instances of the probe are on."""
    shown = [host(APP).check_output("cat /opt/flask/probe/instances/%s/deployment.json", number) for number in "12"]
    return [json.loads(text)["version"] for text in shown]


def lines(name):
    """Return what the configuration of a balancer has of canaries."""
    return host(name).run("grep '# canary$' /etc/haproxy/haproxy.cfg").stdout.splitlines()


def good(done):
    """Require that a run went well."""
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_promoted(tmp_path, record_property):
    old, new = deployments(), variables(flask_apps=apps(source=copy_of_probe(tmp_path)))
    assert old[0] == old[1]
    with load_on_both() as load:
        good(canary(*new, weight=50))
        tried = deployments()
        assert tried[0] != tried[1] == old[0]
        good(canary(*new, weight=10))
        began = time.time()
        # A reload that does not come from here.
        host(BALANCERS[0]).check_output("systemctl reload haproxy.service")
        time.sleep(12)
        window = (began, time.time())
        shown = good(canary(*new))
        good(canary(*new, promote=True))
    record_property("share of a canary of 10 %", f"{share(load, window):.1f} %")
    assert 9 < share(load, window) < 11
    assert "10 % were asked for, its weight gives it 10 %." in shown
    assert f"{APP}-1 " in shown
    assert changed(shown) == 0
    assert deployments() == [tried[0]] * 2
    assert [lines(name) for name in BALANCERS] == [[], []]
    refused(canary(*new, weight=10), f"{APP}-1 of probe is on deployment", "there is nothing to try. Fix:")


def test_taken_back(tmp_path, record_property):
    old, new = deployments(), variables(flask_apps=apps(source=copy_of_probe(tmp_path)))
    with load_on_both() as load:
        good(canary(*new, weight=25))
        # Another app is deployed meanwhile.
        converge(*variables(app="hello", flask_apps=[apps()[0], HELLO | {"threads": 5}]))
        assert [len(lines(name)) for name in BALANCERS] == [2, 2]
        began = time.time()
        time.sleep(12)
        window = (began, time.time())
        good(canary(abort=True))
    record_property("share of a canary of 25 %", f"{share(load, window):.1f} %")
    assert 23 < share(load, window) < 27
    assert deployments() == old
    assert [lines(name) for name in BALANCERS] == [[], []]
    refused(canary(promote=True), "probe has no canary. Fix: -e weight=10 begins one")


def test_rollback_takes_it_back(tmp_path):
    old, new = deployments(), variables(flask_apps=apps(source=copy_of_probe(tmp_path)))
    with load_on_both():
        good(canary(*new, weight=10))
        assert deployments()[0] != old[0]
        good(playbook(*variables(app="probe"), name="playbooks/rollback.yml"))
    assert deployments() == old
    assert [lines(name) for name in BALANCERS] == [[], []]


def test_sick_one_is_taken_back_by_itself(tmp_path):
    old = deployments()
    sick = variables(flask_apps=apps(source=copy_of_probe(tmp_path, hook=SICK), start_timeout=15))
    with load_on_both():
        refused(canary(*sick, weight=10), "not healthy after 15 s", f"stopped at instance 1 of {APP}")
    assert deployments() == old
    assert [lines(name) for name in BALANCERS] == [[], []]
    assert all(sorted(in_rotation(host(name))) == [f"probe/{APP}-{n}" for n in (1, 2)] for name in BALANCERS)
