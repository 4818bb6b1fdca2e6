"""What certbot keeps on a balancer, and what a balancer has to have so that it can renew by itself."""

import json
import os
import subprocess
import sys

import pytest

from tests.authority import Authority
from tests.conftest import PROJECT, load
from tests.test_rooms import reached

acme = load("module_utils/haproxy_acme.py")
files = load("plugin_utils/balancer_files.py")
# The example of RFC 7638, section 3.1.
KEY = {
    "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
    "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9"
    "1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
}  # fmt: skip


@pytest.fixture
def letsencrypt(tmp_path, monkeypatch):
    monkeypatch.setattr(acme, "LETSENCRYPT", tmp_path)
    return tmp_path


def test_thumbprint_is_that_of_the_account_with_the_issuer(letsencrypt):
    folder = letsencrypt / "accounts" / "acme.test:14000" / "dir" / "0123"
    folder.mkdir(parents=True)
    (folder / "private_key.json").write_text(json.dumps(KEY))
    (folder / "regr.json").write_text("{}")
    found = acme.account("https://acme.test:14000/dir")
    assert sorted(found) == [f"acme.test:14000/dir/0123/{name}.json" for name in ("private_key", "regr")]
    assert acme.thumbprint(found) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert acme.account("https://other.test/dir") == {}
    assert acme.thumbprint({}) == ""


DIRECTORY = "https://acme.test:14000/dir"


def accounts(letsencrypt, *names, **renewed):
    """Put accounts there, and certificates with the account that each is renewed with."""
    for name in names:
        folder = letsencrypt / "accounts" / "acme.test:14000" / "dir" / name
        folder.mkdir(parents=True)
        (folder / "private_key.json").write_text(json.dumps(KEY))
    (letsencrypt / "renewal").mkdir()
    for name, account in renewed.items():
        conf = letsencrypt / "renewal" / f"{name.replace('_', '-')}.conf"
        conf.write_text(f"version = 2.1.0\n[renewalparams]\naccount = {account}\nserver = {DIRECTORY}\n")
    return [path.split("/")[2] for path in acme.account(DIRECTORY)]


def test_of_several_accounts_it_is_the_one_that_our_certificates_are_renewed_with(letsencrypt):
    found = accounts(letsencrypt, "a", "b", "c", haproxy_shop="b", haproxy_blog="b", mail="c", haproxy_old="gone")
    assert found == ["b"]


@pytest.mark.parametrize(
    ("renewed", "says"),
    [({}, "none of them"), ({"mail": "a"}, "none of them"), ({"haproxy_shop": "a", "haproxy_blog": "b"}, "a and b")],
)
def test_several_accounts_of_which_ours_is_not_known_are_refused(letsencrypt, renewed, says):
    with pytest.raises(acme.HostError) as refusal:
        accounts(letsencrypt, "b", "a", **renewed)
    assert str(refusal.value) == (
        f"certbot has 2 accounts with {DIRECTORY} (a, b), HAProxy answers for one, and its certificates are renewed with {says}. "
        f"Fix: on the balancer, move the others out of {letsencrypt}/accounts/acme.test:14000/dir, and `certbot delete` "
        "the certificates haproxy-… that are renewed with them."
    )


@pytest.mark.parametrize(("days", "hours"), [(90, 720), (45, 360), (6, 48)])
def test_renewed_when_a_third_of_its_time_is_left(letsencrypt, days, hours):
    live, renewal = letsencrypt / "live" / "haproxy-a", letsencrypt / "renewal"
    live.mkdir(parents=True)
    renewal.mkdir()
    (live / "cert.pem").write_text(Authority().issue("a.test", days=(0, days))[0])
    conf = renewal / "haproxy-a.conf"
    conf.write_text("# renew_before_expiry = 30 days\nversion = 2.1.0\n[renewalparams]\naccount = x\n")
    for _ in range(2):
        acme.renew_at_a_third("a")
        first, *rest = conf.read_text().splitlines()
        assert first == f"renew_before_expiry = {hours} hours"
        assert rest == ["version = 2.1.0", "[renewalparams]", "account = x"]


def test_lock_is_taken_only_where_there_is_something_to_do(letsencrypt, monkeypatch):
    calls = []
    monkeypatch.setattr(acme, "ACME", letsencrypt / "acme.json")
    monkeypatch.setattr(acme, "take", lambda *_: calls.append("take") or {})
    monkeypatch.setattr(acme, "give_back", lambda *_: calls.append("back"))
    monkeypatch.setattr(acme, "to_be_given", lambda: None)
    assert acme.main() == 0
    assert calls == []
    monkeypatch.setattr(acme, "to_be_given", lambda: True)
    monkeypatch.setattr(acme, "give_to_haproxy", lambda: calls.append("give") or "refused")
    assert acme.main() == 1
    assert calls == ["take", "give", "back"]


