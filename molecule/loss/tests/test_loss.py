"""Budgets of loss: what may fail while something happens, most of the time nothing."""

import itertools
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from tests.probe import IN_AN_INSTANCE, copy_of_probe, in_rotation, nothing_lost, running, statistics, tried_again
from tests.support import (
    INVENTORY,
    PROJECT,
    Load,
    address_of,
    apps,
    changed,
    command_on,
    converge,
    eventually,
    hosts_of,
    playbook,
    refused,
    variables,
)

WEB = hosts_of("app_servers")[0]
# What repeats something, takes minutes, or wants the machine for itself: not in `make test`, but in `make test-rest`.
at_length = pytest.mark.long
# Seconds without any answer, of 200 requests a second: many times what is seen, so that no hiccup of the machine decides.
GAP = 2.0
# What a process held when it died is a matter of chance. A budget that was exceeded by chance is not exceeded twice.
chance = pytest.mark.flaky(reruns=1)


@pytest.fixture(autouse=True)
def calm(web):
    """Have all instances in rotation before each test, on what the inventory says."""
    yield
    if set(in_rotation(web)) != {"probe/web-1", "probe/web-2", "probe/web-3"}:
        converge()


def test_twenty_reloads(web, account):
    with Load(WEB) as load:
        for _ in range(20):
            web.check_output("systemctl reload haproxy.service")
            time.sleep(0.4)
    account("20 reloads of HAProxy", load)
    nothing_lost(load)


@pytest.mark.parametrize("what", ["code", pytest.param("environment", marks=at_length)])
def test_deploy(web, account, tmp_path, what):
    change = {"source": copy_of_probe(tmp_path)} if what == "code" else {"environment": {"COLOUR": "blue"}}
    before, releases = tried_again(web), running(web, 1)["APP_DEPLOYMENT"]
    with Load(WEB) as load:
        converge(*variables(flask_apps=apps(**change)))
    account(f"deploy of changed {what}", load)
    last = web.check_output("journalctl --identifier=flask-deploy --lines=1 --no-pager --output=cat")
    assert last.endswith("ends: done")
    nothing_lost(load)
    assert tried_again(web) == before
    assert load.report.longest_gap <= GAP
    assert len({running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} | {releases}) == 2
    # An instance was never sent a request without a thread for it, nor was one left out.
    assert set(load.report.servers) == {"web-1", "web-2", "web-3"}


def test_rollback(web, account, tmp_path):
    before = running(web, 1)
    converge(*variables(flask_apps=apps(environment={"COLOUR": "green"}, source=copy_of_probe(tmp_path), threads=6)))
    after = running(web, 1)
    assert after["COLOUR"] == "green"
    again = tried_again(web)
    with Load(WEB) as load:
        done = playbook(name="playbooks/rollback.yml")
    account("rollback", load)
    assert done.returncode == 0
    live = f"probe: {before['APP_DEPLOYMENT']} (release {before['APP_RELEASE']}) is live"
    assert live in " ".join(done.stdout.split())
    nothing_lost(load)
    assert tried_again(web) == again
    assert load.report.longest_gap <= GAP
    # Code, environment and settings.
    for number in (1, 2, 3):
        now = running(web, number)
        assert [now["APP_RELEASE"], now["APP_THREADS"]] == [before["APP_RELEASE"], "4"] != [after["APP_RELEASE"], "6"]
        assert now.get("COLOUR") == before.get("COLOUR") != "green"


@at_length
def test_rollback_back_and_forth_never_goes_to_what_failed(web, tmp_path):
    """A deployment that fails is marked, and neither direction ever goes there."""
    red = running(web, 1)
    converge(*variables(flask_apps=apps(environment={"COLOUR": "green"})))
    green = running(web, 1)
    sick = copy_of_probe(tmp_path, health="/nowhere")
    refused(playbook(*variables(flask_apps=apps(source=sick, start_timeout=20))), "not healthy after ", "is marked bad")
    for expected in (red, green):
        assert playbook(name="playbooks/rollback.yml").returncode == 0
        assert {running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} == {expected["APP_DEPLOYMENT"]}
    refused(
        playbook("--extra-vars", "deployment=0000", name="playbooks/rollback.yml"),
        "probe has no deployment 0000 that was live on web. Fix: one of",
    )


