"""Building releases on the control node: same input, same id, same bytes; another input, another id."""

import hashlib
import os
import subprocess
import sys
import tarfile

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import PROJECT, load

action = load("plugin_utils/release_build.py")


@pytest.fixture
def args(tmp_path):
    source = tmp_path / "source"
    (source / "package").mkdir(parents=True)
    (source / "app.py").write_text("def app(environ, start_response): ...\n")
    (source / "package" / "__init__.py").write_text("")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "app.pyc").write_text("compiled")
    return {
        "name": "one",
        "source": str(source),
        "server_requirements": str(PROJECT / "roles" / "flask_app" / "files" / "waitress.txt"),
        "python_version": "3.11",
        "architecture": "x86_64",
        "cache": str(tmp_path / "cache"),
    }


def test_release_holds_the_app_its_dependencies_and_the_server(args):
    build = action.Build(args)
    assert build.make()
    assert not build.make(), "built twice"
    names = {}
    for part in build.parts:
        with tarfile.open(part.archive) as tar:
            names[part.kind] = set(tar.getnames())
            assert {member.uid for member in tar} == {0}
    assert names["release"] == {"app.py", "package/__init__.py"}
    assert {"wsgi_check.py", "wsgi_serve.py", "wsgi_waitress.py", "waitress/server.py", "packages.json"} <= names["lib"]
    assert not [name for name in names["lib"] if "__pycache__" in name]
    assert any(package.startswith("waitress==") for package in build.lib.record()["packages"])


def test_same_input_gives_the_same_bytes(args, tmp_path):
    first = action.Build(args)
    first.make()
    second = action.Build(args | {"cache": str(tmp_path / "other")})
    second.make()
    for one, other in zip(first.parts, second.parts, strict=True):
        assert one.id == other.id
        assert hashlib.sha256(one.archive.read_bytes()).digest() == hashlib.sha256(other.archive.read_bytes()).digest()


def test_times_are_those_of_the_source_and_none_before_1980(args, tmp_path):
    source = tmp_path / "source"
    os.utime(source / "app.py", (0, 0))
    os.utime(source / "package" / "__init__.py", (1600000000, 1600000000))
    (source / "requirements.txt").write_text("")
    os.utime(source / "requirements.txt", (1700000000, 1700000000))
    build = action.Build(args)
    build.make()
    with tarfile.open(build.release.archive) as tar:
        assert {member.name: member.mtime for member in tar} == {
            "app.py": 315619200, "package/__init__.py": 1600000000, "requirements.txt": 1700000000
        }  # fmt: skip
    # Dependencies have the time of what asks for them.
    with tarfile.open(build.lib.archive) as tar:
        assert {member.mtime for member in tar} == {1700000000}
    before = build.content
    os.utime(source / "app.py", (1700000000, 1700000000))
    assert action.Build(args).content == before, "times are no input"


def test_changed_code_leaves_the_dependencies_as_they_are(args, tmp_path):
    first = action.Build(args)
    first.make()
    made = first.lib.archive.stat().st_ino
    (tmp_path / "source" / "app.py").write_text("app = None\n")
    second = action.Build(args)
    assert second.release.id != first.release.id
    assert second.lib.id == first.lib.id
    assert second.make()
    assert second.lib.archive.stat().st_ino == made, "the dependencies were built again"
    (tmp_path / "source" / "requirements.txt").write_text("blinker\n")
    assert action.Build(args).lib.id != first.lib.id


@pytest.mark.parametrize(
    "line", ["-r base.txt", "-c base.txt", "./vendor", "blinker @ file:base.txt", "--find-links=."]
)
def test_requirements_in_other_files_are_dependencies_too(args, tmp_path, line):
    (tmp_path / "source" / "requirements.txt").write_text(f"click\n{line}\n")
    (tmp_path / "source" / "base.txt").write_text("blinker==1.8.2\n")
    before = action.Build(args).lib.id
    (tmp_path / "source" / "base.txt").write_text("blinker==1.9.0\n")
    assert action.Build(args).lib.id != before


def test_content_is_the_same_for_all_hosts(args):
    other = action.Build(args | {"python_version": "3.13"})
    assert other.content == action.Build(args).content
    assert other.lib.id != action.Build(args).lib.id