def test_program_on_a_balancer_is_whole(tmp_path):
    needed = reached(PROJECT / "plugins" / "module_utils" / "haproxy_acme.py")
    assert {path.stem for path in needed} | {"haproxy_acme"} == set(files.MODULES)
    # It runs with what is shipped, and nothing of Ansible.
    for path, text in files.host_files().items():
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("/usr/local/lib/haproxy-acme", str(tmp_path / "usr/local/lib/haproxy-acme")))
    code = (tmp_path / "usr/local/sbin/haproxy-acme").read_text().replace("sys.exit(main())", "print(main)")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.startswith("<function main"), done.stderr


BACKENDS = [
    {"name": "a", "hostnames": ["b.test", "a.test"]}, {"name": "c", "hostnames": []}, {"name": "d", "hostnames": ["d.test"]},
]  # fmt: skip


def test_each_app_has_a_certificate_of_its_own_until_which_one_stands_in():
    found = files.certificates([], BACKENDS, {"email": "a@b.test"}, {}.__getitem__, {})
    folder = "/etc/haproxy/certificates"
    assert found.acme == {
        "a": {"path": f"{folder}/acme-a.pem", "names": ["a.test", "b.test"]},
        "d": {"path": f"{folder}/acme-d.pem", "names": ["d.test"]},
    }
    assert (found.problems, found.files) == ([], {})
    assert found.paths == [one["path"] for one in found.acme.values()]
    assert set(found.stand_ins) == {*found.paths, "/etc/haproxy/maintenance.map"}


def test_page_of_an_app_goes_to_the_balancer_as_well():
    backends = [BACKENDS[0] | {"maintenance": {"page": "page.html"}}]
    for acme in ({}, {"email": "a@b.test"}):
        found = files.certificates([], backends, acme, {"page.html": "<h1>"}.__getitem__, {})
        assert (found.problems, found.files) == ([], {"/etc/haproxy/maintenance/a.html": "<h1>"})
    large = files.certificates([], backends, {}, {"page.html": "x" * 20000}.__getitem__, {})
    assert large.problems == [
        "maintenance.page of a is 'page.html', of 20000 bytes. Fix: at most 12288, images included."
    ]


def test_name_that_has_one_is_not_asked_for():
    authority = Authority()
    certificate, key = authority.issue("*.test")
    text = certificate + key + authority.intermediate + authority.root
    more = [*BACKENDS, {"name": "e", "hostnames": ["e.d.test", "e.test"]}]
    found = files.certificates([{"certificate": "x"}], more, {"email": "a@b.test"}, {"x": text}.__getitem__, {})
    assert found.problems == []
    assert found.acme == {"e": {"path": "/etc/haproxy/certificates/acme-e.pem", "names": ["e.d.test"]}}


def test_apps_on_one_host_name_share_a_certificate():
    # Issuers give out few of the same names: Let's Encrypt five a week.
    names = ["a.test", "www.a.test"]
    apps = [{"name": f"p{number}", "hostnames": names, "path": f"/{number}"} for number in range(6)]
    found = files.certificates(
        [], [*apps, {"name": "e", "hostnames": ["a.test", "e.test"]}], {"email": "a@b.test"}, {}.get, {}
    )
    folder = "/etc/haproxy/certificates"
    assert found.acme == {
        "p0": {"path": f"{folder}/acme-p0.pem", "names": names},
        "e": {"path": f"{folder}/acme-e.pem", "names": ["e.test"]},
    }
    assert (found.problems, found.paths) == ([], [f"{folder}/acme-p0.pem", f"{folder}/acme-e.pem"])


def test_what_no_issuer_would_give_is_refused():
    wild = [{"name": "a", "hostnames": ["*.a.test"]}]
    assert files.certificates([], wild, {"hook": "/usr/local/bin/dns"}, {}.__getitem__, {}).problems == []
    assert files.certificates([], wild, {"email": "a@b.test"}, {}.__getitem__, {}).problems == [
        "haproxy_acme: *.a.test of a can be had by DNS only. "
        "Fix: haproxy_acme.hook, or a certificate of one's own in haproxy_certificates."
    ]
    assert files.certificates([], BACKENDS[1:2], {"email": "a@b.test"}, {}.__getitem__, {}).problems == [
        "haproxy_acme: no app has hostnames that a certificate could be for. Fix: hostnames."
    ]


