"""A configuration that HAProxy's parser accepts and HAProxy cannot load: the old one stays, and answers."""

import json

import pytest

from tests.support import Load, ask, converge, hosts_of, playbook, refused, squatter, variables

WEB = hosts_of("app_servers")[0]


def section(bind):
    """Return a section of HAProxy configuration with a bind of its own, which preflight knows nothing of."""
    return variables(haproxy_extra=f"listen other\n    bind {bind}\n    server one 127.0.0.1:5001")


def state(web):
    """Return the configuration on disk and the pid of HAProxy's master."""
    return web.check_output("cat /etc/haproxy/haproxy.cfg; systemctl show --property=MainPID haproxy.service")


@pytest.mark.long
def test_port_of_another_process_is_refused_without_a_reload(web):
    before = state(web)
    with squatter(web, 8099), Load(WEB) as load:
        done = playbook(*section("*:8099"))
    refused(done, "8099", "is held by python3 (squatter.service)", "/etc/haproxy/haproxy.cfg was not touched")
    assert state(web) == before
    assert (load.report.failed, load.report.lost, load.report.doubled) == (0, 0, 0), load.report
    # With the port free again, the same run succeeds, and so does the one back.
    converge(*section("*:8099"))
    assert web.run("curl --silent --fail http://127.0.0.1:8099/health").rc == 0
    converge()


@pytest.mark.long
def test_address_that_the_host_does_not_have_is_refused_without_a_reload(web):
    before = state(web)
    with Load(WEB) as load:
        done = playbook(*section("192.0.2.77:8098"))
    refused(
        done,
        "bind 192.0.2.77:8098: this host cannot listen there (Cannot assign requested address)",
        "/etc/haproxy/haproxy.cfg was not touched",
    )
    assert state(web) == before
    assert (load.report.failed, load.report.lost, load.report.doubled) == (0, 0, 0), load.report
    # What the message advises.
    converge(*section("192.0.2.77:8098 transparent"))
    assert "192.0.2.77:8098" in web.check_output("ss -ltn")
    converge()


def test_reload_that_does_not_take_is_undone(web):
    before = state(web)
    # A folder that HAProxy's sandbox does not let it write to: only the kernel knows, when HAProxy binds.
    with Load(WEB) as load:
        done = playbook(*section("/etc/haproxy/other.sock"))
    refused(done, "could not be loaded, so the old one is back and loaded", "/etc/haproxy/other.sock")
    assert state(web) == before
    print(json.dumps({"sent": load.report.sent, "failed": load.report.causes, "longest gap": load.report.longest_gap}))
    # While HAProxy tries again to bind, its listeners are paused; connections are refused, and none is cut.
    assert set(load.report.causes) <= {"ConnectionRefusedError"}, load.report.causes
    assert (load.report.lost, load.report.doubled) == (0, 0)
    assert load.report.longest_gap < 5
    assert {answer["status"] for answer in ask(6, of=WEB)} == {200}
    converge(*variables(haproxy_defaults_extra=["timeout tunnel 1h"]))
    converge()


@pytest.mark.long
def test_server_that_somebody_has_disabled_stays_so(web):
    own = variables(haproxy_extra="backend spare\n    server idle 127.0.0.1:5001 check disabled")
    disabled = "grep ' disabled$' /etc/haproxy/haproxy.cfg"
    converge(*own)
    mine = web.check_output(disabled).splitlines()
    assert mine == ["    server idle 127.0.0.1:5001 check disabled"]
    server = f"server=probe/{WEB}-1"
    assert playbook("--extra-vars", server, name="playbooks/drain.yml").returncode == 0
    assert len(web.check_output(disabled).splitlines()) == 2
    assert playbook("--extra-vars", f"{server} lift=true", name="playbooks/drain.yml").returncode == 0
    assert web.check_output(disabled).splitlines() == mine
    converge()