@at_length
def test_drain_by_hand(web, account):
    before = tried_again(web)
    with Load(WEB) as load:
        assert playbook("--extra-vars", "server=probe/web-2", name="playbooks/drain.yml").returncode == 0
        assert set(in_rotation(web)) == {"probe/web-1", "probe/web-3"}
        # It stays out through a reload, a crash of HAProxy's worker is the same, and a run.
        web.check_output("systemctl reload haproxy.service")
        converge(*variables(flask_apps=apps(environment={"COLOUR": "drained"})))
        assert set(in_rotation(web)) == {"probe/web-1", "probe/web-3"}
        assert running(web, 2)["COLOUR"] == "drained"
        done = playbook("--extra-vars", "server=probe/web-2 lift=true", name="playbooks/drain.yml")
        assert done.returncode == 0
        assert set(in_rotation(web)) == {"probe/web-1", "probe/web-2", "probe/web-3"}
    account("drain by hand, deploy, back in by hand", load)
    nothing_lost(load)
    assert load.report.longest_gap <= GAP
    assert tried_again(web) <= before
    refused(
        playbook("--extra-vars", "server=probe/web-9", name="playbooks/drain.yml"),
        "No server is probe/web-9",
        "probe/web-3",
    )


@at_length
def test_clients_that_come_back(web, account, tmp_path):
    """With `sticky`, a client stays with its instance for as long as that is in rotation, and loses nothing when it is not."""
    converge(*variables(flask_apps=apps(sticky=True)))
    plan = {"cookies": 1, "post_share": 0.0, "slow_share": 0.0}
    with Load(WEB, **plan) as load:
        time.sleep(3)
    nothing_lost(load)
    assert set(load.report.servers) == {"web-1", "web-2", "web-3"}
    assert moves(load) == 0
    with Load(WEB, **plan) as load:
        assert playbook("--extra-vars", "server=probe/web-2", name="playbooks/drain.yml").returncode == 0
        # It is out for the owners of its cookie as well: nobody would notice its death.
        web.check_output("systemctl kill --signal=KILL flask-probe@2.service")
        time.sleep(2)
        assert playbook("--extra-vars", "server=probe/web-2 lift=true", name="playbooks/drain.yml").returncode == 0
        again = variables(flask_apps=apps(sticky=True, source=copy_of_probe(tmp_path)))
        converge(*again)
        assert len(in_rotation(web)) == 3
    account("drain by hand, deploy, with clients that come back to their instance", load)
    nothing_lost(load)
    # Who lost its instance once, came to another one and stayed there for a while.
    assert 0 < moves(load) < load.report.sent / 10
    converge()


def moves(load):
    """Return how often a client of a load was answered by another instance than the time before."""
    return sum(
        before != after for servers in load.by_client().values() for before, after in itertools.pairwise(servers)
    )


@at_length
def test_scale(web, account):
    with Load(WEB) as load:
        converge(*variables(flask_apps=apps(instances=5)))
        assert len(in_rotation(web)) == 5
        converge(*variables(flask_apps=apps(instances=2)))
        assert len(in_rotation(web)) == 2
    account("from 3 instances to 5, to 2", load)
    nothing_lost(load)
    assert {"web-4", "web-5"} <= set(load.report.servers)
    assert web.run("systemctl is-active flask-probe@3.service").stdout.strip() == "inactive"
    converge()


