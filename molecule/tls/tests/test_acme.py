"""Certificates from an issuer: fetched by each balancer, whichever of them the issuer asks; renewed without the control node."""

import pytest

from tests.probe import nothing_lost
from tests.support import Load, address_of, apps, ask, changed, converge, eventually, host, playbook, refused, variables
from tests.tls import BALANCERS, CLIENT, ROOT, shake, write

ACME = "acme"
DIRECTORY = f"https://{address_of(ACME)}:14000/dir"
SETTINGS = variables(haproxy_acme={"directory": DIRECTORY, "email": "hostmaster@probe.test"})
# Without the control node: what the timer starts, with everything due.
RENEW = "certbot renew --quiet --no-random-sleep-on-renew --force-renewal"
# The issuer of this scenario refuses one nonce in ten; what certbot gives up for that, the next run of its timer renews.
RUNS = 5


def serial(of, name="probe.test"):
    return shake(of, name)[0].get("serial")


def leads_to(balancer):
    """Have all names lead to one balancer, for the issuer."""
    body = '{"ip": "%s"}'
    host(ACME).check_output(
        "curl --silent --fail --data %s http://127.0.0.1:8055/set-default-ipv4", body % address_of(balancer)
    )


def renewed(web):
    """Have all renewed now, in as many runs as the issuer's nonces want."""
    for _ in range(RUNS):
        done = web.run(RENEW)
        if done.rc == 0:
            return
        assert "anti-replay nonce" in done.stdout + done.stderr
    pytest.fail(done.stderr)


def renewed_without_hook(web):
    """Have certbot renew all while the program that gives it to HAProxy does not work."""
    program = "/usr/local/sbin/haproxy-acme"
    web.check_output("cp -p %s /root/haproxy-acme && ln -sf /bin/false %s", program, program)
    try:
        renewed(web)
    finally:
        web.check_output("rm %s && mv /root/haproxy-acme %s", program, program)


@pytest.fixture(scope="module")
def issued():
    """Have certificates issued; all names lead to the second balancer, so the first is answered for by it."""
    # Nothing of the tests before.
    leads_to(BALANCERS[1])
    converge(*SETTINGS)
    root = host(ACME).check_output("curl --silent --fail --insecure https://127.0.0.1:15000/roots/0")
    write(CLIENT, ROOT, root, mode="644")


@pytest.mark.usefixtures("issued")
def test_each_balancer_has_one_for_each_app():
    for name in BALANCERS:
        found = shake(name, *({"name": one, "path": "/"} for one in ("probe.test", "www.probe.test", "hello.test")))
        assert [one.get("status") for one in found] == [200, 200, 200], found
        assert found[0]["serial"] == found[1]["serial"] != found[2]["serial"]
    assert serial(BALANCERS[0]) != serial(BALANCERS[1])
    assert changed(converge(*SETTINGS)) == 0


