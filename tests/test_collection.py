"""The repository as a collection: what it says of itself in several places is the same, and what users install is whole."""

import ast
import re
import subprocess
import tarfile
import tomllib

import pytest
import yaml

from tests.conftest import PROJECT, load

GALAXY = yaml.safe_load((PROJECT / "galaxy.yml").read_text())
FILTERS = {
    name: path
    for path in (PROJECT / "plugins" / "filter").glob("*.py")
    for name in load(f"filter/{path.name}").FilterModule().filters()
}


def test_version_is_the_same_everywhere():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert GALAXY["version"] == project["version"]
    assert re.search(rf"^## {re.escape(GALAXY['version'])}\b", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_action_group_names_every_module():
    runtime = yaml.safe_load((PROJECT / "meta" / "runtime.yml").read_text())
    modules = sorted(path.stem for path in (PROJECT / "plugins" / "modules").glob("*.py"))
    assert runtime["action_groups"]["deploy"] == modules


@pytest.mark.parametrize("path", sorted((PROJECT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_documentation_of_a_module_can_be_read(path):
    texts = {
        node.targets[0].id: yaml.safe_load(node.value.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    }
    assert texts.keys() == {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    assert texts["DOCUMENTATION"]["module"] == path.stem


@pytest.mark.parametrize("name", ["flask_report", "flask_notify"])
def test_action_plugin_takes_what_is_documented(name):
    module = ast.parse((PROJECT / "plugins" / "modules" / f"{name}.py").read_text())
    (text,) = (
        one.value.value for one in module.body if isinstance(one, ast.Assign) and one.targets[0].id == "DOCUMENTATION"
    )
    assert yaml.safe_load(text)["options"].keys() == load(f"action/{name}.py").ActionModule._VALID_ARGS


def test_every_filter_is_documented():
    documented = {path.stem for path in (PROJECT / "plugins" / "filter").glob("*.yml")}
    assert documented == set(FILTERS)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_documentation_of_a_filter_names_its_arguments(name):
    function = load(f"filter/{FILTERS[name].name}").FilterModule().filters()[name]
    text = yaml.safe_load((PROJECT / "plugins" / "filter" / f"{name}.yml").read_text())["DOCUMENTATION"]
    code = function.__code__
    arguments = code.co_varnames[: code.co_argcount + bool(code.co_flags & 0x04)]
    assert text["name"] == name
    assert list(text["options"]) == ["_input", *arguments[1:]]
    assert text.get("positional", "") == ", ".join(arguments[1:])


def test_names_are_given_in_full():
    modules = "|".join(path.stem for path in (PROJECT / "plugins" / "modules").glob("*.py"))
    for folder in ("playbooks", "roles"):
        for path in (PROJECT / folder).rglob("*"):
            if path.suffix in (".yml", ".j2"):
                text = path.read_text()
                assert not re.search(rf"^\s+(- )?({modules}):$", text, re.MULTILINE), path
                assert not re.search(rf"\| *({'|'.join(FILTERS)})\b", text), path
                assert not re.search(r"_role:\n\s+name: (?!flask_haproxy\.deploy\.)", text), path


def test_tarball_holds_what_runs_and_nothing_of_the_clone(tmp_path):
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path], cwd=PROJECT, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as tar:
        names = [name for name in tar.getnames() if not name.endswith("/")]
    assert {name.partition("/")[0] for name in names} == {
        "CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "docs", "meta", "playbooks",
        "plugins", "roles",
    }  # fmt: skip
    assert "roles/flask_app/files/waitress.txt" in names
    assert not [name for name in names if "__pycache__" in name]
