"""CONTRIBUTING.md says where everything is, and which way a deploy takes; it is so."""

import re
from fnmatch import fnmatchcase

import pytest

from tests.conftest import PROJECT

ROOMS = ("modules", "module_utils", "plugin_utils", "lookup", "callback")
PLAYBOOKS = PROJECT / "playbooks"


def rows(heading):
    """Return the cells of each row of the table in a section."""
    text = (PROJECT / "CONTRIBUTING.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in table if not set(row[0]) <= set("- |")]


def named(cell):
    """Return what stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("room", [*(f"plugins/{room}" for room in ROOMS), "roles/flask_app/files"])
def test_room_is_said_to_have_what_it_has(room):
    (said,) = [row[1] for row in rows("Which room") if row[0] == f"`{room}`"]
    there = {path.stem for path in (PROJECT / room).glob("*.py")}
    patterns = [one for one in named(said) if re.fullmatch(r"[a-z_*]+", one)]
    assert [name for name in there if not any(fnmatchcase(name, one) for one in patterns)] == []
    assert [one for one in patterns if not any(fnmatchcase(name, one) for name in there)] == []


@pytest.mark.parametrize("row", rows("The way through")[1:], ids=lambda row: row[0])
def test_grep_follows_the_way(row):
    site = (PLAYBOOKS / "site.yml").read_text()
    role, *_ = named(row[1]) or [""]
    folder = PLAYBOOKS if role.endswith(".yml") or not role else PROJECT / "roles" / role / "tasks"
    names = [name for name in named(row[1]) if name.endswith(".yml")]
    texts = [(folder / name).read_text() for name in names] or [site]
    for name in names:
        # A role whose file is not named begins with its main.yml.
        assert name == "main.yml" or any(f" {name}\n" in text for text in (site, *texts)), name
    for module in named(row[2]):
        assert any(f" flask_haproxy.deploy.{module}:" in text for text in texts), module


def test_way_has_something_to_follow():
    assert len(rows("The way through")) > 10
