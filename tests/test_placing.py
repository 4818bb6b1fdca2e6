"""How an instance is waited for, and what is said and remembered where it does not become healthy."""

import pytest
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App

from tests.conftest import load

placing, folders, systemd = (load(f"module_utils/{name}.py") for name in ("placing", "app_folders", "systemd"))
INSTANCE = {"number": 1, "address": "127.0.0.1", "port": 5001, "health_host": "localhost", "health_check": {}}


class Clock:
    """A clock that moves when somebody sleeps, or asks an instance."""

    def __init__(self):
        self.now, self.asked = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def wait(monkeypatch):
    """Return a function that waits 60 s for an instance that answers as told, by the second."""
    clock = Clock()

    def waited(answer):
        def health(*_):
            clock.asked.append(clock.now)
            clock.now += 0.01
            return answer(clock.now)

        monkeypatch.setattr(placing, "health", health)
        return placing.wait(App("hello"), "new", INSTANCE, "/health", 60.0), clock

    monkeypatch.setattr(placing, "time", clock)
    monkeypatch.setattr(placing, "unit_states", lambda units: {units[0]: {"NRestarts": "0", "MainPID": "1"}})
    monkeypatch.setattr(placing, "process_environment", lambda _: {"APP_DEPLOYMENT": "new"})
    return waited


def test_what_answers_wrongly_is_asked_less_and_less_often(wait):
    problem, clock = wait(lambda now: 'status 400, "Bad Request"' if now > 2 else 'status 503, "Not yet"')
    assert len(clock.asked) < 40
    assert problem == (
        'not healthy after 60 s: /health gives status 400, "Bad Request"; first it gave status 503, "Not yet"'
    )


@pytest.mark.parametrize("ready", [0.3, 1.0, 3.0, 10.0])
def test_what_becomes_healthy_is_found_soon(wait, ready):
    """While nothing answers, as soon as ever; where something does, after no more than twice the time, and 2 s."""
    problem, clock = wait(lambda now: "" if now > ready else "ConnectionRefusedError: refused")
    assert not problem
    assert clock.now < ready + 0.1


def test_what_answers_wrongly_at_first_is_found_soon(wait):
    problem, clock = wait(lambda now: "" if now > 3 else "status 503")
    assert not problem
    assert clock.now < 5.1


def test_each_message_of_a_journal_is_said_once():
    traceback = ["Traceback", "  File app.py", "DisallowedHost: localhost"]
    lines = [f"2026-11-26T04:30:{n // 3:02}+0000 web python3[7]: {traceback[n % 3]}" for n in range(30)]
    shown = systemd.said_once("\n".join(["2026-11-26T04:29:59+0000 web systemd[1]: Started.", *lines]))
    assert [line.partition("]: ")[2] for line in shown.splitlines()] == ["Started.", *traceback]


def test_only_what_has_an_alternative_is_marked_bad(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    app = App("hello")
    assert not app.has_another("new")
    app.point(1, "new")
    assert not app.has_another("new")
    app.point(2, "old")
    assert app.has_another("new")


def test_path_that_the_application_does_not_have_is_said_soon(wait):
    problem, clock = wait(lambda now: 'status 404, "Not Found"' if now > 1 else "ConnectionRefusedError: refused")
    assert problem.startswith("not healthy after 1")
    assert problem.endswith(
        '/health gives status 404, "Not Found". Fix: a route /health in the app, or a path that it has, as `health: /`'
    )
    assert 11 < clock.now < 16


def test_path_that_comes_later_is_waited_for(wait):
    problem, _ = wait(lambda now: "" if now > 14 else "status 404" if now % 8 < 4 else "status 503")
    assert not problem