def certbot_saying(tmp_path, monkeypatch, *words):
    """Put a certbot in the path that fails with each of the words in turn and then does not, and return its runs."""
    runs = tmp_path / "runs"
    (tmp_path / "words").write_text("".join(f"{one}\n" for one in words))
    program = tmp_path / "certbot"
    program.write_text(
        f'#!/bin/bash\necho "$@" >> {runs}\nthis() {{ sed -n "$(wc -l < {runs})p" "{tmp_path}/$1" 2>/dev/null; }}\n'
        f'this logs >> {tmp_path}/letsencrypt.log\nsaid=$(this words)\n[ -z "$said" ] || {{ echo "$said" >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(acme, "LOG", tmp_path / "letsencrypt.log")
    return lambda: runs.read_text().splitlines()


NONCE = "JWS has an invalid anti-replay nonce: UkCK9X"
TIMER = "Another instance of Certbot is already running."


@pytest.mark.parametrize(
    ("words", "said", "times"),
    [
        ([], "", 1),
        ([NONCE, NONCE], "", 3),
        ([NONCE, "no such name"], "no such name", 2),
        ([NONCE] * 9, NONCE, acme.TRIES),
        ([TIMER, NONCE], "", 3),
        ([TIMER] * 9, TIMER, acme.TRIES),
    ],
)
def test_only_what_passes_by_itself_is_tried_again_and_not_for_ever(tmp_path, monkeypatch, words, said, times):
    waited = []
    monkeypatch.setattr(acme.time, "sleep", waited.append)
    runs = certbot_saying(tmp_path, monkeypatch, *words)
    assert acme.certbot("certonly", "--domain", "a.test").partition("\nFix: ")[0] == said
    assert runs() == ["certonly --domain a.test --non-interactive"] * times
    assert sum(waited) == 10.0 * words[: acme.TRIES].count(TIMER)


def test_what_the_issuer_says_is_told_where_certbot_hides_it(tmp_path, monkeypatch):
    hidden, limit = "AttributeError: can't set attribute", "urn:ietf:params:acme:error:rateLimited :: too many"
    log, runs = tmp_path / "letsencrypt.log", certbot_saying(tmp_path, monkeypatch, hidden, hidden)
    log.write_text(f"acme.messages.Error: {NONCE} of a run before\n")
    (tmp_path / "logs").write_text(f"acme.messages.Error: {NONCE}\nacme.messages.Error: {limit}\n")
    said = acme.certbot("renew")
    assert said.startswith(f"{limit}\nFix: wait as long as it says; ")
    assert len(runs()) == 2


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("ValueError: Requesting acme.test/dir: Connection refused", "haproxy_acme.directory, or the way"),
        (
            "Max retries exceeded with url: /dir (Caused by: Name or service not known)",
            "haproxy_acme.directory, or the",
        ),
        (
            "Max retries exceeded (Caused by: [SSL: CERTIFICATE_VERIFY_FAILED])",
            "have the balancer trust the issuer's root",
        ),
        ("The request must include a value for 'externalAccountBinding'", "haproxy_acme.eab_kid and eab_hmac_key"),
        ("acme:error:rejectedIdentifier :: forbidden by policy", "take the name out of hostnames"),
        (
            "(authenticator: manual). Detail: 192.0.2.1: Connection refused",
            "lead each name to the balancers, port 80 open",
        ),
        ("Some other thing", "what it says, in haproxy_acme or hostnames"),
    ],
)
def test_what_is_told_has_a_fix_and_nothing_beside_it(said, fix):
    whole = f"Saving debug log to x\nAn unexpected error occurred:\n\n{said}\nHint: a hook\nAsk for help or search"
    first, last = acme.told(whole).splitlines()
    assert first == said
    assert last.startswith(f"Fix: {fix}")


@pytest.mark.parametrize(("result", "told"), [("success", ""), ("exit-code", "new :: one\n")])
def test_journal_of_the_timer_has_what_certbot_hides(letsencrypt, monkeypatch, capsys, result, told):
    start = "2026-11-26 13:00:00,000:DEBUG:certbot._internal.main:certbot version: 2.1.0\n"
    (letsencrypt / "log").write_text(f"{start}acme.messages.Error: old\n{start}acme.messages.Error: new :: one\n")
    monkeypatch.setattr(acme, "LOG", letsencrypt / "log")
    monkeypatch.setattr(acme, "to_be_given", lambda: None)
    monkeypatch.setenv("SERVICE_RESULT", result)
    assert acme.main() == 0
    assert capsys.readouterr().err == told
