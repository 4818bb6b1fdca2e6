"""A configuration and the files beside it are replaced and taken back together."""

import json
from pathlib import Path

import pytest

from tests.conftest import load

state = load("module_utils/haproxy_state.py")
parser = load("module_utils/haproxy_parser.py")
files = load("module_utils/haproxy_files.py")
maintenance = load("module_utils/haproxy_maintenance.py")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Give a folder with a configuration that runs."""
    monkeypatch.setattr(state, "CERTIFICATES", tmp_path / "certificates")
    monkeypatch.setattr(state, "PAGES", tmp_path / "maintenance")
    monkeypatch.setattr(state, "drained", dict)
    monkeypatch.setattr(state, "LOADED", tmp_path / "state" / "loaded.json")
    (tmp_path / "haproxy.cfg").write_text("old\n")
    (tmp_path / "certificates").mkdir()
    for name in ("a", "old"):
        (tmp_path / "certificates" / f"{name}.pem").write_text(f"old {name}")
    return tmp_path


def wanted(folder, **more):
    files = {str(folder / "certificates" / "a.pem"): "new a", str(folder / "certificates" / "b.pem"): "new b"}
    stand_ins = {str(folder / "certificates" / name): "stand-in" for name in ("a.pem", "c.pem")}
    return state.Wanted(
        {"path": str(folder / "haproxy.cfg"), "content": "new", "files": files, "stand_ins": stand_ins} | more
    )


def found(folder):
    """Return {name: text} of all files, without the seal of a configuration."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "loaded.json"]
    return {path.name: path.read_text().partition(state.SEAL)[0] for path in paths}


def test_all_of_it_is_replaced(folder, monkeypatch):
    monkeypatch.setattr(state, "apply", lambda *_, **__: ("reloaded", ""))
    one = wanted(folder)
    assert sorted(path.name for path in one.beside) == ["a.pem", "b.pem", "c.pem"]
    assert one.load(restart=False) == ("reloaded", "")
    one.prune()
    assert found(folder) == {"haproxy.cfg": "new\n", "a.pem": "new a", "b.pem": "new b", "c.pem": "stand-in"}
    assert (folder / "certificates" / "a.pem").stat().st_mode & 0o7777 == 0o600
    assert not wanted(folder).differs


def test_all_of_it_is_taken_back(folder, monkeypatch):
    before, loads = found(folder), []

    def apply(*_, **__):
        loads.append(found(folder)["a.pem"])
        return "reloaded", "" if len(loads) > 1 else "no"

    monkeypatch.setattr(state, "apply", apply)
    problem = wanted(folder).load(restart=False)[1]
    assert "is valid but could not be loaded, so the old one is back and loaded.\nno" in problem
    assert found(folder) == before
    assert loads == ["new a", "old a"]


def test_without_a_configuration_nothing_is_pruned(folder, monkeypatch):
    monkeypatch.setattr(state, "apply", lambda *_, **__: ("reloaded", ""))
    one = wanted(folder, content=None)
    one.load(restart=False)
    one.prune()
    assert found(folder)["haproxy.cfg"] == "old\n"
    assert "old.pem" in found(folder)


def test_certificate_that_somebodys_own_line_names_stays(folder, monkeypatch):
    monkeypatch.setattr(state, "apply", lambda *_, **__: ("reloaded", ""))
    one = wanted(folder, content=f"frontend a\n    bind *:8443 ssl crt {folder}/certificates/old.pem\n")
    one.load(restart=False)
    one.prune()
    assert found(folder)["old.pem"] == "old old"


def test_page_that_no_app_has_any_more_goes(folder, monkeypatch):
    monkeypatch.setattr(state, "apply", lambda *_, **__: ("reloaded", ""))
    pages = folder / "maintenance"
    pages.mkdir()
    for name in ("a", "gone"):
        (pages / f"{name}.html").write_text("old")
    one = wanted(folder, files={str(pages / "a.html"): "new"})
    one.load(restart=False)
    one.prune()
    assert [path.name for path in pages.iterdir()] == ["a.html"]


