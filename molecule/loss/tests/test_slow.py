"""Ordinary traffic that is hard on a site: slow clients, answers that take long, requests that kill, early answers."""

import contextlib
import itertools
import json
import statistics as numbers
import time

import pytest

from tests.probe import copy_of_probe, in_rotation, nothing_lost, running, statistics
from tests.support import (
    Load,
    Once,
    Script,
    address_of,
    addresses,
    apps,
    converge,
    eventually,
    hosts_of,
    variables,
)

WEB = hosts_of("app_servers")[0]
CLIENT = hosts_of("clients")[0]
# An ordinary client: each request on a connection of its own. It waits longer than HAProxy's queue lets it.
ORDINARY = {"rate": 20.0, "kept_share": 0.0, "timeout": 15.0}
QUEUE = 10.0
# Not in `make test`, but in `make test-rest`.
at_length = pytest.mark.long


@pytest.fixture(autouse=True)
def calm(web):
    """Have all instances in rotation after each test, none of them still at what it was asked."""
    yield
    eventually(lambda: len(in_rotation(web)) == 3, within=180, what="all instances in rotation")
    eventually(lambda: not any(busy(web, "now")), what="instances without work")


@pytest.fixture
def back():
    """Have the hosts on what the inventory says after a test that changes it."""
    yield
    converge()


@pytest.fixture(scope="module")
def quiet(web):
    """Return what an ordinary client sees when nobody else is there."""
    assert len(in_rotation(web)) == 3
    with Load(WEB, **ORDINARY) as load:
        time.sleep(15)
    return load


@contextlib.contextmanager
def crowd(sources: str, **kinds: int):
    """Have slow clients, from one address or from many; nothing is proven where they were not there."""
    with contextlib.ExitStack() as stack:
        many = stack.enter_context(addresses(CLIENT, WEB, range(101, 151))) if sources == "many addresses" else []
        script = Script(
            CLIENT,
            "slow.py",
            "--seconds=600",
            f"--address={address_of(WEB)}",
            "--host=probe.test",
            f"--crowd={','.join(f'{kind}={number}' for kind, number in kinds.items())}",
            f"--sources={','.join(many)}",
        )
        with script:
            yield script
    print(script.report)


def there(script, **kinds):
    """Require that as many as were sent were there: nine in ten of them half of the time."""
    for kind, number in kinds.items():
        held = script.report["held"][kind]
        assert numbers.median(held) >= 0.9 * number, (kind, script.report["ended"], held)


def busy(web, what):
    """Return how many requests of /sleep each instance works on ("now"), or ever worked on at a time ("most")."""
    found = web.check_output("curl --silent --fail 'http://127.0.0.1:[6001-6003]/busy'")
    return [json.loads(line)[what] for line in found.splitlines()]


def shared_out(web):
    """Return what HAProxy logged of the last requests of /sleep: which instance each went to, and what came of it."""
    return web.run("journalctl --unit=haproxy --output=cat --no-pager --lines=100 | grep /sleep/").stdout


def restarts(web):
    """Return how often systemd has restarted an instance, all instances together."""
    shown = web.check_output("systemctl show --property=NRestarts --value 'flask-probe@*.service'")
    return sum(int(line) for line in shown.split())


def several(load):
    """Write how many times the quiet client's a time is."""
    return f"99 % within {load.report.p99 * 1000:.0f} ms"


CROWDS = {
    "50 slow uploads, 50 slow downloads, 2,000 slow headers": {"uploads": 50, "downloads": 50, "headers": 2000},
    "50 slow uploads from their first byte": {"trickles": 50},
    "50 slow chunked uploads": {"chunked": 50},
    "50 slow downloads of 50 MB from a generator": {"streams": 50},
}
# What has not sent a body that fits into a buffer within `timeout http-request` is answered 408, and comes again.
TURNED_AWAY = {"trickles", "headers"}


# Two checks of HAProxy that a busy machine has come late are a server down; by chance it is not so twice.
@pytest.mark.flaky(reruns=1)
@pytest.mark.parametrize("sources", ["one address", pytest.param("many addresses", marks=at_length)])
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(kinds, marks=at_length if number else [], id=name)
        for number, (name, kinds) in enumerate(CROWDS.items())
    ],
)
def test_slow_clients(web, account, request, quiet, kinds, sources):
    down = {name: int(row["chkdown"]) for name, row in statistics(web).items()}
    with crowd(sources, **kinds) as script, Load(WEB, **ORDINARY) as load:
        time.sleep(30)
    name = request.node.callspec.id.removesuffix(f"-{sources}")
    account(f"{name}, from {sources}", load, f"at 20 requests a second; quiet: {several(quiet)}")
    nothing_lost(load)
    assert load.report.worst < QUEUE
    there(script, **kinds)
    # Nobody's slowness is taken for an instance's, and who was served was served.
    for kind in set(kinds) - TURNED_AWAY:
        assert script.report["ended"][kind] == {}
    for kind in set(kinds) & {"downloads", "streams"}:
        assert script.report["received"][kind] > 0.5 * kinds[kind] * 20_000 * 30
    assert {name: int(row["chkdown"]) for name, row in statistics(web).items()} == down


