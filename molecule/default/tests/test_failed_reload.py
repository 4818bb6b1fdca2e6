"""A configuration that HAProxy's parser accepts and HAProxy cannot load: the old one stays, and answers."""

import json

from tests.support import Load, ask, converge, hosts_of, playbook, refused, squatter, variables

WEB = hosts_of("app_servers")[0]


def section(bind):
    """Return a section of HAProxy configuration with a bind of its own, which preflight knows nothing of."""
    return variables(haproxy_extra=f"listen other\n    bind {bind}\n    server one 127.0.0.1:5001")


def state(web):
    """Return the configuration on disk and the pid of HAProxy's master."""
    return web.check_output("cat /etc/haproxy/haproxy.cfg; systemctl show --property=MainPID haproxy.service")


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


def test_reload_that_does_not_take_is_undone(web):
    before = state(web)
    # An address that no interface has: only the kernel knows, when HAProxy binds.
    with Load(WEB) as load:
        done = playbook(*section("192.0.2.77:8098"))
    refused(done, "could not be loaded, so the old one is back and loaded", "cannot bind socket", "192.0.2.77:8098")
    assert state(web) == before
    print(json.dumps({"sent": load.report.sent, "failed": load.report.causes, "longest gap": load.report.longest_gap}))
    # While HAProxy tries again to bind, its listeners are paused; connections are refused, and none is cut.
    assert set(load.report.causes) <= {"ConnectionRefusedError"}, load.report.causes
    assert (load.report.lost, load.report.doubled) == (0, 0)
    assert load.report.longest_gap < 5
    assert {answer["status"] for answer in ask(6, of=WEB)} == {200}
    converge(*variables(haproxy_defaults_extra=["timeout tunnel 1h"]))
    converge()
