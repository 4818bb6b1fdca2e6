"""What is said of the roles in several places is the same in all of them."""

import re

import pytest
import yaml

from scripts import variables
from tests.conftest import PROJECT, load

ROLES = sorted(path.name for path in (PROJECT / "roles").iterdir())

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]


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
    # An app is one mapping, whose keys have their defaults where they are described.
    keys = options.get("flask_app", {}).get("options", {})
    assert [name for name, key in keys.items() if ("default" in key) == key.get("required", False)] == []
    assert len(options) <= 25
    assert all(name == role or name.startswith(f"{role}_") for name in options)
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
    used = set(re.findall(rf"(?<!\w)(?<!deploy\.){role}_\w+", "\n".join(path.read_text() for path in files)))
    if role in options:
        used |= set(re.findall(rf"(?<![\w.-])({role})\.(?=\w)", "\n".join(path.read_text() for path in files)))
    assert set(options) - used == set()
    # What a role returns: a fact or a register under its name, which its description names.
    returned = set(re.findall(rf"returns ({role}_\w+)", "\n".join(path.read_text() for path in files)))
    assert used - set(options) == returned
    described = " ".join(read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["description"])
    assert [name for name in returned if name not in described] == []


def test_plays_read_of_a_role_only_what_it_returns():
    files = [path for path in (PROJECT / "playbooks").rglob("*.yml") if "collections" not in path.parts]
    assert len(files) > 20
    assert [path.name for path in files if re.search(r"\b__\w", path.read_text())] == []


@pytest.mark.parametrize("role", ROLES)
def test_files_are_short(role):
    for path in (PROJECT / "roles" / role).glob("tasks/*.yml"):
        assert len(path.read_text().splitlines()) <= 120, path
    for path in (PROJECT / "roles" / role).glob("templates/*"):
        assert len(path.read_text().splitlines()) <= 80, path


def test_what_the_units_set_is_not_the_users_to_set():
    settings = yaml.safe_load((PROJECT / "roles" / "flask_app" / "vars" / "main.yml").read_text())[
        "__flask_app_settings"
    ]
    assert len(settings) > 5
    assert {f"APP_{key.upper()}" for key in settings} <= load("plugin_utils/app_problems.py").RESERVED_ENVIRONMENT


def release_of(file):
    """Return what the tasks of a file ask of flask_release."""
    (block,) = read("flask_app", f"tasks/{file}")
    (found,) = [one for task in block["block"] if (one := task.get("flask_haproxy.deploy.flask_release"))]
    return found


def test_what_is_shipped_is_what_was_built():
    built, shipped = release_of("build.yml"), release_of("prepare.yml")
    assert built.pop("build_only") is True
    assert shipped.pop("there")
    assert built == shipped


def test_every_scenario_has_what_it_verifies_with():
    scenarios = [path.parent for path in (PROJECT / "molecule").glob("*/molecule.yml")]
    assert scenarios
    for scenario in scenarios:
        assert list(scenario.glob("tests/test_*.py")), scenario
        assert [path for path in scenario.glob("inventory/hosts.*") if path.is_file()], scenario


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_leads_to_is_there(path):
    for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / link).exists(), f"{path.name} names {link}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_of_a_page_are_there(path):
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    targets |= {
        name
        for line in re.findall(r"^([a-z ]+):$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        for name in line.split()
    }
    made = re.findall(r"^make ([a-z-]+)", text, re.MULTILINE) + re.findall(
        r"`(?:[A-Z_]+=\S+ )?make ([a-z-]+)[`; ]", text
    )
    assert set(made) <= targets
    playbooks = {one.stem for one in (PROJECT / "playbooks").glob("*.yml")}
    run = re.findall(r"playbooks/([a-z]+)\.yml", text) + re.findall(
        r"ansible-playbook flask_haproxy\.deploy\.([a-z]+)", text
    )
    assert set(run) <= playbooks
