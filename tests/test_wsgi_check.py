"""What is proven is what runs: `roles/flask_app/files/wsgi_check.py` imports for the check and for the servers."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT

FILES = PROJECT / "roles" / "flask_app" / "files"


def check(source, target):
    """Run the check as the unit does: in the folder of the source, with our modules beside it."""
    command = [sys.executable, "-m", "wsgi_check", target]
    environment = {"PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", [False, True], ids=["plain folder", "folder with __init__.py"])
@pytest.mark.parametrize("target", ["main:app", "main:make()", "main:site.app"])
def test_application_is_found_by_the_name_that_the_owner_gave(tmp_path, package, target):
    (tmp_path / "main.py").write_text(
        "assert __name__ == 'main'\nclass site: app = print\ndef app(e, s): ...\ndef make(): return app\n"
    )
    if package:
        (tmp_path / "__init__.py").write_text("raise RuntimeError('imported as a package')\n")
    done = check(tmp_path, target)
    assert done.returncode == 0, done.stderr


def test_path_files_of_dependencies_are_read(tmp_path):
    """As setuptools brings `distutils` back to Pythons that have lost it."""
    lib = tmp_path / "lib"
    (lib / "inside").mkdir(parents=True)
    (lib / "inside" / "deep.py").write_text("app = print\n")
    (lib / "deep.pth").write_text("inside\nimport sys; sys.was_here = True\n")
    (lib / "sitecustomize.py").write_bytes((FILES / "sitecustomize.py").read_bytes())
    (tmp_path / "main.py").write_text("import sys\nassert sys.was_here\nfrom deep import app\n")
    command = [sys.executable, "-m", "wsgi_check", "main:app"]
    environment = {"PYTHONPATH": f"{lib}:{FILES}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("main:app", "No module named 'main'"),
        ("other:nothing", "has no attribute 'nothing'"),
        ("other:number", "which a server cannot call"),
        ("other:make()", "RuntimeError: no"),
        ("other:make", "other:make cannot be called with (environ, start_response) (PEP 3333): too many positional"),
        ("other:make", "Fix: wsgi: other:make(), where that makes the application"),
        ("other:asgi", "missing a required argument: 'send'"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path, target, words):
    (tmp_path / "other.py").write_text(
        "number = 3\ndef make(): raise RuntimeError('no')\nasync def asgi(scope, receive, send): ...\n"
    )
    done = check(tmp_path, target)
    assert done.returncode == 1
    assert words in done.stderr


def test_traceback_is_that_of_the_application(tmp_path):
    (tmp_path / "main.py").write_text("import importlib\n\nimportlib.import_module('inner')\n")
    (tmp_path / "inner.py").write_text(
        "try:\n    import nowhere\nexcept ImportError as error:\n    raise RuntimeError('no database') from error\n"
    )
    done = check(tmp_path, "main:app")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "^" not in line and "~" not in line] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/inner.py", line 2, in <module>',
        "    import nowhere",
        "ModuleNotFoundError: No module named 'nowhere'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/main.py", line 3, in <module>',
        "    importlib.import_module('inner')",
        f'  File "{tmp_path}/inner.py", line 4, in <module>',
        "    raise RuntimeError('no database') from error",
        "RuntimeError: no database",
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("app = 3\n", "TypeError: main:app is 3, which a server cannot call (PEP 3333, ASGI)"),
        ("app = (\n", '  File "FOLDER/main.py", line 1'),
    ],
    ids=["not callable", "syntax"],
)
def test_error_without_a_frame_of_the_application_is_said_alone(tmp_path, source, words):
    (tmp_path / "main.py").write_text(source)
    assert check(tmp_path, "main:app").stderr.splitlines()[0] == words.replace("FOLDER", str(tmp_path))


def test_application_that_ends_the_process_is_refused(tmp_path):
    (tmp_path / "main.py").write_text("raise SystemExit(0)\n")
    done = check(tmp_path, "main:app")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "SystemExit: 0")


@pytest.mark.parametrize(
    "target", ["forms:Application", "forms:wrapped", "forms:anything", "forms:instance", "forms:settled"]
)
def test_application_may_be_anything_that_takes_two_arguments(tmp_path, target):
    (tmp_path / "forms.py").write_text(
        "import functools\n"
        "class Application:\n"
        "    def __init__(self, environ, start_response): ...\n"
        "    def __iter__(self): ...\n"
        "def view(request): ...\n"
        "@functools.wraps(view)\n"
        "def wrapped(*arguments): ...\n"
        "anything = print\n"
        "class Callable:\n"
        "    def __call__(self, environ, start_response, more=None): ...\n"
        "instance = Callable()\n"
        "settled = functools.partial(instance, more=1)\n"
    )
    done = check(tmp_path, target)
    assert done.returncode == 0, done.stderr
