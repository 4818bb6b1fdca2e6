"""Building releases on the control node: same input, same id, same bytes; another input, another id."""

import hashlib
import tarfile

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import PROJECT, load

action = load("action/flask_release.py")


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
        "server_requirements": str(PROJECT / "roles" / "flask_app" / "files" / "server.txt"),
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
    assert {"wsgi_check.py", "wsgi_serve.py", "granian/__main__.py", "packages.json"} <= names["lib"]
    assert not [name for name in names["lib"] if "__pycache__" in name]
    assert any(package.startswith("granian==") for package in build.lib.record()["packages"])


def test_same_input_gives_the_same_bytes(args, tmp_path):
    first = action.Build(args)
    first.make()
    second = action.Build(args | {"cache": str(tmp_path / "other")})
    second.make()
    for one, other in zip(first.parts, second.parts, strict=True):
        assert one.id == other.id
        assert hashlib.sha256(one.archive.read_bytes()).digest() == hashlib.sha256(other.archive.read_bytes()).digest()


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
        ("docopt==0.6.2\n", "no usable wheels"),
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
    build = action.Build(args)
    assert action.requirement_names(build.server) == {"granian"}
    build.make()
    assert "click==8.1.8" in build.lib.record()["packages"]