@at_length
@pytest.mark.parametrize("port", [7001, 6002], ids=["elsewhere", "by one"])
def test_changed_port(web, account, port):
    with Load(WEB) as load:
        converge(*variables(flask_apps=apps(port=port)))
    account(f"ports from 6001 to {port}", load)
    nothing_lost(load)
    assert web.run("curl --silent --fail http://127.0.0.1:%s/health", str(port + 2)).rc == 0
    converge()
    assert web.run("curl --silent --fail http://127.0.0.1:6001/health").rc == 0


BAD = {
    "crashes at import": ("raise RuntimeError('not today')\n", {}, ["cannot be imported", "RuntimeError: not today"]),
    "is not healthy": (None, {"start_timeout": 20}, ["not healthy after ", "/health gives status 404", "back on"]),
    "exits when it is started": (
        IN_AN_INSTANCE + "print('no, thanks', flush=True); os._exit(3)\n",
        {"start_timeout": 20},
        ["exits as soon as it is started", "no, thanks", "back on"],
    ),
    "takes longer to start than it may": (
        IN_AN_INSTANCE + "time.sleep(600)\n",
        {"start_timeout": 15},
        ["not healthy after 15 s", "back on"],
    ),
}


@pytest.mark.parametrize(
    ("code", "change", "words"),
    [pytest.param(*bad, marks=[] if name == "is not healthy" else at_length, id=name) for name, bad in BAD.items()],
)
def test_bad_release(web, account, tmp_path, request, code, change, words):
    before = {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)}
    since = web.check_output("date +%s")
    source = copy_of_probe(tmp_path, health="/nowhere") if code is None else copy_of_probe(tmp_path, code)
    arguments = variables(flask_apps=apps(source=source, **change))
    with Load(WEB) as load:
        refused(playbook(*arguments), *words)
    account(f"new release {request.node.callspec.id}", load)
    said = web.check_output(
        "journalctl --identifier=flask-deploy --since=@%s --no-pager --output=cat", since
    ).splitlines()
    assert said[0].startswith("ansible-playbook site.yml by ")
    assert said[-1].endswith("ends: failed")
    nothing_lost(load)
    assert {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} == before
    assert len(in_rotation(web)) == 3
    # What is stopped ends, in whatever state it is; it is not waited for until systemd kills it.
    assert "timed out. Killing" not in web.check_output("journalctl --since=@%s --unit='flask-probe@*'", since)
    refused(playbook(*arguments), "was marked bad", "-e flask_app_force=true")


@at_length
def test_release_that_only_the_balancers_find_unhealthy(web, account, tmp_path):
    """It answers health on its host, but not to HAProxy's checks: no request may go there on trust."""
    before = {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)}
    # Our own question has this header, HAProxy's has not.
    source = copy_of_probe(
        tmp_path,
        hook="\n\n@app.before_request\ndef picky():\n"
        "    if request.path == '/health' and 'Accept-Encoding' not in request.headers:\n"
        "        return Response('', status=503)\n",
    )
    with Load(WEB) as load:
        refused(
            playbook(*variables(flask_apps=apps(source=source))),
            "probe/web-1: the checks of HAProxy have not found it healthy within 20 s: L7STS 503",
            "stopped at instance 1",
        )
    account("a release that only the balancers find unhealthy", load)
    nothing_lost(load)
    assert {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} == before
    assert len(in_rotation(web)) == 3


@at_length
def test_drained_is_drained_in_the_worker_that_a_reload_left_behind(web, account):
    """What is out may be killed: requests that came before a reload have ended as well."""
    # One in each instance, as nobody else asks; longer than the playbook takes, which would have waited by chance.
    # A GET would be tried again elsewhere.
    long = [subprocess.Popen(client_command("20", "POST"), stdout=subprocess.PIPE, text=True) for _ in range(3)]
    eventually(
        lambda: [statistics(web)[f"web-{number}"]["scur"] for number in (1, 2, 3)] == ["1"] * 3,
        what="one request in each",
    )
    with Load(WEB) as load:
        web.check_output("systemctl reload haproxy.service")
        try:
            assert playbook("--extra-vars", "server=probe/web-2", name="playbooks/drain.yml").returncode == 0
            web.check_output("systemctl kill --signal=KILL flask-probe@2.service")
            assert [process.communicate(timeout=90)[0] for process in long] == ["204"] * 3
            health = "curl --silent --fail http://127.0.0.1:6002/health"
            eventually(lambda: web.run(health).rc == 0, what="the instance answering again")
        finally:
            done = playbook("--extra-vars", "server=probe/web-2 lift=true", name="playbooks/drain.yml")
        assert done.returncode == 0
    account("reload, drain, SIGKILL of what is drained", load)
    nothing_lost(load)
    assert load.report.longest_gap <= GAP


