"""Certificates that a user names: what is made of them, and what is refused before any host is changed."""

import pytest

from tests.authority import Authority
from tests.conftest import load
from tests.rendering import render

certificates = load("plugin_utils/certificates.py")
files = load("plugin_utils/balancer_files.py")
CA, OTHER = Authority(), Authority("Other")
WHOLE = CA.intermediate + CA.root
# As Ansible gives what is no text.
DER = b"0\x82\x01\x0a\x02".decode(errors="surrogateescape")
BACKENDS = [{"hostnames": ["a.test", "b.test"]}, {"hostnames": []}]


def found(texts, backends=(), acme=None, **entry):
    return files.certificates([{"certificate": "a.pem"} | entry], backends, acme or {}, texts.__getitem__, {})


def test_certificate_is_what_haproxy_reads():
    certificate, key = CA.issue("a.test", "b.test")
    result = found({"a.pem": certificate + WHOLE, "a.key": key}, BACKENDS, key="a.key")
    assert (result.problems, result.warnings) == ([], [])
    assert result.paths == ["/etc/haproxy/certificates/a.test.pem"]
    assert result.files == {result.paths[0]: key + certificate + WHOLE}


def test_key_may_be_in_the_same_file():
    certificate, key = CA.issue("*.a.test")
    result = found({"a.pem": certificate + key + WHOLE})
    assert result.files == {"/etc/haproxy/certificates/_.a.test.pem": key + certificate + WHOLE}


def test_several_of_one_name_are_all_kept():
    texts = {kind: "".join((*CA.issue("a.test", kind=kind), WHOLE)) for kind in ("rsa", "ecdsa")}
    entries = [{"certificate": "rsa"}, {"certificate": "ecdsa"}, {"path": "/etc/ssl/private/other.pem"}]
    host = {"/etc/ssl/private/other.pem": [CA.issue("b.test")[0] + WHOLE]}
    result = files.certificates(entries, [], {}, texts.__getitem__, host)
    folder = "/etc/haproxy/certificates"
    assert result.paths == [f"{folder}/a.test.pem", f"{folder}/a.test-2.pem", "/etc/ssl/private/other.pem"]
    assert len(result.files) == 2


def broken():
    """Yield a file, its key and what is said of it."""
    good, key = CA.issue("a.test", "b.test")
    yield good + WHOLE, CA.issue("a.test")[1], "has the key of another certificate. Fix: the one that it was"
    yield good + WHOLE, "", "has no private key. Fix: name its file as `key`"
    yield (
        good + WHOLE,
        DER,
        "has no private key. Fix: name its file as `key`, or add it to this one, in PEM: of others ",
    )
    yield good + WHOLE, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "has a key that cannot be read"
    secret, locked = CA.issue("a.test", "b.test", passphrase=b"secret")
    yield secret + WHOLE, locked, "has a key with a passphrase, which HAProxy could not ask for"
    yield good, key, "ends at CN=a.test, whose issuer CN=Test intermediate is no root that this machine trusts"
    yield good + CA.intermediate, key, "ends at CN=Test intermediate, whose issuer CN=Test root is no root"
    yield good + OTHER.intermediate, key, "has, after CN=a.test, CN=Other intermediate, which has not issued it"
    yield good + CA.root + CA.intermediate, key, "which has not issued it. Fix: the certificate first"
    yield (
        CA.root + CA.intermediate + good,
        key,
        "has, after CN=Test root, CN=Test intermediate, which has not issued it",
    )
    yield (
        CA.intermediate + good,
        key,
        "has, after CN=Test intermediate, CN=a.test, which has not issued it. Fix: the certificate",
    )
    old, old_key = CA.issue("a.test", "b.test", days=(-90, -1))
    yield old + WHOLE, old_key, "has expired: CN=a.test was valid until "
    early, early_key = CA.issue("a.test", "b.test", days=(1, 90))
    yield early + WHOLE, early_key, "is not valid yet: CN=a.test is so from "
    nameless, nameless_key = CA.issue()
    yield nameless + WHOLE, nameless_key, "names no host (it has no subjectAltName)"
    yield "text", key, "is no certificate (Unable to load PEM file). Fix: PEM, as in -----BEGIN CERTIFICATE-----"
    yield (
        DER,
        key,
        "is no certificate (it is no text). Fix: PEM, as in -----BEGIN CERTIFICATE-----; of another form `openssl x509",
    )
    yield key, good + WHOLE, "is no certificate (it has a PRIVATE KEY). Fix: PEM"


@pytest.mark.parametrize(
    ("certificate", "key", "message"), list(broken()), ids=lambda value: value[:40] if " " in value else ""
)
def test_what_would_not_do_is_refused_with_one_message(certificate, key, message):
    result = found({"a.pem": certificate, "a.key": key}, BACKENDS, key="a.key")
    assert len(result.problems) == 1, result.problems
    assert message in result.problems[0]
    assert result.problems[0].startswith("haproxy_certificates[0]: a.pem ")
    assert "Fix: " in result.problems[0]
    assert result.files == {}


def test_file_that_is_not_there():
    def read(name):
        raise OSError(f"there is no {name}")

    result = files.certificates([{"certificate": "a.pem"}], BACKENDS, {}, read, {})
    assert result.problems == [
        "haproxy_certificates[0]: there is no a.pem. Fix: a file on this machine, seen from the inventory's folder; if it is "
        "encrypted, the password of ansible-vault."
    ]


