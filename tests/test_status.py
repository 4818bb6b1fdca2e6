"""What is said of a site, from what its hosts have answered."""

import json
import os
import time
from types import SimpleNamespace

import pytest

from tests.conftest import PROJECT, load
from tests.seen import BACKENDS, NOW, Site, instance, server

RECORDED = {path.stem: json.loads(path.read_text()) for path in (PROJECT / "tests" / "recorded").glob("haproxy-*.json")}


@pytest.fixture
def site():
    return Site()


def model(site):
    return load("plugin_utils/site_status.py").site_status(BACKENDS, site.app_hosts, site.balancers)


def text(site):
    return load("plugin_utils/status_text.py").status_text(model(site), NOW).splitlines()


def words(site):
    return [" ".join(line.split()) for line in text(site)]


def test_healthy_site(site):
    assert text(site) == [
        "hello",
        "INSTANCE  PORT  UNIT    RELEASE   AGE  LB1  LB2  CHECK         NOW  REQUESTS  ERRORS  RESTARTS  MEM",
        "app1-1    5001  active  5f4e3d2c  2 h  UP   UP   L7OK 200 1ms    2      2000       0         0  30M",
        "app2-1    5001  active  5f4e3d2c  2 h  UP   UP   L7OK 200 1ms    2      2000       0         0  30M",
        "app1-2    5002  active  5f4e3d2c  2 h  UP   UP   L7OK 200 1ms    2      2000       0         0  30M",
        "app2-2    5002  active  5f4e3d2c  2 h  UP   UP   L7OK 200 1ms    2      2000       0         0  30M",
        "",
        "BALANCER  HAPROXY  LOADED   RELOADS  SERVERS UP  CONFIGURATION  CERTIFICATE  DEPLOY LOCK",
        "lb1       2.6.12   2 h ago        3  4 of 4      as loaded      none         free",
        "lb2       2.6.12   2 h ago        3  4 of 4      as loaded      none         free",
    ]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"commit": COMMIT}, "01234567"),
        ({"commit": COMMIT, "changed": "yes"}, "01234567+changes"),
        ({"repository": "https://git.example.org/shop", "ref": "v1.2", "commit": COMMIT}, "01234567 (v1.2)"),
        ({"repository": "https://git.example.org/shop", "ref": COMMIT, "commit": COMMIT}, "01234567"),
        ({"package": "httpbin==0.10.2"}, "httpbin==0.10.2"),
        ({"wheel": "shop-1.0-py3-none-any.whl", "sha256": "x"}, "shop-1.0-py3-none-any.whl"),
    ],
)
def test_what_a_release_is_made_of(site, source, told):
    for host in site.app_hosts.values():
        host["apps"]["hello"]["deployments"]["0a1b2c3d4e5f"]["source"] = source
    told = f"commit {told}" if "commit" in source else told
    assert text(site)[0] == f"hello: 5f4e3d2c is {told}"
    site.first()["release"] = "eeeeeeeeeeee"
    site.first()["deployment"] = "ffffffffffff"
    site.app_hosts["app1"]["apps"]["hello"]["deployments"]["ffffffffffff"]["source"] = {"package": "hello==1"}
    assert text(site)[0] == f"hello: eeeeeeee is hello==1, 5f4e3d2c is {told}"


def test_host_that_does_not_answer_is_a_row(site):
    site.app_hosts["app2"] = {"unreachable": True, "msg": "Task failed: no route to host"}
    site.balancers["lb2"] = {"failed": True, "msg": "Timed out."}
    lines = words(site)
    assert lines[2].startswith("app1-1 5001 active")
    assert lines[3].startswith("app2-1 5001 no answer UP silent")
    assert lines[-5:] == ["lb2 no answer", "", "No answer", "lb2: Timed out.", "app2: no route to host"]


def test_canary_is_a_line(site):
    about = {"server": "app1-1", "share": 10, "who": "anna@laptop", "since": "some day"}
    for name in ("lb1", "lb2"):
        site.balancers[name]["canaries"] = {"hello": about}
    assert text(site)[-2:] == ["Canaries", "  hello/app1-1 gets 10 % on lb1, lb2: by anna@laptop since some day"]


def test_what_is_in_maintenance_is_a_line(site):
    for name in ("lb1", "lb2"):
        site.balancers[name]["maintenance"] = {"hello": NOW}
    assert text(site)[-2:] == ["In maintenance", "  hello on lb1, lb2"]


def test_host_that_was_not_asked(site):
    site.app_hosts["app2"] = {}
    assert text(site)[-1] == "  app2: was not asked"


