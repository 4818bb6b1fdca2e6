"""Certificates of one's own: shown by name, replaced without loss, refused before anything changes; and what is spoken."""

import json

import pytest

from tests.authority import Authority
from tests.probe import copy_of_probe, nothing_lost
from tests.support import Load, Script, address_of, apps, ask, changed, converge, host, playbook, refused, variables
from tests.tls import BALANCERS, CLIENT, ROOT, shake, write

CA = Authority()
# Of Debian 13.
GRADER = BALANCERS[1]
WHOLE = CA.intermediate + CA.root
ON_HOST = "/etc/ssl/private/hello.pem"
FOLDER = "/etc/haproxy/certificates"
YEAR = 31536000


def live(name):
    """Return a checksum of all that HAProxy reads on a balancer, and its workers."""
    return host(name).check_output(
        "find /etc/haproxy -type f | sort | xargs sha256sum; pgrep --parent 1 --full haproxy -a"
    )


class Own:
    """Certificates in files on the control node, and one on the balancers."""

    def __init__(self, folder):
        self.folder = folder
        self.serial = 0

    def issue(self, *names, **options):
        """Put a certificate for names into the files, and return it with its key and chain."""
        certificate, key = CA.issue(*names, **options)
        (self.folder / "probe.pem").write_text(certificate + WHOLE)
        (self.folder / "probe.key").write_text(key)
        return key + certificate + WHOLE

    def variables(self, **more):
        """Return arguments for a playbook that name them."""
        own = {"certificate": str(self.folder / "probe.pem"), "key": str(self.folder / "probe.key")}
        settings = {"haproxy_certificates": [own, {"path": ON_HOST}], "haproxy_tls": {"hsts": YEAR}}
        return variables(**settings | more)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Give both balancers certificates: of the probe from the control node, of hello on the host."""
    found = Own(tmp_path_factory.mktemp("own"))
    found.issue("probe.test", "www.probe.test")
    write(CLIENT, ROOT, CA.root, mode="644")
    for name in BALANCERS:
        certificate, key = CA.issue("hello.test", kind="rsa")
        write(name, ON_HOST, key + certificate + WHOLE)
    converge(*found.variables())
    return found


@pytest.mark.parametrize("balancer", BALANCERS)
@pytest.mark.usefixtures("own")
def test_each_name_has_its_certificate(balancer):
    probe, www, hello, stranger = shake(balancer, *({"name": name, "path": "/"} for name in (
        "probe.test", "www.probe.test", "hello.test", "other.test")))  # fmt: skip
    assert [one.get("status") for one in (probe, www, hello)] == [200, 200, 200]
    assert probe["serial"] == www["serial"] != hello["serial"]
    assert "Hostname mismatch" in stranger["error"]
    modes = host(balancer).check_output("stat --format '%%a %%U %%n' %s %s/*", FOLDER, FOLDER).splitlines()
    assert modes == [f"700 root {FOLDER}", f"600 root {FOLDER}/probe.test.pem"]


@pytest.mark.usefixtures("own")
def test_app_knows_that_it_is_asked_with_tls():
    forged = ["X-Forwarded-Proto: http", "Forwarded: proto=http"]
    answer = json.loads(shake(BALANCERS[0], {"name": "probe.test", "path": "/", "headers": forged})[0]["body"])
    assert (answer["url"], answer["secure"]) == ("https://probe.test/", True)


@pytest.mark.usefixtures("own")
def test_without_tls_one_is_sent_to_it():
    requests = [
        ("GET", "/a//b?c=d%20e", [("Host", "probe.test")]), ("POST", "/received", [("Host", "WWW.probe.test.:80")]),
        ("GET", "/", [("Host", "hello.test"), ("X-Forwarded-Proto", "https")]), ("GET", "//evil.test/", [("Host", "hello.test")]),
    ]  # fmt: skip
    found = [(one["status"], one["headers"].get("location")) for one in ask(requests, of=BALANCERS[1])]
    assert found == [
        (308, "https://probe.test/a//b?c=d%20e"), (308, "https://www.probe.test/received"), (308, "https://hello.test/"),
        (308, "https://hello.test//evil.test/"),
    ]  # fmt: skip


@pytest.mark.usefixtures("own")
def test_browser_is_told_to_stay_with_tls():
    answers = shake(BALANCERS[0], *({"name": "probe.test", "path": path} for path in ("/", "/nowhere", "/%00")))
    assert [one["status"] for one in answers] == [200, 404, 400]
    assert {one["headers"]["strict-transport-security"] for one in answers} == {f"max-age={YEAR}"}
    assert "strict-transport-security" not in ask(1, of=BALANCERS[0], hostname="probe.test")[0]["headers"]


GOOD = {
    f"ECDHE-{key}-{cipher}"
    for key in ("RSA", "ECDSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
}


@pytest.mark.usefixtures("own")
def test_what_is_spoken(record_property):
    client = host(CLIENT)
    old = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
    ciphers = client.check_output("openssl ciphers -tls1_2 %s", old).split(":")
    names = [name for name in ciphers if not name.startswith("TLS_")]
    assert len(names) > 60
    hello, probe = (
        shake(BALANCERS[0], *({"name": name, "version": "TLSv1_2", "ciphers": cipher} for cipher in names))
        for name in ("hello.test", "probe.test")
    )
    accepted = {one["cipher"] for one in [*hello, *probe] if "cipher" in one}
    record_property("TLS 1.2", ", ".join(sorted(accepted)))
    assert accepted == GOOD
    versions = [{"name": "probe.test", "version": version} for version in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")]
    assert [one.get("version") for one in shake(BALANCERS[0], *versions)] == [None, None, "TLSv1.2", "TLSv1.3"]
    assert not any(one["ticket"] for one in shake(BALANCERS[0], versions[2]))
    new, older, none = shake(
        BALANCERS[0], *({"name": "probe.test", "alpn": alpn} for alpn in (["h2", "http/1.1"], ["http/1.1"], ["spdy/3"]))
    )
    assert [new.get("alpn"), older.get("alpn"), none.get("alpn")] == ["h2", "http/1.1", None]


def graded(of, name="probe.test"):
    """Return {id: finding} of Debian 13's testssl.sh for a name of a balancer, with the grade; Debian 12's gives none."""
    web = host(GRADER)
    if web.run("command -v testssl").rc:
        web.check_output("apt-get -qq update && apt-get -qq install --no-install-recommends testssl.sh")
    write(GRADER, ROOT, CA.root, mode="644")
    # Without --vulnerable there is no grade.
    parts = "--protocols --std --fs --server-preference --server-defaults --headers --vulnerable"
    quiet = "--quiet --color 0 --warnings off --nodns none --overwrite"
    command = (
        f"testssl {quiet} {parts} --add-ca {ROOT} --jsonfile /tmp/found.json --ip {address_of(of)} https://{name}/"
    )
    said = web.run(command).stdout
    found = {one["id"]: one["finding"] for one in json.loads(web.check_output("cat /tmp/found.json"))}
    assert "overall_grade" in found, said
    return found


def offered(found):
    """Return the versions of TLS and of SSL that are offered."""
    versions = ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")
    return [version for version in versions if found[version].startswith("offered")]


@pytest.mark.usefixtures("own")
def test_grade(record_property):
    found = graded(BALANCERS[0])
    record_property("testssl.sh, intermediate", found["overall_grade"])
    assert found["overall_grade"] in ("A", "A+"), found
    assert offered(found) == ["TLS1_2", "TLS1_3"]


@pytest.mark.usefixtures("own")
def test_http_2():
    curl = "curl --silent --cacert %s --resolve probe.test:443:%s --write-out ' %%{http_version}' https://probe.test/"
    shown = host(CLIENT).check_output(curl, ROOT, address_of(BALANCERS[0]))
    body, version = shown.rsplit(" ", 1)
    assert (json.loads(body)["url"], version) == ("https://probe.test/", "2")


def over_h2():
    """Return the arguments of tests/h2.py, whose library the client host then has."""
    client = host(CLIENT)
    if client.run("python3 -c 'import h2'").rc:
        client.check_output("apt-get -qq update && apt-get -qq install --no-install-recommends python3-h2")
    return [f"--address={address_of(BALANCERS[0])}", "--host=probe.test", f"--authority={ROOT}"]


def test_replaced_while_clients_are_there(own):
    before = shake(BALANCERS[0], "probe.test")[0]["serial"]
    own.issue("probe.test", "www.probe.test")
    with Load(BALANCERS[0], port=443, authority=ROOT) as load:
        converge(*own.variables())
    nothing_lost(load)
    assert shake(BALANCERS[0], "probe.test")[0]["serial"] != before
    assert changed(converge(*own.variables())) == 0


def changes(own, folder, times):
    """Have a balancer get other certificates for the probe, one after the other."""
    change = {"flask_haproxy.deploy.haproxy_config": {"files": {f"{FOLDER}/probe.test.pem": "{{ item }}"}}}
    pems = [own.issue("probe.test", "www.probe.test") for _ in range(times)]
    play = {"hosts": BALANCERS[0], "gather_facts": False, "become": True}
    task = change | {"loop": pems, "loop_control": {"label": ""}}
    (folder / "change.yml").write_text(json.dumps([play | {"tasks": [task]}]))
    done = playbook(name=str(folder / "change.yml"))
    assert done.stdout.count("changed: [lb1]") == times, done.stdout[-3000:]


def test_twenty_changes_lose_nothing(own, tmp_path, record_property):
    before = shake(BALANCERS[0], "probe.test")[0]["serial"]
    with Load(BALANCERS[0], port=443, authority=ROOT, rate=100.0) as load, Script(CLIENT, "h2.py", *over_h2()) as newer:
        changes(own, tmp_path, 20)
    nothing_lost(load)
    record_property("requests over twenty certificates", load.report.sent)
    record_property("and over HTTP/2", newer.report)
    assert newer.report["failures"] == []
    assert newer.report["answered"] > 100
    # Connections are kept until a reload ends them, and not every one of them is.
    assert newer.report["streams"] > 4 * newer.report["connections"]
    assert shake(BALANCERS[0], "probe.test")[0]["serial"] != before


def test_one_renewed_on_the_host_is_loaded_by_the_next_run(own):
    before = shake(BALANCERS[0], "hello.test")[0]["serial"]
    certificate, key = CA.issue("hello.test", kind="rsa")
    write(BALANCERS[0], ON_HOST, key + certificate + WHOLE)
    assert shake(BALANCERS[0], "hello.test")[0]["serial"] == before
    converge(*own.variables())
    assert shake(BALANCERS[0], "hello.test")[0]["serial"] != before


def test_what_would_not_do_changes_nothing(own):
    before = [live(name) for name in BALANCERS]
    own.issue("probe.test", "www.probe.test")
    (own.folder / "probe.key").write_text(CA.issue("probe.test")[1])
    refused(playbook(*own.variables()), "probe.pem has the key of another certificate. Fix:")
    own.issue("probe.test", "www.probe.test", days=(-90, -1))
    refused(playbook(*own.variables()), "probe.pem has expired: CN=probe.test was valid until", "Fix: renew it")
    # Keys of the host stay there: HAProxy's parser looks whether they fit.
    own.issue("probe.test", "www.probe.test")
    for name in BALANCERS:
        write(name, "/root/wrong.pem", CA.issue("hello.test")[0] + WHOLE + CA.issue("hello.test")[1])
    found = [
        {"certificate": str(own.folder / "probe.pem"), "key": str(own.folder / "probe.key")},
        {"path": "/root/wrong.pem"},
    ]
    refused(
        playbook(*variables(haproxy_certificates=found)), "HAProxy does not accept the configuration", "/root/wrong.pem"
    )
    write(BALANCERS[0], "/root/wrong.pem", "".join((*CA.issue("hello.test", days=(-90, -1)), WHOLE)))
    refused(playbook(*variables(haproxy_certificates=found)), "/root/wrong.pem has expired: CN=hello.test")
    assert [live(name) for name in BALANCERS] == before


def test_secrets_are_not_shown(own):
    own.issue("probe.test", "www.probe.test")
    secret = (own.folder / "probe.key").read_text().splitlines()[1]
    done = playbook(*own.variables(), "--check", "--diff", "-vvv")
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{FOLDER}/probe.test.pem is another one" in done.stdout
    assert secret not in done.stdout + done.stderr


def test_modern(own, record_property):
    converge(*own.variables(haproxy_tls={"profile": "modern", "redirect": False, "hsts": YEAR}))
    versions = [{"name": "probe.test", "version": version} for version in ("TLSv1_2", "TLSv1_3")]
    assert [one.get("version") for one in shake(BALANCERS[0], *versions)] == [None, "TLSv1.3"]
    assert ask(1, of=BALANCERS[0], hostname="probe.test")[0]["status"] == 200
    found = graded(BALANCERS[0])
    record_property("testssl.sh, modern", found["overall_grade"])
    assert found["overall_grade"] in ("A", "A+"), found
    assert offered(found) == ["TLS1_3"]


# The last of all: it leaves another release of the probe.
def test_h2load_is_answered_through_changes_and_a_deploy(own, tmp_path, record_property):
    client = host(CLIENT)
    if client.run("command -v h2load").rc:
        client.check_output("apt-get -qq update && apt-get -qq install --no-install-recommends nghttp2-client")
    with Script(CLIENT, "h2load.py", *over_h2()[:2]) as many:
        changes(own, tmp_path, 5)
        converge(*own.variables(app="probe", flask_apps=apps(source=copy_of_probe(tmp_path))))
    each, kept = many.report["each"], many.report["kept"]
    record_property("h2load over five certificates and a deploy", json.dumps(many.report))
    assert [each[name] for name in ("failed", "errored", "timeout")] == [0, 0, 0], each
    assert each["total"] == each["succeeded"] == each["2xx"] > 100, each
    # Of kept connections, what met the GOAWAY of a reload: never a bad answer, and no more than those four had to send.
    assert kept["succeeded"] == kept["2xx"] > 100, kept
    assert kept["failed"] == kept["errored"] <= 6 * 200, kept
