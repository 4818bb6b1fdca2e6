"""What an app asks for, in the forms that pip's users have, and how it is had for a host: wheels, builds, refusals."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import PROJECT, load
from tests.packages import sdist, wheel

action = load("plugin_utils/release_build.py")
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "shop"
version = "1.0"
dependencies = ["alpha"]
[project.optional-dependencies]
prod = ["beta"]
"""


@pytest.fixture
def links(tmp_path):
    """Return a folder of packages, as an index: alpha and beta have wheels, sole and twin only source archives."""
    folder = tmp_path / "links"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        wheel(folder, "alpha", version, {"alpha.py": f"version = {version!r}\n"})
    wheel(folder, "beta", "1.0", {"beta.py": ""})
    wheel(folder, "twin", "1.0", {"twin.py": ""})
    sdist(folder, "twin", "2.0", {"twin.py": b"version = 2\n"}, requires=("sole",))
    sdist(folder, "sole", "1.0", {"sole.py": b""})
    wheel(folder, "needs_old", "1.0", {"needs_old.py": ""}, requires=("click<8.2",))
    return folder


@pytest.fixture
def build(tmp_path, links, monkeypatch):
    """Return a function that writes files as the source and builds a release of it; `.make()` has been called."""
    monkeypatch.setenv("UV_FIND_LINKS", str(links))

    def built(files, **more):
        source = tmp_path / "source"
        for name, content in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
        args = {
            "name": "one", "source": str(source), "cache": str(tmp_path / "cache"), "wsgi": "app:app",
            "server_requirements": str(PROJECT / "roles" / "flask_app" / "files" / f"{more.pop('server', 'waitress')}.txt"),
            "python_version": f"3.{sys.version_info.minor}", "architecture": "x86_64",
        }  # fmt: skip
        try:
            found = action.Build(args | more)
            found.args = args | more
            found.make()
        finally:
            assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before, "the source was written to"
        return found

    return built


def packages(found):
    return {
        name: version
        for name, version in (one.split("==") for one in found.lib.record()["packages"])
        if name != "waitress"
    }


def names(part):
    with tarfile.open(part.archive) as tar:
        return tar.getnames()


