"""A host with the release before this one is brought to it, and back, and loses nothing."""

import pytest

from tests.probe import copy_of_probe, in_rotation, nothing_lost, running
from tests.support import Load, apps, changed, converge, host, hosts_of, playbook, variables

WEB = hosts_of("app_servers")[0]
NUMBERS = (1, 2, 3)


@pytest.fixture(scope="module", autouse=True)
def before():
    """Require the release before this one, which converge.yml takes out of the history."""
    if not host(WEB).file("/opt/flask/probe").exists:
        pytest.skip("this clone has no history, so no release to come from: git fetch --unshallow")


def sockets(web):
    """Return the sockets of the instances that systemd holds."""
    return web.check_output("systemctl list-sockets --no-legend --plain 'flask-*' | awk '{print $2}'").split()


def test_host_is_brought_to_this_release_and_loses_nothing():
    web = host(WEB)
    before = running(web, 1)
    assert before["GRANIAN_PORT"] == "6001", "this host has not the release before this one"
    assert sockets(web) == []
    with Load(WEB) as load:
        converge()
    nothing_lost(load)
    assert {running(web, number)["APP_SERVER"] for number in NUMBERS} == {"waitress"}
    assert len(sockets(web)) == 5
    assert set(in_rotation(web)) == {"probe/web-1", "probe/web-2", "probe/web-3"}
    # What is as it should be is left alone.
    pids = [web.check_output("systemctl show --property=MainPID flask-probe@%s", str(number)) for number in NUMBERS]
    assert changed(converge()) == 0
    assert pids == [
        web.check_output("systemctl show --property=MainPID flask-probe@%s", str(number)) for number in NUMBERS
    ]

    # The deployment that was live then is a good one still.
    with Load(WEB) as load:
        done = playbook("--extra-vars", "app=probe", name="playbooks/rollback.yml")
        assert done.returncode == 0, done.stdout
        assert {running(web, number)["APP_DEPLOYMENT"] for number in NUMBERS} == {before["APP_DEPLOYMENT"]}
        web.check_output("systemctl kill --signal=KILL flask-probe@2.service")
    assert load.report.doubled == 0
    with Load(WEB) as load:
        converge()
    nothing_lost(load)
    assert len(sockets(web)) == 5


def test_half_done_upgrade_is_finished(tmp_path):
    """Instances of both kinds, side by side, one of which is killed: each comes back on what it is on."""
    web = host(WEB)
    assert playbook("--extra-vars", "app=probe", name="playbooks/rollback.yml").returncode == 0
    assert running(web, 1)["GRANIAN_PORT"] == "6001"
    with Load(WEB) as load:
        done = playbook(
            *variables(flask_apps=apps(source=copy_of_probe(tmp_path, health="/nowhere"), start_timeout=15))
        )
    assert done.returncode
    assert "back on" in done.stdout
    nothing_lost(load)
    assert running(web, 1)["GRANIAN_PORT"] == "6001"
    converge()
    assert len(in_rotation(web)) == 3
