"""The rooms of the code: none is large, and each keeps its door."""

import ast
import re

import pytest

from tests.conftest import PROJECT

FOLDERS = ("plugins", "roles", "scripts")
MODULES = sorted(path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py"))
UTILS = PROJECT / "plugins" / "module_utils"
OF_THE_COLLECTION = "ansible_collections.flask_haproxy.deploy.plugins."


def imported(path):
    """Return what a module imports of this collection, below plugins/."""
    names = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {name.removeprefix(OF_THE_COLLECTION) for name in names if name.startswith(OF_THE_COLLECTION)}


def reached(path):
    """Return the files of module_utils that a module needs, also by way of others."""
    found, todo = set(), [path]
    while todo:
        for name in imported(todo.pop()):
            other = PROJECT / "plugins" / (name.replace(".", "/") + ".py")
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_module_and_its_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    too_long = {
        node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno - node.lineno >= 40
    }
    assert too_long == {}


def test_there_is_something_to_measure():
    assert len(MODULES) > 40


def test_what_is_haproxys_knows_nothing_of_apps():
    of_haproxy = [*(PROJECT / "plugins" / "modules").glob("haproxy_*.py"), *UTILS.glob("haproxy_*.py")]
    assert len(of_haproxy) > 6
    apps = {
        UTILS / f"{name}.py" for name in ("app_folders", "app_units", "deployment", "placing", "proof", "staleness")
    }
    assert all(path.is_file() for path in apps)
    assert {path.name: found & apps for path in of_haproxy if (found := reached(path)) & apps} == {}


def test_what_runs_on_a_host_needs_nothing_of_the_control_node():
    for path in [*(PROJECT / "plugins" / "modules").glob("*.py"), *UTILS.glob("*.py")]:
        assert not any(name.startswith("plugin_utils") for name in imported(path)), path


def test_what_has_the_logic_needs_none_of_its_doors():
    paths = list((PROJECT / "plugins" / "plugin_utils").glob("*.py"))
    assert len(paths) > 30
    rooms = {path.name: {name.split(".")[0] for name in imported(path)} for path in paths}
    assert {name: found for name, found in rooms.items() if not found <= {"plugin_utils", "module_utils"}} == {}


@pytest.mark.parametrize("folder", ["plugins/filter", "plugins/plugin_utils"])
def test_filters_read_no_variable_that_a_task_registers(folder):
    for path in (PROJECT / folder).glob("*.py"):
        assert re.findall(r"__(?:flask_app|haproxy)\w*|\w+_found", path.read_text()) == [], path


# What would ask the locale for its encoding.
READERS = {"open", "read_text", "write_text", "NamedTemporaryFile", "fdopen", "run", "Popen"}


def of_the_locale(call):
    """Say whether a call opens text without saying in which encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    modes = [one.value for one in [*call.args[:2], options.get("mode")] if isinstance(one, ast.Constant)]
    if name not in READERS or "encoding" in options or ast.unparse(call.func) in ("os.open", "tarfile.open"):
        return False
    if name in ("run", "Popen"):
        return "text" in options
    if name == "NamedTemporaryFile":
        return bool(modes) and "b" not in modes[0]
    return name.endswith("_text") or not any(re.fullmatch(r"[rwax+]*b[rwax+]*", str(mode)) for mode in modes)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_file_is_read_as_the_locale_has_it(path):
    if path.is_relative_to(PROJECT / "scripts"):
        pytest.skip("runs in the clone")
    calls = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and of_the_locale(node)
    ]
    assert [ast.unparse(call) for call in calls] == []