@at_length
def test_what_waits_is_served_by_the_instance_that_comes_back(web, account, tmp_path):
    """The other instance of two is busy all the while, so requests wait in HAProxy when the first one is admitted."""
    # The queue's limit is not what this is about.
    patient = {"haproxy_timeout_queue": "30s"}
    converge(*variables(flask_apps=apps(instances=2, threads=2), **patient))
    slow_start = copy_of_probe(tmp_path, IN_AN_INSTANCE + "time.sleep(3)\n")
    arguments = variables(flask_apps=apps(instances=2, threads=2, source=slow_start), **patient)
    outcomes = []
    deploy = threading.Thread(target=lambda: outcomes.append(playbook(*arguments)))
    # A few wait in the busy instance, which has places for more than it has threads, until its long requests end.
    with Load(WEB, rate=20.0, timeout=30.0) as load:
        deploy.start()
        eventually(lambda: in_rotation(web) == ["probe/web-2"], what="the first instance out of the rotation")
        # As many as the other one may hold, until long after the first one is back.
        long = [subprocess.Popen(client_command("20"), stdout=subprocess.PIPE, text=True) for _ in range(2)]
        eventually(lambda: int(statistics(web)["web-2"]["scur"]) == 2, what="the other instance busy")
        deploy.join()
        assert [process.communicate(timeout=60)[0] for process in long] == ["204"] * 2
    account("of 2 instances one out, one busy until the other is back", load, "at 20 requests a second")
    assert outcomes[0].returncode == 0, outcomes[0].stdout
    nothing_lost(load)
    converge()


@pytest.mark.parametrize(
    "what", ["code", *(pytest.param(what, marks=at_length) for what in ("environment", "rollback"))]
)
def test_deploy_of_a_single_instance(web, account, tmp_path, what):
    """Nobody else can answer while it restarts: what comes then waits in its socket, which is systemd's."""
    converge(*variables(flask_apps=apps(instances=1)))
    before = running(web, 1)["APP_DEPLOYMENT"]
    change = {"environment": {"COLOUR": "single"}} if what == "environment" else {"source": copy_of_probe(tmp_path)}
    if what == "rollback":
        converge(*variables(flask_apps=apps(instances=1, **change)))
    with Load(WEB, timeout=15.0) as load:
        if what == "rollback":
            assert playbook(name="playbooks/rollback.yml").returncode == 0
        else:
            converge(*variables(flask_apps=apps(instances=1, **change)))
    now = running(web, 1)["APP_DEPLOYMENT"]
    kind = "rollback" if what == "rollback" else f"deploy of changed {what}"
    account(f"{kind}, an app with a single instance", load)
    nothing_lost(load)
    assert (now == before) == (what == "rollback")


@at_length
def test_changed_health_path(account, tmp_path):
    """What is live has to answer the path before the balancers ask for it."""
    new = {"source": copy_of_probe(tmp_path, health="/ready"), "health": "/ready"}
    with Load(WEB) as load:
        refused(
            playbook(*variables(flask_apps=apps(**new))),
            "health of probe is /ready, which what is live does not answer",
        )
    account("a health path that what is live does not answer", load)
    nothing_lost(load)