def test_every_input_changes_the_id(args, tmp_path):
    ids = {action.Build(args).release.id, action.Build(args | {"python_version": "3.13"}).release.id}
    ids.add(action.Build(args | {"architecture": "aarch64"}).release.id)
    source = tmp_path / "source"
    (source / "app.py").chmod(0o755)
    ids.add(action.Build(args).release.id)
    (source / "app.py").write_text("app = None\n")
    ids.add(action.Build(args).release.id)
    (source / "package" / "__init__.py").rename(source / "package" / "other.py")
    ids.add(action.Build(args).release.id)
    (source / "requirements.txt").write_text("blinker\n")
    ids.add(action.Build(args).release.id)
    assert len(ids) == 7


def test_compiled_files_do_not_change_the_id(args, tmp_path):
    before = action.Build(args).release.id
    (tmp_path / "source" / "__pycache__" / "app.pyc").write_text("compiled anew")
    assert action.Build(args).release.id == before


def test_inventory_in_the_source_is_no_part_of_the_release(args, tmp_path):
    before = action.Build(args).release.id
    (tmp_path / "source" / "deploy").mkdir()
    (tmp_path / "source" / "deploy" / "hosts.yml").write_text("all:\n")
    assert action.Build(args).release.id != before
    assert action.Build(args | {"leave_out": str(tmp_path / "source" / "deploy")}).release.id == before
    # The source is not left out where the inventory is the same folder.
    assert action.Build(args | {"leave_out": str(tmp_path / "source")}).release.id != before


def test_links_that_leave_the_source_are_followed_and_others_kept(args, tmp_path):
    source = tmp_path / "source"
    (tmp_path / "shared.py").write_text("shared = 1\n")
    (source / "shared.py").symlink_to("../shared.py")
    (source / "package" / "main.py").symlink_to("../app.py")
    build = action.Build(args)
    build.make()
    with tarfile.open(build.release.archive) as tar:
        assert tar.getmember("shared.py").isreg()
        assert tar.getmember("package/main.py").linkname == "../app.py"
    (tmp_path / "shared.py").write_text("shared = 2\n")
    assert action.Build(args).release.id != build.release.id
    (source / "folder").symlink_to("..")
    with pytest.raises(AnsibleActionFail, match="is a link to"):
        action.Build(args)


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("no-such-package-flask-behind-haproxy==1.0\n", "no-such-package-flask-behind-haproxy"),
        ("blinker==1.9.0 --hash=sha256:" + "0" * 64 + "\n", "ash mismatch"),
        ("docopt==0.6.2\n", "there is none for Python 3.11 on x86_64 of docopt==0.6.2"),
    ],
    ids=["unknown", "another hash", "no wheel"],
)
def test_requirement_that_cannot_be_had_is_refused(args, tmp_path, requirements, words):
    (tmp_path / "source" / "requirements.txt").write_text(requirements)
    build = action.Build(args)
    with pytest.raises(AnsibleActionFail) as caught:
        build.make()
    assert words in str(caught.value)
    assert "requirements of one" in str(caught.value)
    assert not build.lib.ready()


def test_pin_of_the_app_wins_over_the_pin_of_the_server(args, tmp_path):
    (tmp_path / "source" / "requirements.txt").write_text("Click==8.1.8\n")
    args["server_requirements"] = args["server_requirements"].replace("waitress", "granian")
    build = action.Build(args)
    build.make()
    assert "click==8.1.8" in build.lib.record()["packages"]


def test_secrets_that_stay_here_are_named(args, tmp_path):
    assert action.Build(args).warnings() == []
    (tmp_path / "source" / ".env").write_text("SECRET=1\n")
    assert (
        "source/.env is not shipped. What one needs of it belongs into its `environment`"
        in action.Build(args).warnings()[0]
    )
    for ignore in ("!.env", ".env"):
        assert action.Build(args | {"ignore": [ignore]}).warnings() == []


def test_all_files_of_secrets_that_stay_here_are_named(args, tmp_path):
    for name in (".env.production", ".env.example", ".envrc"):
        (tmp_path / "source" / name).write_text("SECRET=1\n")
    found = action.Build(args | {"ignore": [".envrc"]}).warnings()
    assert [one.partition(" is not shipped.")[0] for one in found] == [f"{tmp_path}/source/.env.production"]


