"""The parts of the modules that need no host."""

import json
import os
import subprocess
import sys
from pwd import struct_passwd

import pytest
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import Processes, parse_processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.listeners import listening_inodes, unit_of
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, quoted

from tests.conftest import PROJECT, load

# As HAProxy 2.6.12 and 3.0.11 of Debian answer `show proc`.
GOOD_26 = """#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
773             master          1 [failed: 0]   0d00h00m01s     2.6.12-1+deb12u4
# workers
785             worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
775             worker          1               0d00h02m01s     2.6.12-1+deb12u4
# programs

"""
FAILED_30 = """#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
342             master          2 [failed: 1]   0d00h00m01s     3.0.11-1+deb13u5
# workers
359             worker          1               0d00h00m01s     3.0.11-1+deb13u5
# programs

"""


def test_show_proc():
    assert parse_processes(GOOD_26) == Processes((785,), (775,), 0)
    assert parse_processes(FAILED_30) == Processes((359,), (), 1)


def test_show_proc_that_is_none():
    for text in ("", "Unknown command\n"):
        try:
            parse_processes(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_only_what_is_out_by_hand_is_disabled():
    with_drained = load("module_utils/haproxy_files.py").with_drained
    server, own = "    server web1-1 192.0.2.1:5001 check", "    server spare 192.0.2.9:80 check disabled"
    config = f"backend hello\n{own}\n{server}\nbackend other\n{server} disabled\n"
    assert with_drained(config, []) == config
    out = with_drained(config, ["hello/web1-1"])
    assert out == config.replace(server, f"{server} disabled", 1)
    assert with_drained(out, ["hello/web1-1"]) == out
    # It stays so until somebody puts it back, and nobody else's is.
    assert with_drained(out, [], back=["hello/web1-1"]) == config
    assert with_drained(out, ["hello/web1-1"], back=["hello/web1-1"]) == out


def test_quoted_for_systemd():
    assert quoted('a "b" $c \\d `e` #f') == '"a \\"b\\" \\$c \\\\d \\`e\\` #f"'


def test_write_file_says_whether_it_changed(tmp_path):
    path = tmp_path / "folder" / "file"
    assert write_file(path, "text", 0o600)
    assert not write_file(path, "text", 0o600)
    assert write_file(path, "text", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644
    assert write_file(path, "other", 0o644)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("locale", ["C.UTF-8", "en_US.ISO-8859-1", "C"])
def test_files_are_the_same_in_every_locale(tmp_path, locale):
    path, text = tmp_path / "env", 'A="ü €"\nB="one\r\ntwo"\n'
    program = (
        "import sys; from pathlib import Path; "
        "from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, write_file; "
        f"path = Path(sys.argv[1]); print(write_file(path, {text!a}), write_file(path, read_file(path)))"
    )
    # What Python takes for the encoding of files, also where the locale is not installed.
    environment = os.environ | {
        "LC_ALL": locale,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(PROJECT / "collections"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, path], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
    assert path.read_bytes() == text.encode()
    path.write_bytes(b"# caf\xe9\r\n")
    assert write_file(path, read_file(path)) is False
    assert write_file(tmp_path / "other", read_file(path))
    assert (tmp_path / "other").read_bytes() == b"# caf\xe9\r\n"


def test_instance_points_at_a_deployment(tmp_path):
    app = App("hello")
    app.instances = tmp_path / "instances"
    assert app.linked(1) is None
    app.point(1, "abc")
    app.point(1, "def")
    assert app.linked(1) == "def"
    assert (app.instances / "1").readlink().as_posix() == "../deployments/def"
    app.point(1, None)
    assert app.linked(1) is None


def test_prune_keeps_what_is_needed(tmp_path):
    app = App("hello")
    app.home = tmp_path
    for name in ("libs", "releases", "deployments", "instances"):
        setattr(app, name, tmp_path / name)
        (tmp_path / name).mkdir()
    # Ten deployments, each with a release of its own, two releases to a set of dependencies; the first is live.
    for number in range(10):
        deployment, release, lib = f"d{number}", f"a{number}", f"b{number // 2}"
        (app.libs / lib).mkdir(exist_ok=True)
        (app.releases / release).mkdir()
        (app.releases / release / "lib").symlink_to(f"../../libs/{lib}")
        write_file(app.deployments / deployment / "deployment.json", "{}")
        (app.deployments / deployment / "release").symlink_to(f"../../releases/{release}")
        os.utime(app.deployments / deployment / "deployment.json", (number, number))
    app.point(1, "d0")
    app.mark_bad("d8", "sick")
    app.mark_bad("d7", "sick")
    (app.home / "history").write_text("2026-01-01T00:00:00+0000 d2\n2026-01-02T00:00:00+0000 d0\n")
    app.prune(1, "d4")

    def left(folder):
        return sorted(path.name for path in folder.iterdir())

    # Live, live before, current, and the youngest good and bad one each.
    assert left(app.deployments) == ["d0", "d2", "d4", "d8", "d9"]
    assert left(app.releases) == ["a0", "a2", "a4", "a8", "a9"]
    assert left(app.libs) == ["b0", "b1", "b2", "b4"]


def test_history_that_a_power_cut_has_cut(tmp_path):
    app = App("hello")
    app.home = tmp_path
    (tmp_path / "history").write_text("2026-01-01T00:00:00+0000 one\n2026-01-02T00:00:00+0000 two\n2026-01")
    assert [deployment for _, deployment in app.history()] == ["one", "two"]
    app.deployments = tmp_path / "deployments"
    write_file(app.deployments / "two" / "deployment.json", '{"version": "2"}')
    assert [version for _, version in app.lived()] == ["one", "2"]


def test_only_one_module_is_at_work_on_an_app(tmp_path):
    app = App("hello")
    with app.alone(folder=tmp_path):
        with (
            pytest.raises(HostError, match=rf"process {os.getpid()} of another run has been at work on hello"),
            app.alone(wait=0.1, folder=tmp_path),
        ):
            pass
        # Another application is another matter.
        with App("other").alone(wait=0.1, folder=tmp_path):
            pass
    with app.alone(wait=0.1, folder=tmp_path):
        pass


def test_listening_inodes():
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
        "   1: 0100007F:1389 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n"
    )
    assert listening_inodes(table) == {80: {"4711"}}


def test_unit_of_a_process():
    assert unit_of("0::/system.slice/nginx.service\n") == "nginx.service"
    assert unit_of("0::/system.slice/system-flask\\x2dhello.slice/flask-hello@1.service\n") == "flask-hello@1.service"
    assert unit_of("0::/user.slice/user-0.slice/session-1.scope\n") == "session-1.scope"
    assert unit_of("0::/init.scope") == "init.scope"


def test_port_that_somebody_else_holds():
    preflight = load("modules/host_preflight.py")
    wanted = [{"port": 80, "owner": "haproxy"}, {"port": 5001, "owner": "flask-hello@1.service"}]
    held = {
        80: preflight.Listener(7, "nginx", "nginx.service"),
        5001: preflight.Listener(8, "python3", "flask-hello@1.service"),
    }
    found = list(preflight.port_problems(wanted, held))
    assert found == [
        "port 80, which haproxy is to listen on, is held by nginx (nginx.service). "
        "Fix: stop that (systemctl disable --now nginx), or change haproxy_binds."
    ]
    (found,) = preflight.port_problems([{"port": 80, "owner": "flask-my-shop@2.service"}], held)
    assert found.endswith(
        "or change port of the app my-shop. Of several apps, -e app=NAME deploys another one meanwhile."
    )


def test_port_of_another_app_in_the_list_is_not_freed_by_removing_that():
    preflight = load("modules/host_preflight.py")
    held = {5001: preflight.Listener(8, "python3", "flask-hello@1.service")}
    wanted = [{"port": 5001, "owner": "flask-shop@1.service"}]
    assert "remove -e app=hello` frees" in next(preflight.port_problems(wanted, held))
    (found,) = preflight.port_problems([*wanted, {"port": 5101, "owner": "flask-hello@1.service"}], held)
    assert found == (
        "port 5001, which flask-shop@1.service is to listen on, is held by the app hello, which has to leave it before. "
        "Fix: a port for hello that is free, and -e app=hello, which deploys it alone; then all. Or another port for shop."
    )


@pytest.mark.parametrize("unit", ["ssh.service", "session-4.scope", "systemd-logind.service", "user@1000.service", ""])
def test_port_of_somebody_who_is_logged_in_is_not_freed_by_locking_him_out(unit):
    preflight = load("modules/host_preflight.py")
    held = {80: preflight.Listener(4711, "python3", unit)}
    (found,) = preflight.port_problems([{"port": 80, "owner": "haproxy"}], held)
    assert "Fix: stop that (kill 4711), or change haproxy_binds." in found


def test_release_of_debian():
    preflight = load("modules/host_preflight.py")
    debian = preflight.os_release('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n')
    assert list(preflight.release_problems(debian, ["12", "13"])) == []
    ubuntu = preflight.os_release('PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n')
    assert list(preflight.release_problems(ubuntu, ["12", "13"])) == [
        "this is Ubuntu 24.04. Fix: a host with Debian 12 or 13; it is what the project is tested on."
    ]


def test_account_that_a_person_has(tmp_path):
    preflight = load("modules/host_preflight.py")
    person = struct_passwd(("flask-shop", "x", 1001, 1001, "", "/home/anna", "/bin/bash"))
    ours = struct_passwd(("flask-api", "x", 990, 990, "", "/var/lib/flask-api", "/usr/sbin/nologin"))
    found = list(preflight.account_problems(["shop", "api", "new"], [person, ours], tmp_path))
    assert found == [
        "the account flask-shop (home /home/anna, shell /bin/bash) is none of an app, and shop would run as it. "
        "Fix: another name for the app, or for the account (usermod --login NEW flask-shop)."
    ]
    # Somebody has changed that of an app, which is still its own.
    (tmp_path / "shop").mkdir()
    assert list(preflight.account_problems(["shop"], [person], tmp_path)) == []


def test_what_systemd_says_of_settings():
    words_on = load("module_utils/unit_check.py").words_on
    text = ["[Service]", "ExecStart=/usr/bin/true", "MemoryDenyWriteExecute=maybe"]
    said = (
        "/etc/systemd/system/other.service:3: Unknown key 'X' in section [Service], ignoring.\n"
        "/tmp/f/flask-settings.service:3: Failed to parse boolean value, ignoring: maybe\nConfiguration file is executable\n"
    )
    assert list(words_on(text, "/tmp/f/flask-settings.service", said)) == [
        ("MemoryDenyWriteExecute=maybe", "Failed to parse boolean value, ignoring: maybe")
    ]


def test_settings_are_put_to_systemd_where_they_are_new(tmp_path, monkeypatch):
    units = load("module_utils/unit_check.py")
    asked = []
    words = {
        "ProtectHom=yes": "Unknown key 'ProtectHom' in section [Service], ignoring",
        "MemoryMax=9XB": "Invalid memory limit",
    }
    monkeypatch.setattr(
        units,
        "ignored",
        lambda lines: asked.append(lines) or [(line, words[line]) for line in lines if line in words],
    )
    monkeypatch.setattr(units, "nearest", lambda key: "ProtectHome" if key == "ProtectHom" else "")
    new = ["MemoryMax=9XB", "PrivateUsers=no", "ProtectHom=yes"]
    assert list(units.setting_problems({"hello": new, "plain": []}, tmp_path)) == [
        "memory_max of hello is '9XB', which systemd would ignore: Invalid memory limit. "
        "Fix: what systemd.directives(7) has for MemoryMax, or leave it out.",
        "sandbox.ProtectHom of hello is 'yes', which systemd would ignore: Unknown key 'ProtectHom' in section [Service], "
        "ignoring. Fix: ProtectHome, if that is meant.",
    ]
    there = tmp_path / "hello" / "deployments" / "abc"
    there.mkdir(parents=True)
    (there / "unit.conf").write_text("MemoryMax=9XB\nPrivateUsers=no\nProtectHom=yes\n")
    assert list(units.setting_problems({"hello": new}, tmp_path)) == []
    assert asked == [new]


def test_times_of_timers_are_put_to_systemd():
    """Systemd's own words decide, which Debian's releases may have otherwise."""
    apps = load("plugin_utils/apps.py").flask_apps_complete(
        [
            {
                "name": "shop", "source": ".", "wsgi": "shop:app", "port": 5001,
                "timers": [
                    {"name": name, "command": "x", "calendar": calendar}
                    for name, calendar in {"a": "25:00", "b": "Mon *-*-* 04:30", "c": "-03:00", "d": "750"}.items()
                ],
            },
            {"name": "plain", "source": ".", "wsgi": "plain:app", "port": 6001},
        ]
    )  # fmt: skip
    calendars = load("filter/units.py").flask_calendars(apps)
    assert list(calendars) == ["shop"]
    found = list(load("module_utils/unit_check.py").calendar_problems(calendars))
    assert found[0] == (
        "timers.a.calendar of shop is '25:00', which systemd does not take. "
        "Fix: a time of systemd.time(7), like 03:00; `systemd-analyze calendar` tries one."
    )
    assert [one.partition(" of ")[0] for one in found] == [f"timers.{name}.calendar" for name in "acd"]
    # A module that does not ask would let it pass.
    preflight = load("modules/host_preflight.py")
    params = {"ports": [], "apps": {}, "calendars": calendars, "balancer": False, "takeover": False, "free_mib": 0}
    assert set(found) <= set(preflight.host_problems(params))


def test_users_that_are_as_the_role_makes_them():
    preflight = load("modules/host_preflight.py")

    def user(name, home, shell):
        return struct_passwd((name, "x", 999, 999, "", home, shell))

    found = preflight.app_users(
        [
            user("flask-hello", "/var/lib/flask-hello", "/usr/sbin/nologin"),
            user("flask-other", "/home/flask-other", "/usr/sbin/nologin"),
            user("flask-login", "/var/lib/flask-login", "/bin/bash"),
            user("games", "/var/lib/games", "/usr/sbin/nologin"),
        ]
    )
    assert found == ["flask-hello"]


def test_what_instances_are_on_and_since_when(tmp_path, monkeypatch):
    monkeypatch.setattr(load("module_utils/app_folders.py"), "ROOT", tmp_path)
    app = App("hello")
    for deployment in ("old", "new"):
        write_file(app.deployments / deployment / "deployment.json", f'{{"release": "of {deployment}"}}')
    app.point(1, "old")
    app.point(2, "new")
    pointed = app.on([2, 3])
    assert [(one["number"], one["deployment"], one["release"]) for one in pointed] == [(2, "new", "of new")]
    assert pointed[0]["since"] == (app.instances / "2").lstat().st_mtime
    # An instance that went to another deployment and came back is on this one since all were.
    write_file(app.home / "history", "1970-01-01T00:01:40+0000 old\n")
    assert [one["since"] for one in app.on([1])] == [100.0]


class Balancer:
    """A balancer with a server that was something."""

    def __init__(self, was, healthy=True):
        self.was, self.healthy = was, healthy

    def drain(self, *_):
        return self.was, 0

    def admit(self, *_):
        return self.was, self.healthy


@pytest.mark.parametrize(
    ("state", "was", "healthy", "seconds"),
    [
        ("drain", "ready", True, ["drained"]),
        ("drain", "absent", True, []),
        ("drain", "last", True, []),
        ("ready", "drained", True, ["healthy"]),
        ("ready", "drained", False, []),
        ("ready", "absent", True, []),
    ],
)
def test_server_says_how_long_it_took(state, was, healthy, seconds):
    asked = {"state": state, "timeout": 1, "keep_last": False, "address": "", "port": 0, "by_hand": False}
    change = load("modules/haproxy_server.py").change
    found = change(Balancer(was, healthy), ("hello", "web-1"), asked | {"required": False}, False)
    assert list(found["seconds"]) == seconds


def test_deployment_keeps_when_it_was_first_written_and_of_what(tmp_path, monkeypatch):
    module = load("module_utils/deployment.py")
    app = App("hello")
    app.home, app.deployments, app.releases = tmp_path, tmp_path / "deployments", tmp_path / "releases"
    given = {
        "release": "a1", "version": "v1", "health": "/health", "health_check": {}, "environment": None,
        "settings": {"wsgi": "app:app"}, "unit_settings": [], "commands": {}, "units": {}, "keep": 3,
    }  # fmt: skip

    def written(when, **source):
        monkeypatch.setattr(module.time, "strftime", lambda _: when)
        deployment = module.Deployment(app, given | {"source": source})
        deployment.write()
        return read_json(deployment.home / "deployment.json")

    first = written("first", commit="1")
    assert (first["written"], first["source"], first["made_of"]) == ("first", {"commit": "1"}, {"commit": "1"})
    assert written("later", commit="1") == first
    assert written("later", commit="2") == first | {"source": {"commit": "2"}}
    checked = {"health_check": {"status": "204", "headers": {}}}
    given |= checked
    assert written("later", commit="2") == first | checked | {"source": {"commit": "2"}}
    given |= {"health_check": {}}
    assert written("later", commit="2") == first | {"source": {"commit": "2"}}
    # Of a release of this project that did not write down the first one.
    path = next(app.deployments.glob("*/deployment.json"))
    path.write_text(json.dumps({key: value for key, value in first.items() if key != "made_of"}))
    assert written("later", commit="3") == first | {"source": {"commit": "3"}}


def test_rollback_over_another_health_check_is_refused(tmp_path):
    module, app = load("modules/flask_stale.py"), App("hello")
    app.deployments = tmp_path
    asked = {"deployment": "one", "health": "/up", "health_check": {"status": "204", "headers": {"A": "b"}}}
    write_file(tmp_path / "one" / "deployment.json", '{"health": "/up"}')
    assert module.refusal(app, asked) == (
        'Deployment one of hello answers /up, and the balancers ask for {"headers": {"A": "b"}, "path": "/up", "status": "204"}. '
        "Nothing was changed. Fix: health: /up in the inventory, and ansible-playbook flask_haproxy.deploy.site."
    )
    assert module.refusal(app, asked | {"health_check": {}}) == ""
    assert "Fix: health: /up in" in module.refusal(app, asked | {"health": "/other", "health_check": {}})
    write_file(tmp_path / "one" / "deployment.json", json.dumps(asked))
    assert module.refusal(app, asked) == ""
    assert 'health: {"headers": {"A": "b"}, "path": "/up"' in module.refusal(app, asked | {"health_check": {}})
