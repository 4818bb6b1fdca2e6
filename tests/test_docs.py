"""What is said of the roles in several places is the same in all of them."""

import re

import pytest
import yaml

from scripts import variables
from tests.conftest import PROJECT

ROLES = sorted(path.name for path in (PROJECT / "roles").iterdir())


def read(role, path):
    return yaml.safe_load((PROJECT / "roles" / role / path).read_text())


def test_variables_md_is_what_the_specs_say():
    assert variables.TARGET.read_text() == variables.text(), "run `make docs`"


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specs_name_the_same_variables(role):
    options = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = read(role, "defaults/main.yml")
    assert set(defaults) == {name for name, option in options.items() if not option.get("required")}
    assert {name: option["default"] for name, option in options.items() if not option.get("required")} == defaults
    assert len(options) <= 25
    assert all(name.startswith(f"{role}_") for name in options)
    kinds = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}
    wrong = [name for name, value in defaults.items() if type(value) is not kinds[options[name]["type"]]]
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_used_and_every_used_one_is_described(role):
    options = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    files = [
        path
        for part in ("tasks", "templates", "vars", "handlers")
        for path in (PROJECT / "roles" / role / part).glob("*")
    ]
    used = set(re.findall(rf"(?<!\w)(?<!\| ){role}_\w+", "\n".join(path.read_text() for path in files)))
    used -= {path.stem for path in (PROJECT / "plugins" / "modules").glob("*.py")}
    assert set(options) - used == set()
    assert used - set(options) == set()


@pytest.mark.parametrize("role", ROLES)
def test_files_are_short(role):
    for path in (PROJECT / "roles" / role).glob("tasks/*.yml"):
        assert len(path.read_text().splitlines()) <= 120, path
    for path in (PROJECT / "roles" / role).glob("templates/*"):
        assert len(path.read_text().splitlines()) <= 80, path


def test_every_scenario_has_what_it_verifies_with():
    scenarios = [path.parent for path in (PROJECT / "molecule").glob("*/molecule.yml")]
    assert scenarios
    for scenario in scenarios:
        assert list(scenario.glob("tests/test_*.py")), scenario
        assert [path for path in scenario.glob("inventory/hosts.*") if path.is_file()], scenario


def test_readme_links_and_files_exist():
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (PROJECT / name).read_text()):
            assert (PROJECT / link).exists(), f"{name} names {link}"