def test_maintenance_of_what_is_gone_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(maintenance, "MAINTENANCE", tmp_path / "maintenance.map")
    monkeypatch.setattr(maintenance, "audit", lambda _: None)
    maintenance.forget(["a"])
    assert maintenance.written() == []
    maintenance.write(["gone", "a"])
    maintenance.forget(["a", "b"])
    assert maintenance.written() == ["a"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"path": "a.pem", "names": ["a.test", "b.test"]}, "old a"),
        ({"path": "a.pem", "names": ["b.test"]}, "stand-in"),
        # It may be one that stands in itself.
        ({"path": "a.pem", "names": ["a.test"], "failed": True}, "stand-in"),
        ({"path": "gone.pem", "names": ["a.test"]}, "stand-in"),
    ],
)
def test_one_that_was_issued_for_the_same_names_stands_in(folder, monkeypatch, record, text):
    certificates = folder / "certificates"
    (folder / "acme.json").write_text(json.dumps({"old": record | {"path": str(certificates / record["path"])}}))
    monkeypatch.setattr(files, "ACME", folder / "acme.json")
    found = files.standing_in(
        {str(certificates / name): "stand-in" for name in ("new.pem", "old.pem")},
        {"new": {"path": str(certificates / "new.pem"), "names": ["a.test"]}},
    )
    assert found == {str(certificates / "new.pem"): text}


def test_what_is_told_at_run_time_is_no_reason_to_load_anew(folder, monkeypatch):
    table = folder / "maintenance.map"
    table.write_text("")
    monkeypatch.setattr(state, "MAINTENANCE", table)
    line = f"backend a\n    http-request deny if {{ str(a),map({table}) -m found }} {{ src -f {folder}/haproxy.cfg }}\n"
    assert list(wanted(folder, content=line).files) == [str(folder / "haproxy.cfg")]


def test_parser_finds_new_files_where_they_are(tmp_path, monkeypatch):
    seen = {}

    def run(command, **_):
        config = Path(command[-1])
        seen["config"] = config.read_text()
        place = seen["config"].split("crt ")[1].split()[0]
        seen["text"] = Path(place).read_text()

        class Done:
            returncode, stdout, stderr = 1, "", f"{config}: [ALERT] {place} is odd"

        return Done

    monkeypatch.setattr(parser.subprocess, "run", run)
    files = {Path("/etc/haproxy/a.pem"): "new"}
    words = parser.parser_words("bind :443 crt /etc/haproxy/a.pem crt /etc/haproxy/a.pem.old\n", files, tmp_path, "")
    assert words == "haproxy.cfg: [ALERT] /etc/haproxy/a.pem is odd"
    assert seen["text"] == "new"
    assert " crt /etc/haproxy/a.pem.old" in seen["config"]
    assert list(tmp_path.iterdir()) == []


def test_line_that_the_parser_refuses_is_somebodys():
    config = "global\n    nbthread two\n\nbackend shop\n    # theirs\n    http-requst deny\n    server a b:1\n"
    words = "[ALERT] (7) : config : parsing [haproxy.cfg:6] : unknown keyword\nparsing [haproxy.cfg:2] : 'nbthread' needs a number"
    found = list(parser.places(words, config, {"shop": ["http-requst deny"], "b": ["nbthread two"]}))
    assert found == [
        "Line 6, 'http-requst deny', is in haproxy_extra of shop. Fix: what HAProxy says of it, or take it out; "
        "of several apps, -e app=NAME deploys another one meanwhile.",
        "Line 2, 'nbthread two', is in the section 'global', where haproxy_global_extra goes.",
    ]
    assert list(parser.places("[haproxy.cfg:99] [haproxy.cfg:0]", "", {})) != []
