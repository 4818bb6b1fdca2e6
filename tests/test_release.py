"""Building releases on the control node: same input, same id, same bytes; another input, another id."""

import hashlib
import json
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
    with tarfile.open(build.archive) as tar:
        names = set(tar.getnames())
        member = tar.extractfile("release.json")
        assert member is not None
        record = json.load(member)
        assert {member.uid for member in tar} == {0}
    assert {
        "app/app.py",
        "app/package/__init__.py",
        "lib/wsgi_check.py",
        "lib/wsgi_serve.py",
        "lib/granian/__main__.py",
    } <= names
    assert not [name for name in names if "__pycache__" in name]
    assert any(package.startswith("granian==") for package in record["packages"])


def test_same_input_gives_the_same_bytes(args, tmp_path):
    first = action.Build(args)
    first.make()
    second = action.Build(args | {"cache": str(tmp_path / "other")})
    second.make()
    digests = {hashlib.sha256(build.archive.read_bytes()).hexdigest() for build in (first, second)}
    assert first.release == second.release
    assert len(digests) == 1


def test_every_input_changes_the_id(args, tmp_path):
    ids = {action.Build(args).release, action.Build(args | {"python_version": "3.13"}).release}
    ids.add(action.Build(args | {"architecture": "aarch64"}).release)
    source = tmp_path / "source"
    (source / "app.py").chmod(0o755)
    ids.add(action.Build(args).release)
    (source / "app.py").write_text("app = None\n")
    ids.add(action.Build(args).release)
    (source / "package" / "__init__.py").rename(source / "package" / "other.py")
    ids.add(action.Build(args).release)
    (source / "requirements.txt").write_text("blinker\n")
    ids.add(action.Build(args).release)
    assert len(ids) == 7


def test_compiled_files_do_not_change_the_id(args, tmp_path):
    before = action.Build(args).release
    (tmp_path / "source" / "__pycache__" / "app.pyc").write_text("compiled anew")
    assert action.Build(args).release == before


def test_links_that_leave_the_source_are_followed_and_others_kept(args, tmp_path):
    source = tmp_path / "source"
    (tmp_path / "shared.py").write_text("shared = 1\n")
    (source / "shared.py").symlink_to("../shared.py")
    (source / "package" / "main.py").symlink_to("../app.py")
    build = action.Build(args)
    build.make()
    with tarfile.open(build.archive) as tar:
        assert tar.getmember("app/shared.py").isreg()
        assert tar.getmember("app/package/main.py").linkname == "../app.py"
    (tmp_path / "shared.py").write_text("shared = 2\n")
    assert action.Build(args).release != build.release
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
    assert not build.ready()


def test_pin_of_the_app_wins_over_the_pin_of_the_server(args, tmp_path):
    (tmp_path / "source" / "requirements.txt").write_text("Click==8.1.8\n")
    build = action.Build(args)
    assert action.requirement_names(build.server) == {"granian"}
    build.make()
    assert "click==8.1.8" in json.loads(build.record.read_text())["packages"]
