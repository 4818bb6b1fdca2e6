"""The health check of an app: what an entry may say, and what is asked and expected because of it."""

import http.server
import json
import threading

import pytest
import yaml
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App

from tests.conftest import PROJECT, load
from tests.rendering import render

health = load("plugin_utils/health.py")
staleness = load("module_utils/staleness.py")
MAPPING = {"path": "/up", "status": "200-204,302", "headers": {"X-Forwarded-Proto": "https"}, "interval": "5s"}


def test_path_alone_is_the_common_case():
    assert health.flask_health("/health") == {
        "path": "/health", "status": "200", "headers": {}, "host": "", "interval": "",
    }  # fmt: skip
    assert health.flask_health({"headers": {"Host": "a.test"}})["host"] == "a.test"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("health", "health is 'health'. Fix: a path that begins with /"),
        (None, "health is None. Fix: a path"),
        (["/health"], "Fix: a path"),
        ({"path": "up"}, "health.path is 'up'"),
        ({"uri": "/up"}, "health has the key 'uri'. Fix: one of path, status, headers, interval."),
        ({"status": "ok"}, "health.status is 'ok'. Fix: a status"),
        ({"headers": ["a"]}, "health.headers is ['a']. Fix: a mapping"),
        ({"headers": {"a b": "c"}}, "health.headers has 'a b'"),
        ({"headers": {"A": 1}}, "health.headers.A is no line of ASCII text (value not shown). Fix: one line of text"),
        ({"headers": {"A": "x\ny"}}, "health.headers.A is"),
        ({"interval": 5}, "health.interval is '5'. Fix: a number with a unit"),
        (
            {"interval": "40000m"},
            "health.interval is '40000m'. Fix: a number with a unit, like 500ms, 5s or 1m, of at most 24 days.",
        ),
    ],
)
def test_refused(value, words):
    found = list(health.health_problems(value))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize("value", ["/", "/health", MAPPING, {"status": 204}, {"status": "200, 302"}, {}])
def test_good_ones(value):
    assert list(health.health_problems(value)) == []


class Answering(http.server.BaseHTTPRequestHandler):
    """An app that sends whoever did not come by https away."""

    def do_GET(self):
        secure = self.headers["X-Forwarded-Proto"] == "https"
        self.send_response(204 if secure else 302)
        body = b"" if secure else b"<style>p {}</style><p>Go  to\n https!</p>" + b"x" * 300
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def port():
    """Give the port at which it answers."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_what_is_asked_and_expected(port):
    def asked(**check):
        return staleness.health("127.0.0.1", port, "/", "localhost", check)

    assert asked() == 'status 302, "Go to https! ' + "x" * 187 + '…"'
    assert asked(headers={"X-Forwarded-Proto": "https"}) == "status 204"
    assert asked(headers={"X-Forwarded-Proto": "https"}, status="200-299") == ""
    assert asked(status="200,302") == ""


@pytest.mark.parametrize("check", [{"headers": {"X-Forwarded-Proto": "https"}, "status": "204"}, {"status": "302"}, {}])
def test_instances_with_a_restored_state_are_asked_as_the_deployment_is(port, tmp_path, monkeypatch, check):
    state, app = load("modules/flask_state.py"), App("hello")
    app.deployments = tmp_path
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "deployment.json").write_text(json.dumps({"health": "/", "health_check": check}))
    monkeypatch.setattr(app, "numbers", lambda: [1])
    monkeypatch.setattr(app, "listens_at", lambda _: ("127.0.0.1", port))
    monkeypatch.setattr(app, "linked", lambda _: "one")
    said = state.wait(app, "localhost", 0)
    assert said == "" if check else said.startswith("flask-hello@1.service is not healthy with it: status 302")


def test_they_have_the_time_to_start_that_the_app_has():
    tasks = yaml.safe_load((PROJECT / "playbooks" / "restore.yml").read_text())[1]["tasks"]
    (block,) = [task["block"] for task in tasks if "block" in task]
    (asked,) = [
        task["flask_haproxy.deploy.flask_state"] for task in block if "flask_haproxy.deploy.flask_state" in task
    ]
    assert asked["timeout"] == "{{ entry.start_timeout }}"


def test_balancer_asks_the_same(apps_model, parser):
    app = {"name": "hello", "source": ".", "wsgi": "app:app", "port": 5001, "health": MAPPING}
    app["health"] = MAPPING | {"headers": MAPPING["headers"] | {"host": "up.test", "X-Quoted": "it's 100 %"}}
    groups = {"app_servers": ["web"], "load_balancers": ["web"]}
    config = render(apps_model.flask_backends([app], groups, {"web": {}}))
    assert (
        "uri /up ver HTTP/1.1 hdr Host up.test hdr X-Forwarded-Proto 'https' hdr X-Quoted 'it'\\''s 100 %%'\n" in config
    )
    assert "http-check expect status 200-204,302\n" in config
    assert " inter 5s minconn" in config
    assert parser.words(config) == ""