@pytest.mark.parametrize(
    "name", ["requirements/prod.txt", "Requirements.txt", "web-requirements.txt", "requirements.in"]
)
def test_list_that_nobody_reads_is_named(args, tmp_path, name):
    path = tmp_path / "source" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    (tmp_path / "source" / "requirements-dev.txt").write_text("")
    assert action.Build(args).warnings() == [
        f"{tmp_path}/source has {name} and no requirements.txt: nothing of that is installed. Fix: `requirements: {name}` of one, "
        "or the one that is meant."
    ]
    assert action.Build(args | {"requirements": name}).warnings() == []
    (tmp_path / "source" / "requirements.txt").write_text("")
    assert action.Build(args).warnings() == []


def test_link_to_what_is_not_shipped_is_refused(args, tmp_path):
    source = tmp_path / "source"
    for name in ("node_modules/icons", "instance", "empty", "package/real"):
        (source / name).mkdir(parents=True)
    for name in ("node_modules/icons/a.svg", "instance/uploads", "package/real/x"):
        (source / name).write_text("")
    (source / "nowhere").symlink_to("not-there")
    (source / "uploads").symlink_to("instance/uploads")
    (source / "later").symlink_to("empty")
    (source / "short").symlink_to("package/real")
    (source / "package" / "deep").symlink_to("../short/x")
    more = {"state_paths": ["instance"]}
    assert {"nowhere", "uploads", "later", "short", "package/deep"} <= {
        name for name, _ in action.Build(args | more).files
    }
    (source / "package" / "icons").symlink_to("../node_modules/icons")
    with pytest.raises(AnsibleActionFail) as caught:
        action.Build(args | more)
    assert str(caught.value) == (
        f"{source}/package/icons is a link to node_modules/icons, which is not shipped. "
        "Fix: `ignore: ['!/node_modules/icons']` of the "
        "app ships it, `ignore: [/package/icons]` leaves the link out."
    )
    # As the message has it.
    names = {name for name, _ in action.Build(args | more | {"ignore": ["!/node_modules/icons"]}).files}
    assert {"package/icons", "node_modules/icons/a.svg"} <= names
    assert "package/icons" not in {name for name, _ in action.Build(args | more | {"ignore": ["/package/icons"]}).files}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("./wheels/a-1-py3-none-any.whl", "wheels/a-1-py3-none-any.whl"),
        ("wheels/a-1-py3-none-any.whl", "wheels/a-1-py3-none-any.whl"),
        ("--find-links wheels  # ours", "wheels"),
        ("-e .", "pyproject.toml"),
    ],
)
def test_what_is_installed_from_the_source_and_not_shipped_is_refused(args, tmp_path, line, path):
    source = tmp_path / "source"
    (source / "wheels").mkdir()
    (source / "wheels" / "a-1-py3-none-any.whl").write_text("")
    (source / "requirements.txt").write_text(f"{line}\n")
    (source / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n[build-system]\nrequires = []\n')
    ignore = ["/wheels", "*.toml"]
    with pytest.raises(AnsibleActionFail) as caught:
        action.Build(args | {"ignore": ignore})
    assert str(caught.value) == (
        f"The requirements of one need {source}/{path}, which is not shipped; no host was changed. Fix: where git ignores it, or "
        f"`ignore` of the app leaves it out, `'!/{path}'` as the last one of `ignore`."
    )
    action.Build(args | {"ignore": [*ignore, f"!/{path}"]})


def test_module_without_its_text_is_shipped(tmp_path):
    files = load("plugin_utils/source_files.py")
    for name in ("sold.pyc", "a/__pycache__/b.cpython-311.pyc", "a/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert [name for name, _ in files.source_tree(tmp_path)] == ["a/b.py", "sold.pyc"]


def test_builds_are_kept_in_the_cache_folder_of_the_user(args, tmp_path, monkeypatch):
    del args["cache"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert action.Build(args).lib.archive.parent == tmp_path / "xdg" / "flask-haproxy" / "releases" / "one"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert action.Build(args).lib.archive.parent == tmp_path / ".cache" / "flask-haproxy" / "releases" / "one"


def test_commands_are_those_of_the_host_wherever_python_is_here(args, tmp_path, monkeypatch):
    """Where the path of Python cannot be in a first line, there are three in its place."""
    home = tmp_path / "a folder"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    installer = load("plugin_utils/installer.py")
    monkeypatch.setattr(installer, "python_for", lambda _: str(home / "bin" / "python"))
    build = action.Build(args)
    build.make()
    with tarfile.open(build.lib.archive) as tar:
        script = tar.extractfile("bin/waitress-serve").read()
    assert script.startswith(b"#!/usr/bin/python3\n# -*- coding: utf-8 -*-\nimport sys\n")
    (tmp_path / "tool").write_text("#!/bin/sh\n'''exec' '/a b/ruby' \"$0\" \"$@\"\n' '''\n")
    before = (tmp_path / "tool").read_text()
    action.at_home(tmp_path)
    assert (tmp_path / "tool").read_text() == before


def test_commands_of_requirements_run_on_the_host(args, tmp_path):
    build = action.Build(args)
    build.make()
    with tarfile.open(build.lib.archive) as tar:
        script = tar.extractfile("bin/waitress-serve").read()
        assert tar.getmember("bin/waitress-serve").mode & 0o111
    assert script.startswith(b"#!/usr/bin/python3\n")
    (tmp_path / "tool").write_text("#!/bin/sh\npython\n")
    action.at_home(tmp_path)
    assert (tmp_path / "tool").read_text() == "#!/bin/sh\npython\n"


def test_file_cannot_be_state(args, tmp_path):
    (tmp_path / "source" / "db.sqlite3").write_text("")
    with pytest.raises(
        AnsibleActionFail, match=r"state_paths of .* has db.sqlite3, a file of its source; no host was changed"
    ):
        action.Build(args | {"state_paths": ["instance", "db.sqlite3"]})


def test_state_is_in_folders(args, tmp_path):
    source = tmp_path / "source"
    (source / "data").mkdir()
    (source / "package" / "kept").symlink_to("../data")
    with pytest.raises(AnsibleActionFail) as caught:
        action.Build(args | {"state_paths": ["package/kept/uploads", "app.py/x", "data/a/b"]})
    assert str(caught.value).split("\n") == [
        "state_paths of one has app.py/x, and app.py is a file of its source; no host was changed. Fix: another folder.",
        "state_paths of one has package/kept/uploads, and package/kept is a link in its source; no host was changed. "
        "Fix: data/uploads.",
    ]


def test_state_of_the_developer_is_no_part_of_the_release(args, tmp_path):
    (tmp_path / "source" / "package" / "uploads").mkdir()
    (tmp_path / "source" / "package" / "uploads" / "mine").write_text("private")
    with_state, without = action.Build(args), action.Build(args | {"state_paths": ["package/uploads"]})
    assert with_state.release.id != without.release.id
    without.make()
    with tarfile.open(without.release.archive) as tar:
        assert set(tar.getnames()) == {"app.py", "package/__init__.py"}


def test_names_arrive_as_they_are_whatever_the_locale_of_a_host(args, tmp_path):
    source, odd = tmp_path / "source", os.fsdecode(b"caf\xe9.txt")
    names = {"f\u00fcr.html", "\u65e5\u672c.txt", odd, "two\nlines", "-r", "back\\slash", "d" * 200 + "/" + "n" * 200}
    for name in names:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("")
    (source / "link").symlink_to("f\u00fcr.html")
    build = action.Build(args)
    folder = tmp_path / "folder"
    for path in (folder, build.cache):
        path.mkdir(parents=True)
    build.release.pack(sorted(build.files), {}, folder)
    program = (
        "import sys, pathlib\n"
        "assert sys.getfilesystemencoding() != 'utf-8'\n"
        "from ansible_collections.flask_haproxy.deploy.plugins.modules.flask_unpack import unpack\n"
        "unpack(*map(pathlib.Path, sys.argv[1:3]))\n"
    )
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(PROJECT / "collections")}
    command = [sys.executable, "-X", "utf8=0", "-c", program, str(build.release.archive), str(tmp_path / "host")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert names | {"link"} <= {
        path.relative_to(tmp_path / "host").as_posix() for path in (tmp_path / "host").rglob("*")
    }
    assert (tmp_path / "host" / "link").exists()
