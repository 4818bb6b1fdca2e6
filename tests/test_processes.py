"""The units of what runs beside the instances, and the commands in them."""

from types import SimpleNamespace

import pytest
from ansible_collections.flask_haproxy.deploy.plugins.module_utils import app_units, commands, processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError

MAIL = {"name": "mail", "command": "rq worker", "instances": 2, "stop_timeout": 300, "hosts": "all"}
NIGHTLY = {"name": "nightly", "command": "flask report", "calendar": "03:00", "catch_up": True, "stop_timeout": 60}
COMMANDS = {
    "processes": [MAIL, MAIL | {"name": "beat", "instances": 1, "hosts": "first"}],
    "timers": [NIGHTLY | {"hosts": "first"}],
}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("rq worker --with-scheduler", ["rq", "worker", "--with-scheduler"]),
        ("python manage.py migrate", ["/usr/bin/python3", "manage.py", "migrate"]),
        ("sh -c 'a && b $C'", ["sh", "-c", "a && b $C"]),
        ('flask say "two words" ""', ["flask", "say", "two words", ""]),
    ],
)
def test_words_of_a_command(command, words):
    assert commands.words(command) == ["/usr/bin/env", "--", *words]


def test_what_runs_where():
    app = App("shop")
    first = processes.wanted(app, "abc", COMMANDS, {"host": "web1", "first": True})
    assert list(first) == ["mail-1", "mail-2", "beat-1", "nightly"]
    assert list(processes.wanted(app, "abc", COMMANDS, {"host": "web2", "first": False})) == ["mail-1", "mail-2"]
    assert processes.wanted(app, "abc", {}, {"host": "web1", "first": True}) == {}
    assert "Environment=APP_INSTANCE=web1-mail-2 APP_NUMBER=2 APP_PROCESS=mail\n" in first["mail-2"].service
    assert "TimeoutStopSec=300\n" in first["mail-2"].service
    assert first["mail-2"].timer == ""
    assert "Type=oneshot\nRestart=no\n" in first["nightly"].service
    assert "OnCalendar=03:00\nPersistent=yes\n" in first["nightly"].timer


def test_neither_percent_nor_dollar_means_anything_in_a_unit():
    odd = {"processes": [MAIL | {"command": """sh -c 'date +%F; echo "$HOME" \\\\'"""}]}
    unit = processes.wanted(App("shop"), "abc", odd, {"host": "web1", "first": True})["mail-1"].service
    assert r'''ExecStart="/usr/bin/env" "--" "sh" "-c" "date +%%F; echo \"$$HOME\" \\\\"''' in unit


def test_what_is_there_is_neither_an_instance_nor_the_check(tmp_path, monkeypatch):
    app = App("shop")
    app.instances = tmp_path / "instances"
    app.instances.mkdir()
    monkeypatch.setattr(processes, "SYSTEMD", tmp_path)
    for name in (
        "shop@1.service.d",
        "shop@mail-1.service.d",
        "shop@mail-1.socket.d",
        "shop@nightly.timer",
        "shop@.service",
    ):
        (tmp_path / f"flask-{name}").mkdir()
    (tmp_path / "flask-shop-2@beat-1.service.d").mkdir()
    for name in ("1", "check", "old-1"):
        (app.instances / name).symlink_to("../deployments/abc")
    assert processes.there(app) == ["mail-1", "nightly", "old-1"]


def test_how_long_all_that_is_stopped_may_take(tmp_path, monkeypatch):
    app = App("shop")
    app.home = app.deployments = tmp_path
    app.instances = tmp_path / "instances"
    app.instances.mkdir()
    for module in (processes, app_units):
        monkeypatch.setattr(module, "SYSTEMD", tmp_path)
    # Two workers that are to be switched and a third and a timer that are to go; the nightly one is new, its work goes on.
    for name, seconds in {"mail-1": 300, "mail-2": 300, "mail-3": 900, "old": 60, "nightly": 60}.items():
        drop_in = app.drop_in(name)
        drop_in.parent.mkdir()
        drop_in.write_text(f"[Service]\nTimeoutStopSec={seconds}\n")
        (app.instances / name).symlink_to("../deployments/abc")
    found = processes.process_changes(app, "def", COMMANDS, {"host": "web1", "first": True})
    assert [one["process"] for one in found["processes"]] == ["mail-1", "mail-2", "beat-1", "nightly"]
    assert found["surplus_processes"] == ["mail-3", "old"]
    assert found["stop_seconds"] == 300 + 300 + 900 + 60 + 5 * processes.STARTING


def test_sandbox_is_that_of_the_instances(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "SYSTEMD", tmp_path)
    app = App("shop")
    app.deployments = tmp_path
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "unit.conf").write_text("IPAddressDeny=any\n")
    (tmp_path / "flask-shop@.service").write_text(
        "[Unit]\nDescription=x\n[Service]\nType=exec\n# Why\nUser=flask-shop\n"
        "WorkingDirectory=/opt/flask/shop/instances/%i/release/app\n"
        "ExecStart=/usr/bin/python3\nRestart=always\nCapabilityBoundingSet=\n\n[Install]\nWantedBy=flask-shop.target\n"
    )
    assert commands.sandbox(app, "abc") == [
        "User=flask-shop", "WorkingDirectory=/opt/flask/shop/deployments/abc/release/app", "CapabilityBoundingSet=",
        "IPAddressDeny=any",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["", " ", "\t"])
def test_command_of_nothing_is_said(command):
    with pytest.raises(HostError, match=r"^there is no command in '.*'\. Fix: what is to run, like flask routes$"):
        commands.words(command)


def test_a_run_says_what_a_process_was_on():
    # Its line is said when the process is on the new one already.
    app = SimpleNamespace(name="jobs", linked={"mail-1": "0a1b2c3d4e5f"}.get)
    assert processes._reason(app, "ffffffffffff", "mail-1", None) == "was on 0a1b2c3d4e5f"
    assert processes._reason(app, "ffffffffffff", "mail-2", None) == "is new"