@at_length
def test_slow_start(account, tmp_path):
    source = copy_of_probe(tmp_path, IN_AN_INSTANCE + "time.sleep(20)\n")
    with Load(WEB) as load:
        converge(*variables(flask_apps=apps(source=source)))
    account("new release takes 20 s to start", load)
    nothing_lost(load)
    converge()


@chance
def test_long_requests(web, account):
    """As many requests of 6 seconds as there are instances, and then as many as there are threads."""
    down = {name: int(row["chkdown"]) for name, row in statistics(web).items()}
    with Load(WEB) as load:
        long = [subprocess.Popen(client_command("6"), stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.communicate(timeout=60)[0] for process in long] == ["204"] * 3
    account("3 requests of 6 s at once", load)
    nothing_lost(load)
    long = [subprocess.Popen(client_command("6"), stdout=subprocess.PIPE, text=True) for _ in range(12)]
    assert [process.communicate(timeout=60)[0] for process in long] == ["204"] * 12
    assert {name: int(row["chkdown"]) for name, row in statistics(web).items()} == down


def client_command(seconds, method="GET"):
    """Return a command that asks for an answer after some seconds and prints its status."""
    url = f"http://{address_of(WEB)}/sleep/{seconds}.0"
    options = (
        "--request",
        method,
        "--silent",
        "--output",
        "/dev/null",
        "--max-time",
        "60",
        "--write-out",
        "%{http_code}",
    )
    return command_on(hosts_of("clients")[0], "curl", *options, url)


def get_failures(load):
    """Return how many GETs failed that could have been tried again: not those of which half the answer was sent."""
    return sum(one.method == "GET" and one.cause not in ("", "IncompleteRead") for one in load.requests)


def kill_and_wait(web, number):
    """Kill an instance and wait until another process serves in its place: one at a time is what is claimed."""
    down = int(statistics(web)[f"web-{number}"]["chkdown"])
    web.check_output("systemctl kill --signal=KILL flask-probe@%s.service", str(number))
    health = f"curl --silent --fail http://127.0.0.1:{6000 + number}/health"
    eventually(lambda: web.run(health).rc == 0, what="the instance answering again")

    def back():
        # It is quicker than HAProxy's checks at times; then nobody has to bring it back.
        row = statistics(web)[f"web-{number}"]
        return row["status"] == "UP" and (int(row["chkdown"]) > down or time.monotonic() > began + 2)

    began = time.monotonic()
    eventually(back, what="the instance back in the rotation")


@chance
def test_killed_instances(web, account):
    # What waits in the socket of the killed one is answered when it is back, however long its start takes.
    with Load(WEB, timeout=15.0) as load:
        for count in range(10):
            number = count % 3 + 1
            kill_and_wait(web, number)
    account("SIGKILL of an instance, ten times", load)
    found = load.report
    assert get_failures(load) == 0, found
    # What an instance held when it died is lost, and a POST is not tried again; 4 is what it may hold.
    assert found.failed_by_method.get("POST", 0) <= 10 * 4, found
    assert found.doubled == 0
    assert found.lost == 0


@chance
@at_length
def test_hung_instance(web, account):
    with Load(WEB) as load:
        web.check_output("systemctl kill --signal=STOP flask-probe@2.service")
        began = time.monotonic()
        eventually(lambda: len(in_rotation(web)) == 2, what="the hung instance out of the rotation")
        out = time.monotonic() - began
        time.sleep(max(0.0, 20 - (time.monotonic() - began)))
        web.check_output("systemctl kill --signal=CONT flask-probe@2.service")
        eventually(lambda: len(in_rotation(web)) == 3, what="the instance back in the rotation")
    account("an instance hangs for 20 s", load, f"out after {out:.1f} s")
    found = load.report
    # No more than half of what was under way, which is 4 to 8 at this rate.
    assert found.failed <= 8, found
    assert found.doubled == 0
    # What the client sees: nobody waits for the hung instance later than 3 seconds after it hung.
    waited = [failure["at"] for failure in found.failures]
    assert not waited or max(waited) - min(waited) <= 3.0


@chance
@at_length
def test_instance_that_keeps_exiting(web, account):
    health = "curl --silent --retry 60 --retry-all-errors --retry-delay 1 --max-time 2 http://127.0.0.1:6003/health"
    loop = f"for i in $(seq 30); do systemctl kill --signal=KILL flask-probe@3.service; {health}; sleep 2; done"
    with Load(WEB) as load:
        web.check_output(f"timeout 600 sh -c '{loop}'")
        eventually(lambda: len(in_rotation(web)) == 3, within=60, what="the instance back in the rotation")
    account("an instance exits every 2 s for a minute", load)
    found = load.report
    assert get_failures(load) == 0, found
    assert found.doubled == 0
    assert web.service("flask-probe@3.service").is_running


def kill_in_rollout(web, *arguments):
    """Run site.yml and kill it, and all that it started on this machine, when it has put instance 1 on a deployment."""
    link = "readlink /opt/flask/probe/instances/1"
    before = web.check_output(link)
    command = ["ansible-playbook", f"--inventory={INVENTORY}", "site.yml", *arguments]
    environment = os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )  # fmt: skip
    try:
        eventually(lambda: web.check_output(link) != before, what="instance 1 on another deployment")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(timeout=20) == -signal.SIGKILL, "it had ended before"