def test_host_name_that_none_is_for():
    certificate, key = CA.issue("*.test")
    texts = {"a.pem": certificate + key + WHOLE}
    assert found(texts, BACKENDS).problems == []
    assert found(texts, [{"hostnames": ["*.test"]}]).problems == []
    problems = found(texts, [{"hostnames": ["a.test", "a.b.test", "test"]}]).problems
    assert len(problems) == 1
    assert "none is for a.b.test, test, of the hostnames of an app" in problems[0]
    assert "Those there are for *.test." in problems[0]


def test_what_is_kept_on_the_host_is_looked_at_as_well():
    path, entries = "/etc/ssl/b.pem", [{"path": "/etc/ssl/b.pem"}]
    certificate, key = CA.issue("a.test", "b.test")
    old = CA.issue("a.test", "b.test", days=(-90, -1))[0]

    def problems(*texts):
        return files.certificates(entries, BACKENDS, {}, {}.__getitem__, {path: list(texts)}).problems

    assert problems(certificate + key + WHOLE) == []
    assert problems(CA.issue("a.test")[0] + WHOLE, CA.issue("b.test")[0] + WHOLE) == []
    assert "none is for b.test" in problems(CA.issue("a.test")[0] + WHOLE)[0]
    assert "haproxy_certificates[0]: /etc/ssl/b.pem has expired" in problems(old + WHOLE)[0]
    assert "ends at CN=a.test" in problems(certificate)[0]
    assert problems() == [
        "haproxy_certificates[0]: /etc/ssl/b.pem is not on the balancer. Fix: bring it there first, or another path."
    ]


def test_chain_of_a_host_comes_without_its_key(tmp_path):
    module = load("modules/haproxy_chains.py")
    certificate, key = CA.issue("a.test")
    (tmp_path / "a.pem").write_text(key + certificate + WHOLE)
    (tmp_path / "a.key").write_text(key)
    (tmp_path / ".gitignore").write_text("*.key")
    assert module.texts(tmp_path) == module.texts(tmp_path / "a.pem") == [certificate + WHOLE]
    assert module.texts(tmp_path / "b.pem") == []


def test_one_that_ends_soon_is_said():
    certificate, key = CA.issue("a.test", days=(-80, 10.5))
    result = found({"a.pem": certificate + key + WHOLE})
    assert result.problems == []
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("haproxy_certificates[0]: a.pem expires in 10 days, on ")


def test_one_that_stands_in():
    text = certificates.stand_in(["a.test", "*.b.test"])
    read, problems = certificates.read_certificate(text, text)
    assert (read.names, problems) == (("a.test", "*.b.test"), [])


def test_more_than_a_line_of_haproxy_can_name_are_refused(apps_model, parser):
    def problems(count):
        backends = [{"name": f"a{number}", "hostnames": [f"{number}.test"]} for number in range(count)]
        return files.certificates([], backends, {"email": "a@b.test"}, {}.__getitem__, {})

    most = problems(files.MOST_CERTIFICATES)
    assert most.problems == []
    config = render(plain(apps_model), haproxy_tls={"binds": [":::443 v6only"]}, __haproxy_files={"paths": most.paths})
    assert parser.words(config, most.stand_ins) == ""
    assert problems(files.MOST_CERTIFICATES + 1).problems == [
        "haproxy_certificates and haproxy_acme make 29 certificates, and a `bind` line of HAProxy can name 28. Fix: one for "
        "several names or a wildcard, or a `path` that is a folder of them on the balancer."
    ]


def test_without_a_certificate_nothing_of_tls_is_there(apps_model):
    config = render(plain(apps_model))
    assert " ssl crt " not in config
    assert "redirect" not in config


def plain(apps_model):
    groups = {"app_servers": ["web1"], "load_balancers": ["web1"]}
    app = {"name": "hello", "source": "files/hello", "wsgi": "app:app", "port": 5001}
    return apps_model.flask_backends([app], groups, {"web1": {"app_address": "192.0.2.1"}})


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
@pytest.mark.parametrize("proxies", [[], ["192.0.2.9"]])
def test_parser_accepts_tls(apps_model, parser, profile, proxies, tmp_path):
    config = render(
        plain(apps_model), haproxy_trusted_proxies=proxies, haproxy_tls={"profile": profile, "hsts": 31536000},
        __haproxy_files={"paths": [str(tmp_path / "a.pem")]},
    )  # fmt: skip
    certificate, key = CA.issue("a.test")
    assert parser.words(config, {str(tmp_path / "a.pem"): key + certificate + WHOLE}) == "", config


def test_redirect_names_the_port_of_tls(apps_model):
    config = render(
        plain(apps_model),
        haproxy_tls={"binds": ["*:8443", ":::8443 v6only"]},
        __haproxy_files={"paths": ["/a", "/b"]},
    )
    assert (
        "    bind *:8443 ssl crt /a crt /b alpn h2,http/1.1\n    bind :::8443 v6only ssl crt /a crt /b alpn" in config
    )
    assert "redirect prefix https://%[var(txn.host)]:8443 code 308" in config


def test_page_that_is_empty_is_refused():
    backend = {"name": "shop", "maintenance": {"page": "closed.html"}}
    result = files.certificates([], [backend], {}, {"closed.html": ""}.__getitem__, {})
    assert result.problems == [
        "maintenance.page of shop is 'closed.html', which is empty. Fix: a page with text, or leave the key out."
    ]


def test_page_that_is_not_utf8_is_refused():
    """As Ansible gives such a file."""
    text = "<p>caf\xe9".encode("latin-1").decode(errors="surrogateescape")
    backend = {"name": "shop", "maintenance": {"page": "closed.html"}}
    result = files.certificates([], [backend], {}, {"closed.html": text}.__getitem__, {})
    assert result.problems == [
        "maintenance.page of shop is 'closed.html', which is not UTF-8. Fix: save the file as UTF-8."
    ]