def test_uploads_on_one_connection(account, quiet):
    """HTTP/2 is not spoken on port 80: one connection may not hold as many places as it likes."""
    with crowd("one address", h2=1) as script, Load(WEB, **ORDINARY) as load:
        time.sleep(15)
    account("12 slow uploads on one HTTP/2 connection", load, f"at 20 requests a second; quiet: {several(quiet)}")
    nothing_lost(load)
    ended = script.report["ended"]["h2"]
    assert sum(ended.values()) > 3
    assert {outcome for outcome in ended if not outcome.startswith("answered 4")} <= {"closed"}


@at_length
@pytest.mark.usefixtures("back")
def test_deploy_beside_slow_clients(web, account, tmp_path):
    """Who is slow is waited for as long as `drain_timeout` and `stop_timeout` say; others notice nothing."""
    kinds = {"uploads": 50, "downloads": 50, "headers": 2000}
    before = running(web, 1)["APP_DEPLOYMENT"]
    with crowd("many addresses", **kinds) as script, Load(WEB, timeout=15.0) as load:
        time.sleep(2)
        converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path), drain_timeout=5, stop_timeout=5)))
    account("deploy of changed code beside 2,100 slow clients", load)
    nothing_lost(load)
    there(script, **kinds)
    assert len({running(web, number)["APP_DEPLOYMENT"] for number in (1, 2, 3)} | {before}) == 2


@at_length
@pytest.mark.usefixtures("back")
def test_deploy_of_a_single_instance_beside_slow_clients(web, account, tmp_path):
    """Who is slow has as long as `stop_timeout` says; meanwhile the instance that is to end answers others."""
    kinds = {"uploads": 5, "downloads": 5}
    alone = {"instances": 1, "stop_timeout": 30}
    converge(*variables(flask_apps=apps(**alone)))
    before = running(web, 1)["APP_DEPLOYMENT"]
    with crowd("one address", **kinds) as script, Load(WEB, timeout=15.0) as load:
        time.sleep(2)
        converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path), **alone)))
    account("deploy of changed code, an app with a single instance, beside 10 slow clients", load)
    nothing_lost(load)
    there(script, **kinds)
    assert running(web, 1)["APP_DEPLOYMENT"] != before


def test_threads_are_what_runs_at_a_time(web):
    """Many may be connected; of the app's code as many run as it has threads for."""
    assert Once("together", of=WEB, path="/sleep/0.5", times=60, timeout=60).answer() == {"204": 60}
    assert busy(web, "most") == [4, 4, 4]


# As in test_loss.py: what dies with a process is a matter of chance.
@pytest.mark.flaky(reruns=1)
@pytest.mark.parametrize(
    "rate", [20.0, pytest.param(200.0, marks=at_length)], ids=["at 20 requests a second", "at 200 requests a second"]
)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=at_length)], ids=["once", "once a second for 30 s"])
def test_poison(web, account, request, times, rate):
    """A GET that kills the instance that works on it is tried on one other, not on all; the GETs of others are answered."""
    before = restarts(web)
    # So many connections that the rate is kept while all three instances start.
    with Load(WEB, rate=rate, post_share=0.0, timeout=15.0, connections=200) as load:
        poisoned = []
        for _ in range(times):
            poisoned.append(Once("together", of=WEB, path="/poison"))
            time.sleep(1)
        statuses = {status for asked in poisoned for status in asked.answer()}
        eventually(lambda: len(in_rotation(web)) == 3, within=90, what="all instances back in the rotation")
    time.sleep(2)
    died = restarts(web) - before
    how = request.node.callspec.id.replace("-", ", ")
    account(f"a GET that kills its instance, {how}", load, f"{died} instances died")
    assert times <= died <= 2 * times
    assert statuses <= {"502", "503"}
    failed = load.report.failed
    if times == 1:
        # The first instance may hold a GET of 0.3 s when it dies, and the second as well.
        assert failed == len(load.report.failures) <= times
        assert all(failure["slow"] for failure in load.report.failures), load.report
    else:
        # With two instances killed each second, a GET meets two that die now and then; the more, the slower they start.
        assert failed <= load.report.sent * (0.05 if rate < 100 else 0.25), load.report


# Twice the time: where a balancer shares twelve requests out as 5, 4 and 3, one of them waits for a thread first. HAProxy
# wants a reload to leave such an answer its time.
LONG = {"flask_apps": apps(answer_timeout=170), "haproxy_hard_stop_after": "180s"}
ANSWERS = {"the default time-out": ({}, "504"), "answer_timeout 170": (LONG, "204")}


