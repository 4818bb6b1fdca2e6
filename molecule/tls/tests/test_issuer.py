"""An issuer that asks for an account of its own outside ACME, and names that are shown to be ours by DNS."""

import json

import pytest

from tests.support import address_of, apps, changed, converge, eventually, host, playbook, refused, variables
from tests.tls import BALANCERS, CLIENT, ROOT, shake, write

ACME = "acme"
DIRECTORY = f"https://{address_of(ACME)}:14001/dir"
KID, KEY = "anna", "fjE8IaFK3QCw-j-9NMvg6nEqtt_RzoHe0JJ7A8Bg-lgHjZk2rbXfDl7-Gb8dDbn1"
HOOK = "/usr/local/sbin/dns-hook"
# What somebody's own would do with the interface of his name server.
SCRIPT = f"""#!/bin/sh
name="_acme-challenge.$CERTBOT_DOMAIN."
curl --silent --fail --data "{{\\"host\\": \\"$name\\", \\"value\\": \\"$CERTBOT_VALIDATION\\"}}" \\
  "http://{address_of(ACME)}:8055/$1-txt"
"""
NAMES = ["*.hello.test", "hello.test"]


@pytest.fixture(scope="module", autouse=True)
def issuer():
    """Run a second pebble that asks for such accounts, beside the name server, which leads all names nowhere."""
    settings = {
        "listenAddress": "0.0.0.0:14001", "managementListenAddress": "0.0.0.0:15001", "certificate": "/etc/server.pem",
        "privateKey": "/etc/server.key", "httpPort": 80, "tlsPort": 443, "externalAccountBindingRequired": True,
        "externalAccountMACKeys": {KID: KEY},
    }  # fmt: skip
    web = host(ACME)
    write(ACME, "/etc/binding.json", json.dumps({"pebble": settings}))
    web.check_output(
        "systemd-run --quiet --unit=binding --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0 "
        "pebble -config /etc/binding.json -dnsserver 127.0.0.1:8053"
    )
    nowhere = 'curl --silent --fail --data \'{"ip": "192.0.2.1"}\' http://127.0.0.1:8055/set-default-ipv4'
    web.check_output(nowhere)
    roots = "curl --silent --fail --insecure https://127.0.0.1:15001/roots/0"
    write(CLIENT, ROOT, eventually(lambda: web.run(roots).stdout, what="the issuer"), mode="644")
    for name in BALANCERS:
        write(name, HOOK, SCRIPT, mode="755")
    yield
    web.check_output("systemctl stop binding.service")


def settings(**more):
    found = apps()
    found[1] |= {"hostnames": NAMES}
    how = {"hook": f"{HOOK} set", "cleanup_hook": f"{HOOK} clear"}
    return variables(flask_apps=found, haproxy_acme={"directory": DIRECTORY, **how, **more})


def test_account_that_is_not_bound_is_refused():
    refused(playbook(*settings()), "does not register an account", "external", "Fix: haproxy_acme")
    # The site is up all the same, with a certificate that nobody trusts.
    asked = f"curl --silent --fail --insecure --resolve hello.test:443:{address_of(BALANCERS[0])} https://hello.test/"
    assert "Hello" in host(BALANCERS[0]).check_output(asked)


def test_wildcard_is_issued_by_dns():
    output = converge(*settings(eab_kid=KID, eab_hmac_key=KEY))
    assert KEY not in output
    for name in BALANCERS:
        found = shake(name, *({"name": one, "path": "/"} for one in ("shop.hello.test", "hello.test")))
        assert [one.get("status") for one in found] == [200, 200], found
    # The timer's way, with the hooks that certbot has remembered.
    web = host(BALANCERS[0])
    before = shake(BALANCERS[0], "hello.test")[0]["serial"]
    web.check_output("certbot renew --quiet --no-random-sleep-on-renew --force-renewal --cert-name haproxy-hello")
    assert shake(BALANCERS[0], "hello.test")[0]["serial"] != before
    assert changed(converge(*settings(eab_kid=KID, eab_hmac_key=KEY))) == 0