SETUP = "from setuptools import setup\nsetup(name='alpha', version='1.0', py_modules=['alpha'])\n"
FORMS = {
    "plain": {"requirements.txt": "alpha==1.0\n"},
    "taken in": {
        "requirements.txt": "-r deep/base.txt\n-c limits.txt\n",
        "deep/base.txt": "--requirement=more.txt\n",
        "deep/more.txt": "alpha\n",
        "limits.txt": "alpha<2\n",
    },
    "taken in, in quotes": {
        "requirements.txt": "-r \"base.txt\"  # as always\n-c 'base.txt'\n",
        "base.txt": "alpha==1.0\n",
    },
    "a hash in a comment": {"requirements.txt": "# alpha==2.0 --hash=sha256:0\nalpha==1.0  # --hash=sha256:0\n"},
    "written by Windows": {"requirements.txt": "alpha==1.0\r\n".encode("utf-16")},
    "with a mark": {"requirements.txt": b"\xef\xbb\xbfalpha==1.0\r\n"},
    "a wheel beside the app": {"requirements.txt": "./alpha-1.0-py3-none-any.whl\n"},
    "a folder beside the app": {"requirements.txt": "-e ./alpha\n", "alpha/alpha.py": "", "alpha/setup.py": SETUP},
    "a wheel beside the app, by its name": {"requirements.txt": "alpha @ ./alpha-1.0-py3-none-any.whl  # ours\n"},
    "a wheel beside the app, as a file": {"requirements.txt": "file:alpha-1.0-py3-none-any.whl\n"},
    "a folder beside the app, in quotes": {
        "requirements.txt": "--editable='alpha'\n",
        "alpha/alpha.py": "",
        "alpha/setup.py": SETUP,
    },
    "a list of a project": {"pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["alpha<2"]\n'},
}


@pytest.mark.parametrize("files", FORMS.values(), ids=FORMS)
def test_requirements_in_all_their_forms(build, links, files):
    if "whl" in str(files):
        files = files | {"alpha-1.0-py3-none-any.whl": (links / "alpha-1.0-py3-none-any.whl").read_bytes()}
    found = build({"app.py": "app = print\n", **files})
    assert packages(found) == {"alpha": "1.0"}
    assert "app.py" in names(found.release)
    # Whole, and not the way to where it was on this machine.
    assert "alpha.py" in names(found.lib)
    assert not [name for name in names(found.lib) if name.endswith(".pth")]
    if "whl" in str(files):
        (found.origin.folder / "alpha-1.0-py3-none-any.whl").write_bytes(b"another")
        assert action.Build(found.args).lib.id != found.lib.id


@pytest.mark.parametrize(
    "form", ["alpha==1.0 --hash=sha256:{}", "alpha==1.0 --hash sha256:{}", "alpha==1.0 \\\n    --hash=sha256:{}"]
)
def test_one_hash_asks_for_all(build, links, form):
    files = {"app.py": "app = print\n"}
    digest = hashlib.sha256((links / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert packages(build(files | {"requirements.txt": form.format(digest)})) == {"alpha": "1.0"}
    with pytest.raises(AnsibleActionFail, match=r"requirements of one .*cannot be installed(.|\n)*beta"):
        build(files | {"requirements.txt": form.format(digest) + "\nbeta==1.0\n"})


def project(**more):
    """Return the files of a package that builds itself, the second of which is in src/."""
    backend = (
        "import pathlib, zipfile\n"
        "def build_wheel(folder, settings=None, metadata=None):\n"
        "    info = 'shop-1.0.dist-info/'\n"
        "    with zipfile.ZipFile(pathlib.Path(folder, 'shop-1.0-py3-none-any.whl'), 'w') as archive:\n"
        "        archive.writestr('shop/__init__.py', pathlib.Path('src/shop/__init__.py').read_bytes())\n"
        "        archive.writestr('shop/_version.py', 'version = 1')\n"
        "        archive.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n')\n"
        "        archive.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        archive.writestr(info + 'RECORD', '')\n"
        "    return 'shop-1.0-py3-none-any.whl'\n"
    )
    return {"pyproject.toml": PYPROJECT, "backend.py": backend, "src/shop/__init__.py": "app = print\n"} | more


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (None, {"alpha": "2.0"}),
        (".\n", {"alpha": "2.0"}),
        ("-e .[prod]  # as always\n", {"alpha": "2.0", "beta": "1.0"}),
        ("-e '.[prod]'\n", {"alpha": "2.0", "beta": "1.0"}),
        (".  # as always\n", {"alpha": "2.0"}),
        ("alpha==1.0\n", {"alpha": "1.0"}),
        ("alpha==1.0\n--editable=.\n", {"alpha": "1.0"}),
    ],
)
def test_project_in_src_is_installed_with_what_its_build_makes(build, requirements, expected):
    files = project(**{"src/shop/templates/index.html": "<p>"})
    found = build(files | ({"requirements.txt": requirements} if requirements else {}), wsgi="shop:app")
    assert packages(found) == expected
    inside = {"shop/__init__.py", "shop/_version.py", "shop/templates/index.html", "shop-1.0.dist-info/METADATA"}
    assert inside <= set(names(found.release))
    lib = found.lib.id
    again = build({"src/shop/__init__.py": "app = repr\n"}, wsgi="shop:app")
    assert (again.lib.id == lib, again.release.id == found.release.id) == (True, False), "code is no dependency"


def test_lock_of_uv_is_what_is_installed(build, links):
    digest = hashlib.sha256((links / "alpha-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    index = "https://index.example.invalid"
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
        f'[[package]]\nname = "alpha"\nversion = "1.0"\nsource = {{ registry = "{index}/simple" }}\n'
        f'wheels = [{{ url = "{index}/alpha-1.0-py3-none-any.whl", hash = "sha256:{digest}" }}]\n'
        '[[package]]\nname = "x"\nversion = "1"\nsource = { virtual = "." }\ndependencies = [{ name = "alpha" }]\n'
    )
    pyproject = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["alpha"]\n'
    files = {"app.py": "app = print\n", "uv.lock": lock, "pyproject.toml": pyproject}
    assert packages(build(files)) == {"alpha": "1.0"}
    # What has another hash than the lock says is not taken.
    with pytest.raises(
        AnsibleActionFail, match=r"requirements of one .*uv.lock\) cannot be installed(.|\n)*alpha==1.0"
    ):
        build(files | {"uv.lock": lock.replace(digest, "0" * 64)})


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock", "Pipfile", "pdm.lock", "pylock.toml"])
def test_lock_of_another_tool_is_not_passed_over(build, name):
    with pytest.raises(
        AnsibleActionFail, match=rf"has {name} and no requirements.txt. Fix: have one written by (`[a-z]|the command)"
    ):
        build({"app.py": "app = print\n", "pyproject.toml": '[tool.poetry]\nname = "x"\n', name: ""})


CONDA = "name: shop\ndependencies:\n  - python=3.11\n  - pip:\n    - flask\n"


@pytest.mark.parametrize("name", ["environment.yml", "environment.yaml"])
def test_list_of_conda_is_not_passed_over(build, name):
    with pytest.raises(
        AnsibleActionFail, match=rf"has {name}, which is conda's, and no requirements.txt. Fix: one that"
    ):
        build({"app.py": "app = print\n", name: CONDA})
    # Where there is another list, or where it is something else, it says nothing.
    build({"app.py": "app = print\n", name: CONDA, "requirements.txt": "# nothing\n"})
    build({"app.py": "app = print\n", name: "COLOUR: blue\n"})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"requirements.txt": b"alpha\n# caf\xe9\n"},
            "line 2 of {source}/requirements.txt is not UTF-8: b'# caf\\xe9'. Fix: save",
        ),
        (
            {"requirements.txt": "-r base.txt\n"},
            "requirements.txt takes in base.txt, which is not there. Fix: that line",
        ),
        (
            {"requirements.txt": "-e ../other\n"},
            "takes in ../other, which is not in {source}: it would not be noticed when",
        ),
        ({"requirements.txt": f"x @ {Path('/srv/x').as_uri()}\n"}, "takes in /srv/x, which is not in {source}"),
        ({"pyproject.toml": "[project\n"}, "{source}/pyproject.toml is no TOML"),
        ({"requirements.txt": "alpha==7\n"}, "requirements of one ({source}/requirements.txt) cannot be had together"),
    ],
)
def test_requirements_that_cannot_be_are_refused(build, tmp_path, files, words):
    with pytest.raises(AnsibleActionFail) as caught:
        build({"app.py": "app = print\n", **files})
    assert words.format(source=tmp_path / "source") in str(caught.value)


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        (
            "{outside}/requirements.txt",
            "which is not in the source. Fix: its name in {source}, or leave it out",
        ),
        (
            "../outside/requirements.txt",
            "which is not in the source. Fix: its name in {source}, or leave it out",
        ),
        ("back/../../outside/requirements.txt", "which is not in the source. Fix:"),
        ("nowhere.txt", "there is no such file in {source}. Fix: its name, or leave it out."),
        (
            "back/pyproject.toml",
            "is read at the top of a source. Fix: {source}/back as `source`, or a requirements file",
        ),
        ("back/uv.lock", "is read at the top of a source. Fix:"),
        (
            "pyproject.toml",
            "which describes no package. Fix: `[project]` with `dependencies` in {source}/pyproject.toml, or",
        ),
    ],
)
def test_file_of_requirements_that_cannot_be_is_refused(build, tmp_path, requirements, words):
    outside, source = tmp_path / "outside", tmp_path / "source"
    outside.mkdir()
    (outside / "requirements.txt").write_text("alpha  # mine\n")
    before = (outside / "requirements.txt").stat()
    files = {
        "app.py": "app = print\n",
        "pyproject.toml": "[tool.ruff]\n",
        "back/pyproject.toml": PYPROJECT,
        "back/uv.lock": "",
    }
    requirements = requirements.format(outside=outside)
    with pytest.raises(AnsibleActionFail) as caught:
        build(files, requirements=requirements)
    assert f"requirements is {requirements!r}" in str(caught.value)
    assert words.format(source=source) in str(caught.value)
    # A build writes such a file anew in its copy of the source; nobody else's.
    after = (outside / "requirements.txt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["./requirements.txt", "back/../requirements.txt", "back/base.txt"])
def test_file_of_requirements_may_be_anywhere_in_the_source(build, name):
    files = {"app.py": "app = print\n", "requirements.txt": "alpha==1.0\n", "back/base.txt": "alpha==1.0\n"}
    assert packages(build(files, requirements=name)) == {"alpha": "1.0"}


def test_packages_without_wheels_are_named_at_once_and_nothing_older_is_taken(build):
    files = {"app.py": "app = print\n", "requirements.txt": "twin\nalpha\n"}
    with pytest.raises(AnsibleActionFail) as caught:
        build(files)
    version = f"Python 3.{sys.version_info.minor} on x86_64"
    assert f"from wheels: there is none for {version} of sole==1.0, twin==2.0; no host was changed." in str(
        caught.value
    )
    assert "Fix: `build: [sole, twin]` of the app builds them on this machine, which runs code of theirs" in str(
        caught.value
    )
    with pytest.raises(AnsibleActionFail, match=r"of sole==1.0; no host"):
        build(files, build=["Twin"])
    assert packages(build(files, build=["sole", "twin"])) == {"alpha": "2.0", "sole": "1.0", "twin": "2.0"}


def test_compiled_parts_are_built_only_for_hosts_like_this_machine(build, links, monkeypatch):
    tag = f"cp3{sys.version_info.minor}"
    so = f"ext.cpython-3{sys.version_info.minor}-x86_64-linux-gnu.so"
    for version, needed in (("1.0", "2.31"), ("2.0", "2.99")):
        elf = b"\x7fELF\0GLIBC_2.17\0GLIBC_" + needed.encode() + b"\0"
        sdist(links, "ext", version, {so: elf}, tag=f"{tag}-{tag}-linux_x86_64")
    files = {"app.py": "app = print\n", "requirements.txt": "ext==1.0\n"}
    assert packages(build(files, build=["ext"])) == {"ext": "1.0"}
    with pytest.raises(AnsibleActionFail, match=r"This machine has no Python 3.99, with which alone compiled parts"):
        build(files, build=["ext"], python_version="3.99")
    with pytest.raises(
        AnsibleActionFail, match=r"compiled parts, made on this machine \(.*C library 2.99\), which do not run on the"
    ):
        build(files | {"requirements.txt": "ext==2.0\n"}, build=["ext"])
    monkeypatch.setattr(load("plugin_utils/compiled.py").platform, "machine", lambda: "aarch64")
    with pytest.raises(AnsibleActionFail, match="which do not run on the hosts"):
        build(files | {"requirements.txt": "ext==1.0\nalpha\n"}, build=["ext"])


@pytest.mark.parametrize(
    ("requirements", "click"),
    [
        ("-r base.txt\n", "8.1.7"),
        ("needs_old\n", "8.1.8"),
        ("-c base.txt\nalpha\n", "8.1.7"),
        ("\ufeffclick==8.1.7\n", "8.1.7"),
    ],
)
def test_versions_of_the_app_win_over_those_of_the_server(build, requirements, click):
    found = build(
        {"app.py": "app = print\n", "requirements.txt": requirements, "base.txt": "click==8.1.7\n"}, server="granian"
    )
    assert packages(found)["click"] == click
    assert "granian" in packages(found)


def test_who_wants_what_is_said_where_it_cannot_meet(build):
    with pytest.raises(AnsibleActionFail) as caught:
        build({"app.py": "app = print\n", "requirements.txt": "waitress==2.1.2\n"})
    assert "cannot be had together (waitress>=3.0.2,<4 is what its server needs; the rest is the app's)" in str(
        caught.value
    )
    assert "you require waitress==2.1.2" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 25


def test_application_may_be_in_a_package(build, links):
    files = {"requirements.txt": "alpha\n"}
    assert packages(build(files, wsgi="alpha:version")) == {"alpha": "2.0"}
    with pytest.raises(
        AnsibleActionFail, match="module alpa, which neither its source nor what it requires has; no host"
    ):
        build(files, wsgi="alpa:version")
    path = wheel(links.parent, "shop", "1.0", {"shop.py": "app = print\n"}, requires=("alpha<2",))
    found = build({}, source=str(path), wsgi="shop:app")
    assert packages(found) == {"shop": "1.0", "alpha": "1.0"}
    assert names(found.release) == []
    assert packages(build({}, source="alpha==1.0", wsgi="alpha:version")) == {"alpha": "1.0"}


@pytest.mark.parametrize("line", ["./alpha-1.0-py3-none-any.whl\n", "./alpha\n"])
def test_packages_of_the_source_are_the_same_bytes_wherever_they_were_installed_from(build, links, tmp_path, line):
    wheel_here = {"alpha-1.0-py3-none-any.whl": (links / "alpha-1.0-py3-none-any.whl").read_bytes()}
    files = {
        "app.py": "app = print\n",
        "requirements.txt": line,
        "alpha/alpha.py": "",
        "alpha/setup.py": SETUP,
        **wheel_here,
    }
    one = build(files)
    other = action.Build(one.args | {"cache": str(tmp_path / "elsewhere")})
    other.make()
    assert one.lib.id == other.lib.id
    assert one.lib.archive.read_bytes() == other.lib.archive.read_bytes()
    with tarfile.open(one.lib.archive) as tar:
        texts = [tar.extractfile(member).read() for member in tar if member.isreg() and "alpha" in member.name]
    assert len(texts) > 3
    assert not [text for text in texts if str(tmp_path).encode() in text or b"direct_url" in text]


def test_repository_to_be_edited_is_installed(build, tmp_path):
    """As `pip freeze` writes it; the hosts have no such folder."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "alpha.py").write_text("")
    (made / "setup.py").write_text(SETUP)
    identity = [option for one in ("name", "email") for option in ("-c", f"user.{one}=a@b.test")]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message=one"]):
        subprocess.run(["git", *command], cwd=made, check=True)
    found = build({"app.py": "app = print\n", "requirements.txt": f"-e git+{made.as_uri()}#egg=alpha\n"})
    assert packages(found) == {"alpha": "1.0"}
    assert "alpha.py" in names(found.lib)


def test_lock_of_uv_may_have_folders_of_the_source(build):
    """As a workspace has them: installed, whichever way they are used here, for the hosts do not have that folder."""
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
        '[[package]]\nname = "alpha"\nversion = "1.0"\nsource = { editable = "alpha" }\n'
        '[[package]]\nname = "x"\nversion = "1"\nsource = { virtual = "." }\ndependencies = [{ name = "alpha" }]\n'
        '[package.metadata]\nrequires-dist = [{ name = "alpha", editable = "alpha" }]\n'
    )
    pyproject = (
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["alpha"]\n'
        '[tool.uv.sources]\nalpha = { path = "alpha", editable = true }\n'
    )
    files = {"app.py": "app = print\n", "uv.lock": lock, "pyproject.toml": pyproject, "alpha/alpha.py": ""}
    found = build(files | {"alpha/setup.py": SETUP})
    assert packages(found) == {"alpha": "1.0"}
    assert "alpha.py" in names(found.lib)


def test_lock_of_uv_is_the_same_whether_it_is_named_or_found(build):
    lock = (
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
        '[[package]]\nname = "shop"\nversion = "1.0"\nsource = { editable = "." }\n'
    )
    files = {**project(), "uv.lock": lock, "app.py": "app = print\n"}
    files["pyproject.toml"] = PYPROJECT.replace('dependencies = ["alpha"]', 'requires-python = ">=3.11"').partition(
        "[project.op"
    )[0]
    for requirements in ("", "uv.lock"):
        found = build(files, requirements=requirements)
        assert "shop-1.0.dist-info/METADATA" in names(found.release), requirements
