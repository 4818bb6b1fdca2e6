"""The parts of the modules that need no host."""

import os
from pwd import struct_passwd

import pytest
from ansible.module_utils.flask_layout import App, LayoutError, quoted, write_file
from ansible.module_utils.haproxy_master import Processes, parse_processes
from ansible.module_utils.listeners import listening_inodes, unit_of

from tests.conftest import load

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


def test_only_one_module_is_at_work_on_an_app(tmp_path):
    app = App("hello")
    with app.alone(folder=tmp_path):
        with (
            pytest.raises(LayoutError, match=rf"process {os.getpid()} of another run has been at work on hello"),
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


def test_release_of_debian():
    preflight = load("modules/host_preflight.py")
    debian = preflight.os_release('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n')
    assert list(preflight.release_problems(debian, ["12", "13"])) == []
    ubuntu = preflight.os_release('PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n')
    assert list(preflight.release_problems(ubuntu, ["12", "13"])) == [
        "this is Ubuntu 24.04. Fix: a host with Debian 12 or 13; it is what the project is tested on."
    ]


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
