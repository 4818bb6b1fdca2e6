"""What the units of an app are given."""

import re

from tests.conftest import FILES, PROJECT, load

units = load("filter/units.py")


def test_what_systemd_is_asked_about_is_what_a_deployment_has(tmp_path, monkeypatch):
    """Else it is asked anew in each run."""
    app = {"name": "hello", "source": ".", "wsgi": "app:app", "port": 5001, "egress": "none"}
    (complete,) = load("plugin_utils/apps.py").flask_apps_complete([app])
    groups = {"app_servers": ["web1"], "load_balancers": ["web1"]}
    asked = units.flask_unit_settings_on([complete], "web1", groups, {"web1": {}})
    written = units.flask_unit_settings({}, "none", "", [], ["flask-hello/instance"])
    assert asked == {"hello": written}
    (tmp_path / "hello" / "deployments" / "abc").mkdir(parents=True)
    (tmp_path / "hello" / "deployments" / "abc" / "unit.conf").write_text("".join(f"{line}\n" for line in written))
    check = load("module_utils/unit_check.py")
    monkeypatch.setattr(check, "ignored", lambda lines: (_ for _ in ()).throw(AssertionError(lines)))
    assert list(check.setting_problems(asked, tmp_path)) == []
    assert list(check.setting_problems({"new": ["StateDirectory=flask-new/instance"]}, tmp_path)) == []


def test_unit_settings():
    lines = units.flask_unit_settings({"MemoryDenyWriteExecute": False}, "none", "512M", ["192.0.2.9"])
    assert lines == [
        "IPAddressDeny=any",
        "IPAddressAllow=localhost 192.0.2.9",
        "MemoryMax=512M",
        "MemoryDenyWriteExecute=no",
    ]
    assert units.flask_unit_settings({}, "any", "", []) == []


def test_files_that_may_be_open_are_enough_for_what_balancers_send(apps_model):
    unit = (PROJECT / "roles/flask_app/templates/app@.service.j2").read_text()
    files = int(re.search(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)[1])
    connections = int(re.search(r"^CONNECTIONS = (\d+)$", (FILES / "wsgi_waitress.py").read_text(), re.MULTILINE)[1])
    # Each connection, its body and its answer; and, of an ASGI app, those of several balancers.
    assert files > 3 * connections
    assert files > 4 * apps_model.ASGI_PLACES