@pytest.mark.usefixtures("issued")
def test_every_balancer_answers_every_token_and_nothing_else():
    paths = ["/.well-known/acme-challenge/abc_D-1", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/a/b"]
    found = [ask([("GET", path, [("Host", "hello.test")]) for path in paths], of=name) for name in BALANCERS]
    assert [[one["status"] for one in answers] for answers in found] == [[200, 308, 308]] * 2
    first, second = found[0][0]["body"], found[1][0]["body"]
    assert first == second
    assert first.startswith("abc_D-1.")
    assert len(first.partition(".")[2]) == 43


@pytest.mark.usefixtures("issued")
def test_renewed_under_load(record_property):
    before = [serial(name) for name in BALANCERS]
    leads_to(BALANCERS[0])
    with Load(BALANCERS[0], port=443, authority=ROOT, rate=100.0) as load:
        for _ in range(2):
            renewed(host(BALANCERS[0]))
    nothing_lost(load)
    record_property("requests over two renewals", load.report.sent)
    assert serial(BALANCERS[0]) != before[0]
    assert serial(BALANCERS[1]) == before[1]


@pytest.mark.usefixtures("issued")
def test_renewed_when_a_third_of_its_time_is_left():
    conf = host(BALANCERS[0]).check_output("cat /etc/letsencrypt/renewal/haproxy-probe.conf")
    # pebble's live for five years.
    assert conf.splitlines()[0] == f"renew_before_expiry = {int((157766400 - 1) / 3 / 3600)} hours", conf
    assert host(BALANCERS[0]).check_output("systemctl is-enabled certbot.timer") == "enabled"


@pytest.mark.usefixtures("issued")
def test_what_a_hook_has_missed_is_made_good_by_the_next_run_of_the_timer():
    web = host(BALANCERS[0])
    before = serial(BALANCERS[0])
    renewed_without_hook(web)
    assert serial(BALANCERS[0]) == before
    web.check_output("systemctl start certbot.service")
    assert serial(BALANCERS[0]) != before


@pytest.mark.usefixtures("issued")
def test_certificate_that_haproxy_would_refuse_replaces_none():
    web = host(BALANCERS[0])
    before, key = serial(BALANCERS[0]), "/etc/letsencrypt/live/haproxy-probe/privkey.pem"
    web.check_output(
        "cp %s /root/key && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s", key, key
    )
    checksum = web.check_output("sha256sum /etc/haproxy/certificates/*")
    try:
        assert web.run("systemctl start certbot.service").rc != 0
        assert "inconsistencies between private key and certificate" in web.check_output(
            "journalctl --unit=certbot.service --since=-1min --output=cat"
        )
        assert web.check_output("sha256sum /etc/haproxy/certificates/*") == checksum
        assert serial(BALANCERS[0]) == before
    finally:
        web.check_output("cat /root/key > %s", key)
    web.check_output("systemctl start certbot.service")


@pytest.mark.usefixtures("issued")
def test_deploy_and_renewal_keep_out_of_each_others_way():
    web, before = host(BALANCERS[0]), serial(BALANCERS[0])
    renewed_without_hook(web)
    held = '{"who": "anna", "what": "site.yml", "pid": 1, "since": "now", "token": "x", "until": 9999999999}'
    web.check_output("echo %s > /run/flask-deploy.lock", held)
    web.check_output("systemctl start --no-block certbot.service")
    assert web.run("timeout 4 systemctl start certbot.service").rc == 124
    assert serial(BALANCERS[0]) == before
    web.check_output("rm /run/flask-deploy.lock")
    web.check_output("systemctl start certbot.service")
    assert serial(BALANCERS[0]) != before


@pytest.mark.usefixtures("issued")
def test_another_name_is_issued_and_one_that_cannot_be_keeps_none_away():
    # The issuer's name server leads them nowhere.
    host(ACME).check_output(
        "curl --silent --fail --data %s http://127.0.0.1:8055/add-a",
        '{"host": "gone.test.", "addresses": ["10.213.25.99"]}',
    )
    found = apps(hostnames=["probe.test", "www.probe.test", "new.test"])
    found[1] |= {"hostnames": ["hello.test", "gone.test"]}
    before = serial(BALANCERS[0], "hello.test")
    refused(playbook(*variables(flask_apps=found), *SETTINGS), "No certificate for gone.test, hello.test", "gone.test")
    for name in BALANCERS:
        assert shake(name, {"name": "new.test", "path": "/"})[0].get("status") == 200
    assert serial(BALANCERS[0], "hello.test") == before


@pytest.mark.usefixtures("issued")
def test_account_that_haproxy_does_not_answer_for_is_seen_and_leaves_what_there_is():
    web, before = host(BALANCERS[0]), serial(BALANCERS[0])
    leads_to(BALANCERS[0])
    accounts = "/etc/letsencrypt/accounts"
    web.check_output("cp -a /etc/letsencrypt /root/letsencrypt && rm -r %s/*", accounts)
    try:
        register = "certbot register --quiet --agree-tos --register-unsafely-without-email --server %s"
        eventually(lambda: web.run(register, DIRECTORY).rc == 0, what="an account whose nonce was taken")
        other = web.check_output("basename %s/*/dir/*", accounts)
        web.check_output("sed -i 's/^account = .*/account = %s/' /etc/letsencrypt/renewal/*.conf", other)
        web.check_output(
            "sed -i 's/^renew_before_expiry.*/renew_before_expiry = 3000 days/' /etc/letsencrypt/renewal/*.conf"
        )
        log = "cat /var/log/letsencrypt/letsencrypt.log"

        def refused_for_the_account():
            assert web.run("systemctl start certbot.service").rc != 0
            return "key authorization" in web.check_output(log).lower()

        eventually(refused_for_the_account, what="a renewal whose nonces were taken")
        assert web.run("systemctl is-failed certbot.service").stdout.strip() == "failed"
        said = web.check_output("journalctl --unit=certbot.service --since=-5min --output=cat")
        assert "Failed to renew certificate haproxy-probe" in said
        assert serial(BALANCERS[0]) == before
        refused(playbook(*SETTINGS), "certbot on lb1, lb2 has different accounts with", "Fix: on all but one")
    finally:
        web.check_output("rm -r /etc/letsencrypt && mv /root/letsencrypt /etc/letsencrypt")
    web.check_output("systemctl start certbot.service")


@pytest.mark.usefixtures("issued")
def test_issuer_that_is_away_is_seen_and_leaves_what_there_is():
    web, before = host(BALANCERS[0]), serial(BALANCERS[0])
    host(ACME).check_output("systemctl stop pebble.service")
    # All are due, as the timer sees it.
    web.check_output(
        "sed -i 's/^renew_before_expiry.*/renew_before_expiry = 3000 days/' /etc/letsencrypt/renewal/*.conf"
    )
    with Load(BALANCERS[0], port=443, authority=ROOT, rate=50.0) as load:
        assert web.run("systemctl start certbot.service").rc != 0
    nothing_lost(load)
    assert web.run("systemctl is-failed certbot.service").stdout.strip() == "failed"
    assert "Failed to renew certificate haproxy-probe" in web.check_output(
        "journalctl --unit=certbot.service --since=-5min --output=cat"
    )
    assert serial(BALANCERS[0]) == before