@at_length
@pytest.mark.usefixtures("back")
@pytest.mark.parametrize(("change", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_answers_of_75_seconds(web, change, expected):
    """They take all threads, for longer than HAProxy waits or not: no instance is taken for a dead one."""
    converge(*variables(**change))
    down = {name: int(row["chkdown"]) for name, row in statistics(web).items()}
    others = []
    first = Once("together", of=WEB, path="/sleep/75.0", times=12, timeout=200)
    time.sleep(2)
    for _ in range(5):
        others.append(Once("together", of=WEB, path="/", timeout=200))
        assert len(in_rotation(web)) == 3
        time.sleep(5)
    assert first.answer() == {expected: 12}, shared_out(web)
    # HAProxy has answered; without the key the threads still sleep.
    second = Once("together", of=WEB, path="/sleep/75.0", times=12, timeout=200)
    for _ in range(5):
        others.append(Once("together", of=WEB, path="/", timeout=200))
        assert len(in_rotation(web)) == 3
        time.sleep(5)
    assert second.answer() == {expected: 12}, shared_out(web)
    statuses = {status for asked in others for status in asked.answer()}
    # Who comes meanwhile waits, and is answered or told so.
    assert statuses <= {"200", "503", "504"}
    assert {name: int(row["chkdown"]) for name, row in statistics(web).items()} == down
    # And then it is over, by itself.
    eventually(lambda: not any(busy(web, "now")), what="instances without work")
    with Load(WEB, **ORDINARY) as load:
        time.sleep(5)
    nothing_lost(load)


HANDS = {
    "systemctl restart": "systemctl restart flask-probe@%s.service",
    "SIGTERM": "systemctl kill --signal=TERM flask-probe@%s.service",
}


@pytest.mark.parametrize(
    "command", [pytest.param(HANDS["systemctl restart"], marks=at_length), HANDS["SIGTERM"]], ids=HANDS
)
def test_restart_by_hand(web, account, request, command):
    """What an instance holds it finishes, and what comes meanwhile waits in its socket, which is systemd's."""
    with Load(WEB, timeout=15.0) as load:
        for count in range(6):
            number = str(count % 3 + 1)
            show = f"systemctl show --property=MainPID --value flask-probe@{number}.service"
            before = web.check_output(show)
            web.check_output(command, number)
            eventually(
                lambda show=show, before=before: web.check_output(show) not in (before, "0"), what="another process"
            )
            health = f"curl --silent --fail http://127.0.0.1:600{number}/health"
            eventually(lambda health=health: web.run(health).rc == 0, what="the instance answering again")
            time.sleep(1)
    account(f"{request.node.callspec.id} of an instance by hand, six times", load)
    nothing_lost(load)


@pytest.fixture
def mallory(web):
    """Have an ordinary user on the host of the apps."""
    web.check_output("id mallory >/dev/null 2>&1 || useradd --shell /bin/sh mallory")
    yield "mallory"
    web.run("userdel mallory")


@at_length
@pytest.mark.usefixtures("back")
@pytest.mark.parametrize("event", ["deploy", "kills"])
def test_nobody_else_takes_a_port(web, mallory, tmp_path, event):
    ports = ["6001", "6002", "6003"]
    with Script(WEB, "squat.py", "--seconds=600", *ports, user=mallory) as squatter:
        if event == "deploy":
            converge(*variables(flask_apps=apps(source=copy_of_probe(tmp_path))))
        else:
            for count in range(9):
                web.check_output("systemctl kill --signal=KILL flask-probe@%s.service", str(count % 3 + 1))
                time.sleep(1)
    assert squatter.began["user"] == int(web.check_output("id -u mallory")) != 0
    assert squatter.report["tried"] > 10_000, squatter.report
    assert squatter.report["taken"] == [], squatter.report
    eventually(lambda: len(in_rotation(web)) == 3, what="all instances in the rotation")


@pytest.mark.parametrize("read", ["first", "last"])
def test_early_answer(read):
    """An answer without having read the upload reaches who reads after all is sent, and who reads at once."""
    assert Once("early", of=WEB, path="/refuse", size=20_000_000, times=50, read=read).answer() == {"401": 50}


@at_length
@pytest.mark.usefixtures("back")
def test_largest_body():
    converge(*variables(flask_apps=apps(max_body="10M")))
    for read in ("first", "last"):
        assert Once("early", of=WEB, path="/upload", size=20_000_000, times=50, read=read).answer() == {"413": 50}
        assert Once("early", of=WEB, path="/upload", size=10 * 1024**2, times=5, read=read).answer() == {"200": 5}
        assert Once("early", of=WEB, path="/upload", size=10 * 1024**2 + 1, times=5, read=read).answer() == {"413": 5}


@at_length
def test_events_come_when_they_are_made(record_property):
    """Each is there before the next one is made, a tenth of a second later; one hiccup of the machine decides nothing."""
    found = Once("events", of=WEB, path="/events/41").answer()
    assert len(found) == 41
    late = [came - made for made, came in found]
    record_property("median lateness", numbers.median(late))
    print(f"events are late by {numbers.median(late) * 1000:.1f} ms (median), {max(late) * 1000:.1f} ms (most)")
    in_time = sum(came < made for (_, came), (made, _) in itertools.pairwise(found))
    assert in_time >= 36, late
