"""Who gets to an app, and by which name: maintenance, passwords, canonical names, names of all kinds."""

import time

import pytest

from tests.probe import nothing_lost
from tests.support import Load, address_of, apps, ask, changed, converge, eventually, host, playbook, refused, variables
from tests.tls import BALANCERS, CLIENT

PAGE = "<!doctype html><h1>We are painting the shop</h1>"
ANNA = ("Authorization", "Basic YW5uYTpzZWNyZXQ=")


@pytest.fixture(scope="module")
def access(tmp_path_factory):
    """Give the apps names of all kinds, a page, and a password."""
    page = tmp_path_factory.mktemp("page") / "page.html"
    page.write_text(PAGE)
    found = apps(
        hostnames=["probe.test", "www.probe.test", "Bücher.test."], canonical="probe.test",
        maintenance={"page": str(page), "allow": [address_of(BALANCERS[1])], "retry_after": 120},
    )  # fmt: skip
    hashed = host(CLIENT).check_output("openssl passwd -5 -salt %s secret", "rounds=1000$salt")
    found[1] |= {"hostnames": ["*.probe.test", "hello.test"], "auth": {"anna": hashed}, "rate_limit": "30/5s"}
    converge(*variables(flask_apps=found))
    return variables(flask_apps=found)


def statuses(of, *names, headers=()):
    return [one["status"] for one in ask([("GET", "/", [*headers, ("Host", name)]) for name in names], of=of)]


def maintenance(app, state):
    return playbook("--extra-vars", f"app={app} state={state}", name="playbooks/maintenance.yml")


@pytest.mark.usefixtures("access")
def test_canonical_name():
    requests = [
        ("GET", "/a?b", [("Host", name)]) for name in ("www.probe.test", "xn--bcher-kva.test.", "probe.test.:80")
    ]
    found = [(one["status"], one["headers"].get("location")) for one in ask(requests, of=BALANCERS[0])]
    assert found == [(308, "http://probe.test/a?b"), (308, "http://probe.test/a?b"), (404, None)]


@pytest.mark.usefixtures("access")
def test_password():
    names = ("a.probe.test", "hello.test", "hello.test", "a.b.probe.test")
    assert statuses(BALANCERS[0], *names) == [401, 401, 401, 200]
    assert statuses(BALANCERS[0], *names[:2], headers=[ANNA]) == [200, 200]
    wrong = ("Authorization", "Basic YW5uYTp3cm9uZw==")
    assert statuses(BALANCERS[0], "hello.test", headers=[wrong]) == [401]
    answer = ask([("GET", "/", [("Host", "hello.test")])], of=BALANCERS[0])[0]
    assert answer["headers"]["www-authenticate"] == 'Basic realm="hello"'
    assert host(BALANCERS[0]).check_output("stat --format %%a %s", "/etc/haproxy/haproxy.cfg") == "640"


@pytest.mark.usefixtures("access")
def test_one_address_has_so_many_requests_in_a_time():
    eventually(lambda: statuses(BALANCERS[0], "hello.test", headers=[ANNA]) == [200], what="room")
    forged = [("X-Forwarded-For", f"192.0.2.{number}") for number in range(40)]
    began = time.monotonic()
    found = ask([("GET", "/", [ANNA, one, ("Host", "hello.test")]) for one in forged], of=BALANCERS[0], keep_alive=True)
    # Six a second come free again.
    assert 10 <= [one["status"] for one in found].count(200) <= 30 + 6 * (time.monotonic() - began)
    assert {one["status"] for one in found} == {200, 429}
    # Other addresses and apps have their own.
    other = "curl --silent --output /dev/null --write-out '%%{http_code}' --user anna:secret -H 'Host: hello.test' http://%s/"
    assert host(BALANCERS[1]).check_output(other, address_of(BALANCERS[0])) == "200"
    assert set(statuses(BALANCERS[0], *["probe.test"] * 40)) == {200}
    eventually(lambda: statuses(BALANCERS[0], "hello.test", headers=[ANNA]) == [200], what="room again")


@pytest.mark.usefixtures("access")
def test_maintenance_of_one_app_leaves_the_other_alone():
    workers = [host(name).check_output("pgrep haproxy") for name in BALANCERS]
    with Load(BALANCERS[0], rate=100.0) as load:
        assert maintenance("hello", "on").returncode == 0
        for name in BALANCERS:
            assert statuses(name, "hello.test", headers=[ANNA]) == [503]
        again = maintenance("hello", "on")
        assert changed(again.stdout) == 0
        assert maintenance("hello", "off").returncode == 0
        for name in BALANCERS:
            assert statuses(name, "hello.test", headers=[ANNA]) == [200]
    nothing_lost(load)
    assert [host(name).check_output("pgrep haproxy") for name in BALANCERS] == workers


def test_maintenance_has_a_page_and_lets_through_and_survives(access):
    assert maintenance("probe", "on").returncode == 0
    try:
        converge(*access)
        host(BALANCERS[0]).check_output("systemctl restart haproxy.service")
        answer = eventually(lambda: ask([("GET", "/", [("Host", "probe.test")])], of=BALANCERS[0])[0], what="an answer")
        assert (answer["status"], answer["body"], answer["headers"]["retry-after"]) == (503, PAGE, "120")
        # The other balancer is let through, whatever anybody else says of himself.
        through = "curl --silent --output /dev/null --write-out '%%{http_code}' -H 'Host: probe.test' http://%s/"
        assert host(BALANCERS[1]).check_output(through, address_of(BALANCERS[0])) == "200"
        forged = ("X-Forwarded-For", address_of(BALANCERS[1]))
        assert statuses(BALANCERS[0], "probe.test", headers=[forged]) == [503]
    finally:
        assert maintenance("probe", "off").returncode == 0
    assert statuses(BALANCERS[0], "probe.test") == [200]


@pytest.mark.usefixtures("access")
def test_maintenance_of_what_there_is_not():
    refused(maintenance("shop", "on"), "app is 'shop', which no entry of flask_apps is called. Fix:")
    refused(maintenance("hello", "perhaps"), "state is perhaps. Fix:")


def test_page_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "page.html").write_text("x" * 20000)
    found = apps(maintenance={"page": str(tmp_path / "page.html")})
    refused(
        playbook(*variables(flask_apps=found)), "maintenance.page of probe is", "of 20000 bytes. Fix: at most 12288"
    )