def test_servers_that_differ(site):
    site.balancers["lb1"]["servers"][0] |= {"status": "DOWN 1/2", "check": "L4CON", "took": 0}
    site.balancers["lb2"]["servers"].pop(1)
    lines = words(site)
    assert "DOWN UP L4CON" in lines[2]
    assert "UP absent L7OK" in lines[3]


def test_instance_that_is_missing_and_one_too_many(site):
    site.app_hosts["app1"]["apps"]["hello"]["instances"][1] = instance("app1", 3)
    site.app_hosts["app2"]["apps"]["old"] = {"instances": [instance("app2", 1)], "history": [], "deployments": {}}
    site.app_hosts["app2"]["apps"]["older"] = {"instances": [], "history": [], "deployments": {}}
    site.balancers["lb1"]["servers"].append(server("app1-3"))
    lines = text(site)
    assert words(site)[4].startswith("app1-2 5002 missing")
    assert lines[-5:] == [
        "There, and in no list of the inventory",
        "  app1: instance 3 of hello",
        "  app2: app old with 1 instance",
        "  app2: app older, of which files are left",
        "  lb1: server hello/app1-3",
    ]


def test_what_is_out_by_hand_is_one_line_for_all_balancers(site):
    for one in site.balancers.values():
        one["drained"] = {"hello/app1-1": {"who": "anna@laptop", "since": "2025-11-25T23:00:00+0000"}}
    found = model(site)["drained"]
    assert [(one["server"], one["on"]) for one in found] == [("hello/app1-1", ["lb1", "lb2"])]
    assert text(site)[-1].startswith("  hello/app1-1 on lb1, lb2: by anna@laptop since 2025-11-2")
    assert text(site)[-1].endswith(" (1 h)")


def test_long_names_and_large_numbers_fit(site):
    long = {
        "name": "shop",
        "servers": [{"name": f"application-host-number-{n}-1", "address": "a", "port": 50001} for n in (1, 2)],
    }
    found = load("plugin_utils/site_status.py").site_status([*BACKENDS, long], site.app_hosts, site.balancers)
    for one in found["instances"]:
        one |= {"state": "deactivating", "since": 1, "release": "5f4e3d2c1b0a", "memory": 900 << 20, "restarts": 12345}
        for of in one["on"].values():
            of |= {
                "status": "no answer",
                "check": "L7STS 503",
                "took": 3,
                "now": 2345,
                "requests": 123456789,
                "errors": 99999,
            }
    lines = load("plugin_utils/status_text.py").status_text(found, NOW).splitlines()
    assert max(map(len, lines)) <= 100, "\n".join(lines)
    assert [line.split()[0] for line in lines if "…" in line][-2:] == ["…ber-1-1", "…ber-2-1"]


def test_many_balancers_share_a_column(site):
    site.balancers |= {f"lb{n}": Site().balancers["lb1"] for n in range(3, 7)}
    site.balancers["lb6"]["servers"][0]["status"] = "DOWN"
    assert "UP 5, DOWN 1" in text(site)[2]
    assert max(map(len, text(site))) <= 100


def test_program_gets_everything(site):
    found = json.loads(json.dumps(model(site)))
    assert set(found) == {"instances", "balancers", "others", "drained", "canaries", "unlisted", "silent"}
    assert found["instances"][0]["on"]["lb1"]["status"] == "UP"
    assert found["balancers"][0]["up"] == 4


@pytest.mark.parametrize("recorded", sorted(RECORDED))
def test_what_haproxy_says_is_read(recorded):
    status = load("module_utils/haproxy_status.py")
    found = status.parse_stat(RECORDED[recorded]["stat drained"])
    assert [one["server"] for one in found] == ["web-1", "web-2", "web-3"]
    assert [one["status"] for one in found] == ["UP", "DRAIN", "UP"]
    assert all(one["check"] == "L7OK 200" for one in found)
    assert status.reloads(RECORDED[recorded]["proc reloaded"]) == status.reloads(RECORDED[recorded]["proc"]) + 1
    with pytest.raises(ValueError, match="no answer"):
        status.parse_info("Unknown command")


def test_change_by_hand_is_known_by_the_seal():
    files = load("module_utils/haproxy_files.py")
    written = files.sealed("global\n    maxconn 5\n")
    assert files.sealed(written) == written
    assert not files.altered(written)
    assert not files.altered("global\n")
    for by_hand in (written.replace("maxconn 5", "maxconn 6"), written + "listen more\n", "# a\n" + written):
        assert files.altered(by_hand)


