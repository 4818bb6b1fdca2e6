"""What only a machine with its own kernel shows: boots, power cuts, firewalling, time, the journal of other boots."""

import json
import os
import subprocess
import threading
import time

import pytest

from tests.support import (
    PROJECT,
    Load,
    address_of,
    apps,
    ask,
    changed,
    converge,
    eventually,
    hosts_of,
    playbook,
    variables,
)

WEB = hosts_of("app_servers")[0]
UNITS = [f"flask-{app}@{number}.service" for app in ("hello", "probe") for number in (1, 2, 3)]


def virsh(*arguments):
    """Give libvirt a command about the machine."""
    machine = next((PROJECT / ".cache" / "vagrant" / "machines" / WEB).glob("*/id")).read_text()
    command = ["virsh", "--connect", "qemu:///system", arguments[0], machine, *arguments[1:]]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def live(web):
    """Return {instance: deployment} of what runs."""
    command = "for i in /opt/flask/*/instances/*; do echo $i $(readlink $i); done"
    return dict(line.split() for line in web.check_output(command).splitlines())


def serving():
    """Return the numbers of the instances that answer in six requests; none while nobody answers."""
    try:
        return {answer["body"].strip() for answer in ask(6, of=WEB) if answer["status"] == 200}
    except pytest.fail.Exception:
        return set()


def back_by_itself(web, since, what, record_property):
    """Wait until all instances are in rotation, nobody having lifted a hand; note how long that took."""
    eventually(lambda: len(serving()) == 3, within=300, what="all three in rotation")
    took = time.monotonic() - since
    eventually(lambda: up(web) == 6, within=60, what="all servers up in HAProxy")
    boot = web.check_output("systemd-analyze time").splitlines()[0]
    record_property(what, f"all in rotation {took:.1f} s later. {boot}")


def up(web):
    """Return how many servers HAProxy has found healthy; none while it cannot be asked."""
    shown = web.run("curl --silent --fail 'http://127.0.0.1:8404/;csv'").stdout
    return sum(",UP," in line and ("/web-" in line or ",web-" in line) for line in shown.splitlines())


def cut_power():
    """Take the power away: no shutdown, nothing written to disk that was not."""
    virsh("destroy")
    since = time.monotonic()
    virsh("start")
    return since


def nothing_of_ours_failed(web):
    assert web.check_output("systemctl list-units --state=failed --no-legend --plain") == ""
    assert web.check_output("journalctl --boot --no-pager --quiet --priority=err --unit='flask-*'") == ""


def test_egress_none_cuts_what_calls_out():
    """The default lets an app call; 53 is the name server of libvirt's network, which the machine uses itself."""
    other = address_of(hosts_of("clients")[0])
    call = [("GET", f"/call/{other}/53", [])]

    def outcome():
        return json.loads(ask(call, of=WEB, hostname="probe.test")[0]["body"])["outcome"]

    assert outcome() == "connected"
    cut = apps()
    cut[1]["egress"] = "none"
    converge(*variables(flask_apps=cut))
    assert outcome() in ("PermissionError", "TimeoutError")
    assert len(serving()) == 3
    converge()
    assert outcome() == "connected"


def test_comes_up_in_order(web):
    online = int(
        web.check_output("systemctl show --property=ActiveEnterTimestampMonotonic --value network-online.target")
    )
    assert online > 0
    for unit in [*UNITS, "haproxy.service"]:
        assert "network-online.target" in web.check_output("systemctl show --property=After --value %s", unit)
    assert web.check_output("systemctl show --property=WantedBy --value flask-hello.target") == "multi-user.target"


def test_time_journal_and_security_updates_are_left_in_order(web):
    assert web.check_output("timedatectl show --property=NTP --value") == "yes"
    # Persistent and bounded.
    said = web.check_output("journalctl --boot --unit=systemd-journald --no-pager --grep='System Journal'")
    assert "/var/log/journal" in said
    assert " max " in said
    assert (
        web.check_output("systemctl is-enabled apt-daily-upgrade.timer unattended-upgrades.service").split()
        == ["enabled"] * 2
    )
    assert web.check_output("apt-mark showhold") == ""
    web.check_output("apt-get check --quiet --quiet")


def test_reboot(web, record_property):
    before, boot = live(web), web.check_output("cat /proc/sys/kernel/random/boot_id")
    since = time.monotonic()
    web.run("systemctl reboot")
    eventually(lambda: not serving(), what="the machine going down")
    back_by_itself(web, since, "reboot", record_property)
    assert web.check_output("cat /proc/sys/kernel/random/boot_id") != boot
    # The boot before this one is in the journal, with an orderly end.
    assert "Stopped" in web.check_output("journalctl --boot=-1 --no-pager --unit=flask-hello@1.service --lines=5")
    assert live(web) == before
    nothing_of_ours_failed(web)
    assert changed(converge()) == 0


def test_power_cut_while_serving(web, record_property):
    before = live(web)
    with Load(WEB) as load:
        since = cut_power()
        back_by_itself(web, since, "power cut while serving", record_property)
    assert load.report.failed > 0, "the machine was not cut off"
    assert load.report.doubled == 0
    assert live(web) == before
    nothing_of_ours_failed(web)
    assert changed(converge()) == 0


def test_power_cut_right_after_a_deploy(web, tmp_path, record_property):
    """What a run has called done is on disk."""
    converge(*variables(flask_apps=new_release(tmp_path)))
    before = live(web)
    since = cut_power()
    back_by_itself(web, since, "power cut after a deploy", record_property)
    assert live(web) == before
    nothing_of_ours_failed(web)
    assert changed(converge(*variables(flask_apps=new_release(tmp_path)))) == 0
    converge()


def test_power_cut_while_a_release_is_copied(web, tmp_path, record_property):
    before, releases = live(web), set(web.check_output("ls /opt/flask/hello/releases").split())
    new = variables(flask_apps=new_release(tmp_path, more="# another\n", ballast=60))
    outcome = []
    run = threading.Thread(target=lambda: outcome.append(playbook(*new)))
    run.start()
    eventually(
        lambda: web.check_output("ls -A /opt/flask/hello/releases | grep incoming; true"),
        within=600,
        what="a release arriving",
    )
    since = cut_power()
    run.join()
    assert outcome[0].returncode != 0
    back_by_itself(web, since, "power cut while a release is copied", record_property)
    assert live(web) == before
    # What had arrived is no release.
    assert set(web.check_output("ls /opt/flask/hello/releases").split()) == releases
    nothing_of_ours_failed(web)
    assert changed(converge()) == 0
    # And the run that was cut off can be made.
    converge(*new)
    assert live(web) != before
    assert "incoming" not in web.check_output("ls -A /opt/flask/hello/releases")
    converge()


def new_release(tmp_path, more="# new\n", ballast=0):
    """Return flask_apps with another hello; with some MiB of ballast, so that copying it takes a while."""
    source = tmp_path / f"hello-{len(more)}-{ballast}"
    if not source.exists():
        source.mkdir()
        for path in (PROJECT / "files" / "hello").iterdir():
            if path.is_file():
                (source / path.name).write_bytes(path.read_bytes())
        (source / "app.py").write_text(more + (source / "app.py").read_text())
        for number in range(ballast):
            (source / f"ballast-{number}").write_bytes(os.urandom(1 << 20))
    return apps(source=str(source))
