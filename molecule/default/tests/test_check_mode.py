"""Check mode tells the truth on a converged host."""

import re

import pytest

from tests.support import changed, converge, hosts_of, playbook

WEB = hosts_of("app_servers")[0]
FILES = [
    "/etc/haproxy/haproxy.cfg",
    "/etc/systemd/system/flask-hello@.service",
]


def test_converged_host_has_nothing_to_change(web):
    before = web.check_output("systemctl show --property=MainPID 'flask-*@*' haproxy.service")
    output = converge("--check", "--diff")
    assert changed(output) == 0
    assert web.check_output("systemctl show --property=MainPID 'flask-*@*' haproxy.service") == before


@pytest.mark.long
def test_hand_edits_are_reported_and_mended_without_a_restart(web):
    environment = web.check_output("readlink --canonicalize /opt/flask/hello/instances/1/env")
    files = [*FILES, environment]
    originals = {path: web.check_output("sha256sum %s", path) for path in files}
    pids = web.check_output("systemctl show --property=MainPID 'flask-*@*' haproxy.service")
    for path in files:
        web.check_output("echo '# by hand' >> %s", path)

    done = playbook("--check", "--diff")
    assert done.returncode == 0
    # What --diff names: whole files as `+++ after: PATH`, the environment without its content.
    named = re.findall(r"^\+\+\+ after: (\S+)$", done.stdout, re.MULTILINE)
    named += re.findall(r"^(\S+): differs; its content is not shown$", done.stdout, re.MULTILINE)
    assert sorted(named) == sorted(files)
    # haproxy.cfg in one task, the unit and the environment in another; no instance is to be restarted.
    assert changed(done.stdout) == 2
    assert {path: web.check_output("sha256sum %s", path) for path in files} != originals

    converge()
    assert {path: web.check_output("sha256sum %s", path) for path in files} == originals
    assert web.check_output("systemctl show --property=MainPID 'flask-*@*' haproxy.service") == pids
    assert changed(converge("--check")) == 0
