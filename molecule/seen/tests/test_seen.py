"""What the playbooks that only look say of two balancers and two app hosts, healthy and with things broken by hand."""

import json
import os
import re
import subprocess
import uuid

import pytest

from tests.probe import copy_of_probe, in_rotation, order
from tests.support import INVENTORY, PROJECT, apps, ask, converge, eventually, host, hosts_of, variables

SERVERS = [f"probe/{name}-{number}" for number in (1, 2) for name in hosts_of("app_servers")]
DEPLOYMENT = "$(basename $(readlink /opt/flask/{app}/instances/{number}))"


def look(name, *extra, callback="flask_haproxy.deploy.story", more=()):
    """Run a playbook that looks, as a user does, and return it, finished."""
    command = ["ansible-playbook", f"--inventory={INVENTORY}", *more, f"playbooks/{name}.yml"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment |= {"ANSIBLE_STDOUT_CALLBACK": callback, "ANSIBLE_HOME": os.environ.get("ANSIBLE_HOME", "~/.ansible")}
    words = [word for one in extra for word in ("--extra-vars", one)]
    return subprocess.run([*command, *words], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def report(name, *extra, **options):
    """Return what a program is told, and the exit status."""
    done = look(name, "format=json", *extra, **options)
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout), done.returncode


def copied(app, number, name, version=""):
    """Return commands that point an instance at a copy of its deployment, perhaps of another version."""
    was, folder = DEPLOYMENT.format(app=app, number=number), f"/opt/flask/{app}"
    commands = [f"was={was}", f"cd {folder}/deployments", f"echo $was > /root/{name}", f"cp -a $was {name}"]
    commands += [f"sed -i s/$was/{name}/ {name}/env"]
    if version:
        commands += [f'sed -i \'s/"version": "[^"]*"/"version": "{version}"/\' {name}/deployment.json']
    return "; ".join([*commands, f"ln -sfn ../deployments/{name} {folder}/instances/{number}"])


def uncopied(app, number, name):
    """Return commands that undo that."""
    folder = f"/opt/flask/{app}"
    return f"ln -sfn ../deployments/$(cat /root/{name}) {folder}/instances/{number}; rm -r {folder}/deployments/{name}"


LOCK = {"who": "anna@laptop", "what": "ansible-playbook site.yml", "pid": 1, "machine": "x", "token": "x", "until": 4e9}
LOCK |= {"since": "2026-01-01 00:00:00 +0000"}
DRAINED = {"hello/app1-2": {"who": "anna@laptop", "since": "2026-01-01T00:00:00+0000"}}
OUT_OF_MEMORY = r"MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef\nMESSAGE=killed\nUNIT=flask-probe@1.service\n"
ALTERED = "/opt/flask/probe/instances/2/release/app/app.py"
CONFIG, UNITS = "/etc/haproxy/haproxy.cfg", "/etc/systemd/system"
# On which host what is done and undone, and what is found; the order is that of the commands.
FAULTS = [
    ("app1", "systemctl stop flask-probe@1.socket flask-probe@1.service", "systemctl start flask-probe@1.service",
     "app1: flask-probe@1.service is inactive (dead)"),
    ("app1", "systemctl kill --signal=STOP flask-hello@1.service", "systemctl kill --signal=CONT flask-hello@1.service",
     "lb1, lb2: server hello/app1-1 is DOWN"),
    ("app1", f"mkdir -p {UNITS}/flask-hello@2.service.d; echo '[Service]' > {UNITS}/flask-hello@2.service.d/override.conf; "
     "systemctl daemon-reload", f"rm {UNITS}/flask-hello@2.service.d/override.conf; systemctl daemon-reload",
     "app1: flask-hello@2.service was changed by hand: /etc/systemd/system/flask-hello@2.service.d/override.conf"),
    ("app1", "mkdir -p /opt/flask/old/deployments", "rm -r /opt/flask/old",
     "app1: app old, of which files are left is there and in no list of the inventory"),
    ("app2", copied("probe", 1, "aaaaaaaaaaaa"), uncopied("probe", 1, "aaaaaaaaaaaa"),
     "app2: probe/app2-1 runs deployment"),
    ("app2", copied("hello", 2, "bbbbbbbbbbbb", "other") + "; systemctl restart flask-hello@2.service",
     uncopied("hello", 2, "bbbbbbbbbbbb") + "; systemctl restart flask-hello@2.service",
     "all: the instances of hello are on 2 versions"),
    ("app2", f"echo 'not healthy' > /opt/flask/hello/deployments/{DEPLOYMENT.format(app='hello', number=1)}/bad",
     "rm /opt/flask/hello/deployments/*/bad", "app2: hello is on deployment"),
    ("app2", f"printf '{OUT_OF_MEMORY}' | logger --journald", "journalctl --quiet --rotate --vacuum-time=1s",
     "app2: the kernel killed a process of flask-probe@1.service for want of memory, 1 times"),
    ("app2", "systemd-run --quiet --unit=broken false", "systemctl reset-failed broken.service",
     "app2: broken.service has failed"),
    ("app2", "systemctl disable --quiet flask-probe@2.service", "systemctl enable --quiet flask-probe@2.service",
     "app2: flask-probe@2.service will not be started at boot"),
    ("app2", "systemctl mask --quiet flask-hello@1.service", "systemctl unmask --quiet flask-hello@1.service",
     "app2: flask-hello@1.service is masked"),
    # The release is another one when all is mended.
    ("app1", f"echo '# x' >> {ALTERED}", f"sed -i '/^# x$/d' {ALTERED}", "app1: probe runs from what was changed by hand: /opt/"),
    ("app1", "chmod 644 /opt/flask/hello/instances/2/env", "chmod 600 /opt/flask/hello/instances/2/env",
     "app1: others than root may read or write /opt/flask/hello/deployments/"),
    ("app2", "touch /run/reboot-required", "rm /run/reboot-required", "app2: a restart of the host is pending, for a package"),
    ("app2", f"echo '# x' >> {UNITS}/flask-probe@2.service.d/deployment.conf",
     f"sed -i '/^# x$/d' {UNITS}/flask-probe@2.service.d/deployment.conf; systemctl daemon-reload",
     "app2: the files of flask-probe@2.service have changed since systemd read them"),
    ("lb1", f"cp -a {CONFIG} /root; sed -i '$i # more' {CONFIG}; systemctl reload haproxy", f"cp -a /root/haproxy.cfg {CONFIG}",
     "lb1: /etc/haproxy/haproxy.cfg was changed by hand"),
    ("lb1", f"touch --date='+1 hour' {UNITS}/haproxy.service.d/sandbox.conf", f"touch {UNITS}/haproxy.service.d/sandbox.conf; "
     "systemctl daemon-reload; systemctl restart haproxy", "lb1: HAProxy's unit has changed since it was started"),
    ("lb1", f"echo '{json.dumps(LOCK)}' > /run/flask-deploy.lock", "rm /run/flask-deploy.lock",
     "lb1: the deploy lock is held since 2026-01-01 00:00:00 +0000 by anna@laptop"),
    ("lb1", f"echo '{json.dumps(DRAINED)}' > /etc/haproxy/drained.json", "rm /etc/haproxy/drained.json",
     "lb1: hello/app1-2 is out by hand since 2026-01-01T00:00:00+0000, by anna@laptop"),
    ("lb2", f"touch --date='+1 hour' {CONFIG}", f"touch {CONFIG}; systemctl reload haproxy",
     "lb2: /etc/haproxy/haproxy.cfg is younger than what HAProxy has loaded"),
    ("lb2", order("set server hello/app2-1 state drain"),
     order("set server hello/app2-1 state ready"), "lb2: server hello/app2-1 is drained or unchecked"),
    ("lb2", order("disable frontend http_front"), order("enable frontend http_front"),
     "lb2: the frontend http_front takes no connection"),
    ("lb2", order("set server hello/app2-2 state maint"), order("set server hello/app2-2 state ready"),
     "lb2: server hello/app2-2 is out, and by no run"),
    ("lb2", order("set weight probe/app2-2 0"), order("set weight probe/app2-2 1"),
     "lb2: server probe/app2-2 gets no new request"),
    ("lb1", "mv /etc/haproxy/maintenance.map /root", "mv /root/maintenance.map /etc/haproxy",
     "lb1: HAProxy would not load /etc/haproxy/haproxy.cfg again"),
    ("lb2", """echo '{"haproxy-x": {}}' > /etc/haproxy/acme.json""", "rm /etc/haproxy/acme.json",
     "lb2: certbot.timer does not run"),
    ("lb2", "mount -t tmpfs -o size=1m tmpfs /var/log/journal; head -c 1000000 /dev/zero > /var/log/journal/full",
     "umount /var/log/journal", "lb2: the disk of /var/log/journal has 4 % of its space left (4"),
    ("lb2", "systemctl disable --quiet haproxy", "systemctl enable --quiet haproxy",
     "lb2: haproxy.service will not be started at boot"),
]  # fmt: skip


def test_status_of_a_healthy_site():
    done = look("status")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100, done.stdout
    # A clone has a commit.
    assert re.fullmatch(r"probe(: [0-9a-f]{8} is commit [0-9a-f]{8}(\+changes)?)?", lines[0])
    assert re.match(r"app1-1 6001 active [0-9a-f]{8} \d+ \w+ UP UP L7OK 200 \d+ms \d+ \d+ \d+ 0 \d\dM", lines[2]), lines
    assert [line for line in lines if re.match(r"lb\d 2\.6\.\d+ .* 8 of 8 as loaded none free", line)] == lines[-2:]
    found, _ = report("status")
    assert len(found["instances"]) == 8
    assert {one["on"]["lb2"]["status"] for one in found["instances"]} == {"UP"}
    assert [found[what] for what in ("unlisted", "silent", "drained", "others")] == [[]] * 4


def test_what_is_healthy_has_nothing_wrong():
    done = look("doctor")
    assert (done.returncode, done.stdout) == (
        0, "Nothing is wrong: looked at 8 instances on 2 app hosts, 2 balancers.\n",
    )  # fmt: skip


def test_host_that_does_not_answer_is_a_row(tmp_path):
    (tmp_path / "hosts.yml").write_text("all: {hosts: {app2: {ansible_host: 10.213.26.99}}}")
    done = look("status", more=[f"--inventory={tmp_path}/hosts.yml"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^app2-1 +6001 +no answer +UP +UP ", done.stdout, re.MULTILINE)
    assert re.search(r"^No answer\n  app2: .*10\.213\.26\.99", done.stdout, re.MULTILINE)
    found, status = report("doctor", more=[f"--inventory={tmp_path}/hosts.yml"])
    assert [(one["level"], one["host"]) for one in found] == [("critical", "app2")]
    assert status == 2


@pytest.mark.parametrize("callback", ["flask_haproxy.deploy.story", "default"])
def test_way_of_a_request(callback):
    word = uuid.uuid4().hex
    ask([("GET", f"/say/{word}", [])], of="lb1")
    access = re.compile(rf"probe/(app\d)-(\d) .*\{{([0-9a-f-]+)\}} \"GET /say/{word}")
    found = eventually(lambda: access.search(look("logs", "app=probe", "since=-5min").stdout), what="its line")
    name, number, request = found.groups()
    lines = look("logs", f"request={request}", callback=callback).stdout.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("lb1 sent it"))
    assert re.fullmatch(rf"lb1 sent it to probe/{name}-{number}, which ended with 204 after \d+ ms\.", lines[begin])
    assert " lb1 " in lines[begin + 1]
    said = [line.split(f"[{request}] ")[1] for line in lines[begin + 2 : begin + 6]]
    assert all(f" {name} probe@{number} " in line for line in lines[begin + 2 : begin + 6])
    assert said[1:] == ["in two lines", f"printed {word}", f"written {word}"]
    assert said[0].endswith(f"logged {word}")


@pytest.mark.parametrize("callback", ["flask_haproxy.deploy.story", "default"])
def test_time_that_the_journal_does_not_know_is_no_success(callback):
    done = look("logs", "since=bla", callback=callback)
    assert done.returncode == 2
    for name in ("app1", "app2", "lb1", "lb2"):
        assert f"No answer of {name}: journalctl refused since: bla" in done.stdout


def test_lines_are_followed():
    words = [uuid.uuid4().hex, uuid.uuid4().hex]
    process = subprocess.Popen(
        ["ansible-playbook", f"--inventory={INVENTORY}", "playbooks/logs.yml", "--extra-vars", "follow=120 since=-1min"],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        # The second request is sent when the first one has been told.
        for word in words:
            ask([("GET", f"/say/{word}", [])], of="lb1")
            assert any(f"GET /say/{word}" in line for line in process.stdout)
    finally:
        process.terminate()
        process.communicate()


def test_each_of_many_faults_is_found_and_nothing_else(tmp_path):
    for name, fault, _, _ in FAULTS:
        host(name).check_output(fault)
    try:
        lb1 = host("lb1")
        down = "curl --silent 'http://127.0.0.1:8404/;csv' | grep '^hello,app1-1' | grep DOWN"
        eventually(lambda: all(host(name).run(down).rc == 0 for name in ("lb1", "lb2")), what="a server that is DOWN")
        found, status = report("doctor")
        lines = [f"{one['host']}: {one['what']}" for one in found]
        expected = [words for *_, words in FAULTS]
        missing = [words for words in expected if not any(line.startswith(words) for line in lines)]
        more = [line for line in lines if not any(line.startswith(words) for words in expected)]
        assert (missing, more, len(lines), status) == ([], [], len(FAULTS), 2)
        done = look("doctor", callback="default")
        assert done.returncode == 2
        assert f"{sum(one['level'] == 'critical' for one in found)} critical" in done.stdout
        assert lb1.run("systemctl is-active haproxy").stdout.strip() == "active"
    finally:
        for name, _, mend, _ in reversed(FAULTS):
            host(name).check_output(mend)
    converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path))))
    eventually(lambda: sorted(in_rotation(host("lb2"))) == sorted(SERVERS), what="all servers in rotation")
    host("lb2").check_output("systemctl disable --quiet haproxy")
    done = look("doctor")
    host("lb2").check_output("systemctl enable --quiet haproxy")
    assert done.returncode == 1, done.stdout
    assert done.stdout.startswith("WARNING   lb2: haproxy.service will not be started at boot"), done.stdout
    assert look("doctor").returncode == 0


def test_releases_say_what_was_deployed_and_where_a_rollback_goes():
    done = look("releases")
    assert done.returncode == 0, done.stderr
    found, _ = report("releases")
    new, old = found["apps"]["probe"][:2]
    assert len(new["on"]) == 4
    assert (new["rollback"], old["rollback"], old["on"]) == (False, True, [])
    assert new["by"] == found["runs"][0]["who"]
    assert found["runs"][0]["result"] == "done"
    deployment = old["deployments"]["app1"]
    assert re.search(rf"^{deployment} +{old['release'][:8]} .* a rollback goes here$", done.stdout, re.MULTILINE), (
        done.stdout
    )
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_way_to_the_stats_page_is_told():
    done = look("stats")
    assert re.search(
        r"lb2: http://127\.0\.0\.1:8405/ .* ssh -N -L 8405:localhost:8404 .*admin@10\.213\.26\.12", done.stdout
    )