@pytest.mark.parametrize(
    ("names", "columns", "words"),
    [
        (("balancer-1", "balancer-2", "balancer-3"), ("…ER-1", "…ER-2", "…ER-3"), ("DOWN", "UP", "UP")),
        # Which one is which would not be seen.
        (("north-balancer", "south-balancer", "balancer"), ("BALANCERS",), ("DOWN 1,", "UP 2")),
        (("lb.north.example", "lb.south.example"), ("BALANCERS",), ("DOWN 1,", "UP 1")),
    ],
)
def test_columns_of_balancers_are_as_wide_as_there_is_room(site, names, columns, words):
    site.balancers = {name: Site().balancers["lb1"] for name in names}
    for one in site.balancers.values():
        one["servers"][0] |= {"check": "L7OK 200", "took": 1200, "requests": 99999, "errors": 12345}
    site.balancers[names[0]]["servers"][0]["status"] = "DOWN"
    first = site.first()
    first |= {"restarts": 12345, "memory": 1023 << 20, "since": NOW - 7200}
    lines = text(site)
    assert max(map(len, lines)) <= 100
    assert lines[1].split()[5 : lines[1].split().index("CHECK")] == list(columns)
    assert " ".join(words) in " ".join(next(line for line in lines if "5001" in line).split())


def test_what_releases_are_made_of_is_wrapped(site):
    made = {"commit": "0123456789abcdef", "ref": "feature/" + "that-is-called-by-all-it-does-" * 5}
    for host in site.app_hosts.values():
        host["apps"]["hello"]["deployments"]["0a1b2c3d4e5f"]["source"] = made
    lines = text(site)
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("hello: 5f4e3d2c is commit 01234567")
    assert f"({made['ref']})" in "".join(line.strip() for line in lines[:3])


def test_timer_has_the_times_that_systemd_says_in_no_words(monkeypatch):
    found = load("module_utils/app_status.py")
    # `systemctl show` has these in words, even with --timestamp=unix.
    shown = [
        {"next": 1795730880000000, "left": 1, "last": 1795730760037123, "passed": 2, "unit": "flask-jobs@a.timer"},
        {"next": None, "left": None, "last": 0, "passed": 0, "unit": "flask-jobs@b.timer"},
    ]
    said = {"list-units": "flask-jobs@a.timer loaded\nflask-jobs@b.timer loaded\n", "list-timers": json.dumps(shown)}
    state = {"ActiveState": "active", "SubState": "waiting", "Result": "success", "InactiveEnterTimestamp": ""}
    monkeypatch.setattr(found, "run", lambda *command: said[command[1]])
    state["LoadState"] = "loaded"
    monkeypatch.setattr(found, "apps", list)
    monkeypatch.setattr(found, "unit_states", lambda units, *_: dict.fromkeys(units, state))
    assert [(one["last"], one["next"]) for one in found.other_units()] == [
        (1795730760.037123, 1795730880.0),
        (None, None),
    ]


def test_what_was_changed_in_a_release_is_known(tmp_path, monkeypatch):
    altered = load("module_utils/app_status.py").altered
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    compiled = tmp_path / "package" / "__pycache__" / "module.cpython-311.pyc"
    for path in (tmp_path / "package" / "module.py", tmp_path / "package" / "other.py", compiled):
        path.touch()
    assert altered(tmp_path) == []
    monkeypatch.setattr(load("module_utils/app_status.py"), "MOMENT", 0.0)
    time.sleep(0.1)
    (tmp_path / "package" / "module.py").write_text("changed = True")
    os.utime(tmp_path / "package" / "module.py", (1, 1))
    assert altered(tmp_path) == [f"{tmp_path}/package/module.py"]
    (tmp_path / "new").mkdir()
    assert altered(tmp_path)[0] == str(tmp_path)


def test_what_others_than_root_may_read_or_write_is_known(tmp_path):
    status = load("module_utils/app_status.py")
    app = SimpleNamespace(home=tmp_path, libs=tmp_path / "l", releases=tmp_path / "r", deployments=tmp_path / "d")
    app.instances = tmp_path / "i"
    (tmp_path / "d" / "1").mkdir(parents=True)
    (tmp_path / "d" / "1" / "env").touch(0o600)
    assert status.exposed(app, os.getuid()) == []
    (tmp_path / "d" / "1" / "env").chmod(0o640)
    (tmp_path / "d").chmod(0o775)
    assert status.exposed(app, os.getuid()) == [f"{tmp_path}/d", f"{tmp_path}/d/1/env"]
    assert str(tmp_path) in status.exposed(app, os.getuid() + 1)