@at_length
def test_control_node_killed(web, account, tmp_path):
    arguments = variables(flask_apps=apps(source=copy_of_probe(tmp_path)))
    assert playbook("--extra-vars", "server=probe/web-3", name="playbooks/drain.yml").returncode == 0
    with Load(WEB) as load:
        kill_in_rollout(web, *arguments)
        time.sleep(3)
        converge(*arguments)
        assert changed(converge("--check", *arguments)) == 0
        # What the dead run drained is back, what was drained by hand is not.
        assert set(in_rotation(web)) == {"probe/web-1", "probe/web-2"}
        assert playbook("--extra-vars", "server=probe/web-3 lift=true", name="playbooks/drain.yml").returncode == 0
    account("control node killed in a rollout, run again", load)
    nothing_lost(load)
    assert len({running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)}) == 1


@at_length
def test_run_after_a_killed_one_that_goes_on_at_the_host(web, account, tmp_path):
    """What a killed control node had begun on a host goes on there: the next run waits for its end, and puts back."""
    converge()
    before, again = running(web, 1)["APP_DEPLOYMENT"], tried_again(web)
    sick = variables(flask_apps=apps(source=copy_of_probe(tmp_path, health="/nowhere"), start_timeout=12))
    with Load(WEB) as load:
        kill_in_rollout(web, *sick)
        converge()
        assert "is back on" in web.check_output("journalctl --identifier=flask-deploy --lines=8 --no-pager")
        # Its instance comes back by itself.
        eventually(lambda: len(in_rotation(web)) == 3, what="all three in rotation")
    account("the same, a release that is undone meanwhile", load)
    nothing_lost(load)
    assert {running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} == {before}
    # Undone while it was out, not while it had requests.
    assert tried_again(web) == again


@at_length
def test_second_deploy_is_told_who_is_first(web, account, tmp_path):
    arguments = variables(flask_apps=apps(source=copy_of_probe(tmp_path)))
    outcomes = []
    with Load(WEB) as load:
        first = threading.Thread(target=lambda: outcomes.append(playbook(*arguments)))
        first.start()
        eventually(lambda: web.file("/run/flask-deploy.lock").exists, what="the lock of the first deploy")
        second = playbook(*arguments)
        first.join()
    account("two deploys at once", load)
    assert outcomes[0].returncode == 0
    refused(second, "has been deploying since", "nothing was changed", "sudo rm /run/flask-deploy.lock")
    nothing_lost(load)
    # A lock of another control node that is gone is lifted as the message says.
    other = json.dumps(
        {"who": "anna@elsewhere", "pid": 7, "since": "2026-01-01", "machine": "elsewhere", "token": "elsewhere/7/7"}
    )
    web.check_output("echo %s > /run/flask-deploy.lock", other)
    refused(playbook(), "anna@elsewhere (pid 7", "since 2026-01-01")
    web.check_output("rm /run/flask-deploy.lock")
    # One that runs out is waited for, in the words of the message.
    web.check_output("echo %s > /run/flask-deploy.lock", json.dumps(json.loads(other) | {"until": time.time() + 10}))
    converge("-e", "lock_wait=300")


