"""What HAProxy tells an application of its client, and where it sends one, by HAProxy itself, of each supported Debian release."""

import json
import subprocess

import pytest

from tests.conftest import PROJECT, in_container, load
from tests.rendering import render

# Runs inside a container: an application that answers with the headers it was sent, HAProxy in front of it, and requests.
SPEAKER = """
import http.client, http.server, json, os, pathlib, socket, subprocess, sys, threading, time

class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Echo).serve_forever, daemon=True).start()
config, files, asked = json.load(sys.stdin)
for path, text in (files | {"/etc/haproxy/maintenance.map": "", "/tmp/haproxy.cfg": config}).items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)
pathlib.Path("/run/haproxy").mkdir(exist_ok=True)
proxy = subprocess.Popen(["haproxy", "-db", "-f", "/tmp/haproxy.cfg"], stdout=sys.stderr)
answers = []
for source, port, headers in asked:
    for attempt in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
        try:
            connection.connect()
            break
        except OSError:
            time.sleep(0.1)
    connection.putrequest("GET", "/x", skip_host=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answers.append([answer.status, answer.headers.get("Location", ""), answer.headers["X-Request-ID"], answer.read().decode()])
proxy.terminate()
print(json.dumps(answers), flush=True)
# A thread that complains of HAProxy's end while Python ends is a crash.
os._exit(0)
"""
TRUSTED, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture(scope="module", params=["12", "13"], ids=["haproxy-2.6", "haproxy-3.0"])
def speak(request):
    """Give a function that returns [(status, Location, headers that the app saw)] of requests, (source, headers) each."""
    subprocess.run([PROJECT / "scripts" / "image", request.param, "haproxy"], check=True)

    def asked(apps_model, requests, app=None, port=80, files=None, **variables):
        groups = {"app_servers": ["web1"], "load_balancers": ["web1"]}
        entry = {"name": "hello", "source": "files/hello", "wsgi": "app:app", "port": 5001, "instances": 1} | (
            app or {}
        )
        backends = apps_model.flask_backends([entry], groups, {"web1": {"app_address": "127.0.0.1"}})
        config = render(backends, **variables)
        words = [(source, port, list(headers)) for source, *headers in requests]
        done = subprocess.run(
            in_container(request.param, SPEAKER), input=json.dumps([config, files or {}, words]),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        found = [(status, to, json.loads(body) if status == 200 else {}) for status, to, _, body in answers]
        # By the id in an answer one finds what the app has said.
        assert all(
            seen["x-request-id"] == answer[2] for (_, _, seen), answer in zip(found, answers, strict=True) if seen
        )
        return found

    return asked


HOST = ("Host", "www.test")
ADDRESSES = {
    "192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "6.6.6.6, ::FFFF:192.0.2.7": "6.6.6.6,192.0.2.7",
    "192.0.2.7:443": "192.0.2.7", "2001:db8::1": "2001:db8::1", "[2001:db8::1]:443": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
    "[::ffff:192.0.2.7]:443": "192.0.2.7", "": TRUSTED, "unknown": TRUSTED, "6.6.6.6, unknown": TRUSTED,
}  # fmt: skip
SCHEMES = {
    "https": "https", "http": "http", "HTTPS": "https", "wss": "https", "ws": "http", "http, https": "https", "https,http": "http",
    "": "http", "gopher": "http",
}  # fmt: skip
HOSTS = {
    "a.test": "a.test", "A.test:8443": "A.test:8443", "evil.test, a.test": "a.test", "[2001:db8::1]:443": "[2001:db8::1]:443",
    "": "www.test", "a.test, ": "www.test", "a b": "www.test", "a.test/path": "www.test", "user@a.test": "www.test",
}  # fmt: skip


def test_word_of_a_trusted_proxy_is_understood(speak, apps_model):
    requests = [(TRUSTED, HOST, ("X-Forwarded-For", text)) for text in ADDRESSES]
    requests += [(TRUSTED, HOST, ("X-Forwarded-Proto", text)) for text in SCHEMES]
    requests += [(TRUSTED, HOST, ("X-Forwarded-Host", text)) for text in HOSTS]
    requests += [
        (TRUSTED, HOST, ("X-Request-ID", "i" * 64)),
        (OTHER, HOST, ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https")),
    ]
    found = [seen for _, _, seen in speak(apps_model, requests, haproxy_trusted_proxies=[TRUSTED])]
    rest = iter(found)
    addresses, schemes, hosts = ([next(rest) for _ in said] for said in (ADDRESSES, SCHEMES, HOSTS))
    assert {text: seen.get("x-forwarded-for") for text, seen in zip(ADDRESSES, addresses, strict=True)} == ADDRESSES
    assert {text: seen.get("x-forwarded-proto") for text, seen in zip(SCHEMES, schemes, strict=True)} == SCHEMES
    assert {text: seen.get("x-forwarded-host") for text, seen in zip(HOSTS, hosts, strict=True)} == HOSTS
    assert [(seen["x-forwarded-for"], seen["x-forwarded-proto"]) for seen in found[-2:]] == [
        (TRUSTED, "http"),
        (OTHER, "http"),
    ]


def test_limit_counts_the_address_that_a_trusted_proxy_names(speak, apps_model):
    ways = ("192.0.2.7", "192.0.2.7:1", "::ffff:192.0.2.7", "6.6.6.6, 192.0.2.7")
    requests = [(TRUSTED, HOST, ("X-Forwarded-For", text)) for text in (*ways, *["[2001:db8::1]:443"] * 3, *[""] * 3)]
    found = speak(apps_model, requests, {"rate_limit": "2/10s"}, haproxy_trusted_proxies=[TRUSTED])
    assert [status for status, _, _ in found] == [200, 200, 429, 429, 200, 200, 429, 200, 200, 429]


@pytest.mark.parametrize("salt", ["a#b", "it's", 'a"b'])
def test_password_is_known_whatever_its_salt(speak, apps_model, salt):
    command = ["openssl", "passwd", "-5", "-salt", salt, "secret"]
    hashed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    requests = [(OTHER, HOST, ("Authorization", f"Basic {word}")) for word in ("YW5uYTpzZWNyZXQ=", "YW5uYTp3cm9uZw==")]
    assert [status for status, _, _ in speak(apps_model, requests, {"auth": {"anna": hashed}})] == [200, 401]


@pytest.fixture(scope="module")
def tls():
    """Return the variables and the files of a balancer with a certificate."""
    path = "/etc/haproxy/certificates/test.pem"
    text = load("plugin_utils/certificates.py").stand_in(["a.test", "www.a.test"])
    return {"__haproxy_files": {"paths": [path]}, "files": {path: text}}


def test_who_is_sent_to_tls(speak, apps_model, tls):
    said = {"https": 200, "wss": 200, "http, https": 200, "https, http": 308, "ws": 308, "": 308}
    requests = [(TRUSTED, ("Host", "www.a.test:80"), ("X-Forwarded-Proto", text)) for text in said]
    requests += [(OTHER, ("Host", "www.a.test"), ("X-Forwarded-Proto", "https"))]
    found = speak(apps_model, requests, haproxy_trusted_proxies=[TRUSTED], **tls)
    assert {text: status for text, (status, _, _) in zip(said, found[:-1], strict=True)} == said
    assert {to for status, to, _ in found if status == 308} == {"https://www.a.test/x"}
    assert found[-1][0] == 308
    assert speak(apps_model, requests[:1] + requests[-1:], **tls)[0][:2] == (308, "https://www.a.test/x")


@pytest.mark.parametrize("port", [80, 8080])
def test_canonical_name_keeps_the_port_that_was_asked_for(speak, apps_model, tls, port):
    said = "" if port == 80 else f":{port}"
    app = {"hostnames": ["a.test", "www.a.test"], "canonical": "a.test"}
    settings = {"haproxy_binds": [f"*:{port}"], "haproxy_tls": {"binds": ["*:8443"], "redirect": False}} | tls
    requests = [
        (OTHER, ("Host", f"www.a.test{said}")),
        (OTHER, ("Host", f"a.test{said}")),
        # What a proxy in front was asked for.
        (TRUSTED, ("Host", "www.a.test"), ("X-Forwarded-Proto", "https")),
    ]
    found = speak(apps_model, requests, app, port, haproxy_trusted_proxies=[TRUSTED], **settings)
    assert [to for _, to, _ in found] == [f"http://a.test{said}/x", "", "https://a.test/x"]
