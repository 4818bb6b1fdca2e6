"""Sources that nobody meant: whatever is in a folder, a release comes of it, or a message that says what to do."""

import os
import random
import shutil
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import PROJECT, load

action = load("plugin_utils/release_build.py")
source_problems = load("plugin_utils/sources.py").source_problems
flask_source = load("plugin_utils/sources.py").flask_source
COUNT = 50
GOOD = {
    "app.py": b"from shop import views\napp = views.app\n",
    "shop/__init__.py": b"",
    "shop/views.py": "app = print  # ü\n".encode(),
    "requirements.txt": b"# none\n",
    "static/site.css": b"p {}\n",
}
NAMES = [
    *GOOD, "pyproject.toml", "setup.cfg", "uv.lock", "poetry.lock", ".gitignore", ".git", ".env", "caf\udce9.txt", "two\nlines",
    "-r", "a" * 200, "venv/pyvenv.cfg", "src/app.py", "build/lib/app.py",
]  # fmt: skip
CONTENTS = [
    b"", b"\0\xff\xfe", b"\xff\xfe", "# ünïcödé\n".encode("utf-16"), b"\xef\xbb\xbf# mark\r\n", b"caf\xe9 = 1\n", b"(" * 5000,
    b"-r \n-c\n-e\n", b"-r requirements.txt\n", b"-r ../../x\n", b"-e .\n", b".[a,b]\n", b"@ file:\n", b"./\n", b"\\\n",
    b"-r " + b"x" * 400 + b"\n", b"[project]\n", b"[project]\ndependencies = 3\n", b"tool = 1\n[project]\nname = 'x'\n",
    b"project = []\n", b"[tool]\nuv = 1\n[build-system]\n", b"[build-system]\nbuild-backend = 7\n", b"gitdir: /nowhere\n",
    b"version = 1\n", b"app = lambda:\n", b"import \xff\n",
]  # fmt: skip
VALUES = {
    "source": [
        ".", "", "app.py", "../source", "\0", "x" * 5000, "~", "~nobody-here/x", "git+", "git+.", "git+@", "git+http://[", "a==1",
        "==", "a==1; x", "x.whl", Path("/x").as_uri(), "-",
    ],
    "requirements": ["", "requirements.txt", "nowhere", "shop", "../x", "\0", "pyproject.toml", "x" * 300, "."],
    "wsgi": ["app:app", "shop.views:app", "nowhere:app", "shop:app()", "a" * 300 + ":b", "src.app:app"],
    "ignore": [[], ["*"], ["!*"], ["["], ["/"], ["!"], [""], ["**/app.py"], ["shop/"]],
    "build": [[], ["x"], [""], ["a b"], ["-e"]],
}  # fmt: skip


def mutate(folder, dice):
    """Change one or two things in a folder."""
    for _ in range(dice.choice([1, 1, 2])):
        path = folder / dice.choice(NAMES)
        kind = dice.randrange(8)
        path.parent.mkdir(parents=True, exist_ok=True) if not path.parent.is_file() else None
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.symlink_to(dice.choice(["app.py", "nowhere", "/etc/passwd", "/dev/null", "..", path.name, "/nowhere"]))
        elif kind == 2:
            path.mkdir()
        elif kind > 3:
            path.write_bytes(dice.choice(CONTENTS))


def what_is_said(app, seen_from, args):
    """Return the messages about an app: those of the inventory, or else that of its build; nothing else is raised."""
    found = list(source_problems(app, seen_from))
    if found:
        return found
    try:
        build = action.Build(args | app | {"source": flask_source(app["source"], seen_from)})
        # Nothing is fetched or built here; what is packed is read once.
        for part in build.parts:
            assert part.id
        build.release.pack(build.files, {}, args["folder"], {})
    except AnsibleActionFail as error:
        return [str(error)]
    except (OSError, ValueError) as error:
        # As the module has it.
        return [f"The release cannot be built: {error}. Fix:"]
    return []


@pytest.mark.parametrize("seed", range(COUNT))
def test_message_or_release(tmp_path, seed, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dice = random.Random(seed)
    source, folder = tmp_path / "source", tmp_path / "folder"
    folder.mkdir()
    for name, content in GOOD.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    app = {"name": "shop", "source": ".", "wsgi": "app:app", "requirements": "", "build": [], "ignore": []}
    if seed % 3:
        mutate(source, dice)
    if seed % 3 != 1:
        key = dice.choice(list(VALUES))
        app[key] = dice.choice(VALUES[key])
    args = {
        "server_requirements": str(PROJECT / "roles" / "flask_app" / "files" / "waitress.txt"), "folder": folder,
        "python_version": "3.11", "architecture": "x86_64", "cache": str(tmp_path / "cache"),
    }  # fmt: skip
    (tmp_path / "cache" / "shop").mkdir(parents=True)
    said = what_is_said(app, str(source), args)
    for message in said:
        assert "Fix: " in message or message.endswith("Fix:"), message
        assert "Traceback" not in message
        assert len(message) < 12_000