@at_length
def test_full_disk(web, account, tmp_path):
    """The disk fills up while a release is unpacked."""
    before = {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)}
    there = web.check_output("ls /opt/flask/probe/libs /opt/flask/probe/releases").split()
    # A disk of its own, with a little more than is asked for beforehand, which something takes at once when the release
    # begins to arrive: by writing, it would at times be later than the release.
    free = "$(df --output=avail --block-size=1 /opt/flask | tail -n 1)"
    web.check_output(
        "cp --archive /opt/flask /root/flask && mount -t tmpfs -o size=700M tmpfs /opt/flask && "
        "cp --archive /root/flask/. /opt/flask/ && chmod 755 /opt/flask && "
        f"fallocate --length $(({free} - 260 * 1024 * 1024)) /opt/flask/before"
    )
    fill = (
        "for i in $(seq 60000); do ls -d /opt/flask/probe/libs/.incoming-* 2>/dev/null && break; sleep 0.01; done; "
        f"fallocate --length {free} /opt/flask/filler; dd if=/dev/zero of=/opt/flask/rest bs=4k 2>/dev/null"
    )
    web.check_output("systemd-run --quiet --unit=filler --collect sh -c %s", fill)
    try:
        with Load(WEB) as load:
            done = playbook(*variables(flask_apps=apps(source=copy_of_probe(tmp_path, dependencies=True))))
            output = refused(done, "No space left on device")
            assert "What runs is untouched" in output or "No instance was touched" in output
        account("disk full while a release is copied", load)
        nothing_lost(load)
        # Nothing half-unpacked stays; the dependencies may have been complete before the disk was full.
        left = web.check_output("ls -A /opt/flask/probe/libs /opt/flask/probe/releases").split()
        assert set(there) <= set(left)
        assert not [name for name in left if name.startswith(".")]
    finally:
        web.check_output("systemctl stop filler.service 2>/dev/null; umount --lazy /opt/flask; rm -r /root/flask")
    assert {number: running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} == before
    converge()


@chance
def test_killed_worker_of_haproxy(web, account):
    with Load(WEB) as load:
        worker = web.check_output(
            "pgrep --parent $(systemctl show --property=MainPID --value haproxy.service)"
        ).split()[0]
        web.check_output("kill -KILL %s", worker)
        time.sleep(3)
    account("HAProxy's worker killed", load)
    found = load.report
    assert found.longest_gap <= 2 * GAP, found
    assert (found.lost, found.doubled) == (0, 0)
    eventually(lambda: web.run("curl --silent --fail http://127.0.0.1:8404/").rc == 0, what="HAProxy back")
    eventually(lambda: len(in_rotation(web)) == 3, what="all three in rotation")


@chance
def test_reinstalled_package(web, account):
    with Load(WEB) as load:
        before = web.check_output("systemctl show --property=MainPID haproxy.service")
        web.check_output("DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --reinstall haproxy >/dev/null 2>&1")
        time.sleep(2)
    now = web.check_output("systemctl show --property=MainPID haproxy.service")
    account(
        "HAProxy's package reinstalled",
        load,
        "reloaded by the package" if now == before else "restarted by the package",
    )
    found = load.report
    assert (found.lost, found.doubled) == (0, 0)
    eventually(lambda: len(in_rotation(web)) == 3, what="all three in rotation")
