"""Where a source comes from: a folder, a wheel, a commit, a package; and what is said of one that cannot be had."""

import os
import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import load
from tests.packages import wheel
from tests.test_source_files import git

origins = load("plugin_utils/origins.py")
source_problems = load("plugin_utils/sources.py").source_problems
flask_source = load("plugin_utils/sources.py").flask_source

SHOP = Path("/srv/shop").as_uri()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("git+https://git.example.org/shop.git@v1.2", ("https://git.example.org/shop.git", "v1.2", "")),
        ("git+https://me:pw@git.example.org/shop", ("https://me:pw@git.example.org/shop", "", "")),
        (
            "git+ssh://git@git.example.org/shop@feature/x#subdirectory=web",
            ("ssh://git@git.example.org/shop", "feature/x", "web"),
        ),
        ("git+git@git.example.org:shop.git@v1", ("git@git.example.org:shop.git", "v1", "")),
        (f"git+{SHOP}@main#egg=shop&subdirectory=a/b", (SHOP, "main", "a/b")),
        ("git+../shop@v1", ("../shop", "v1", "")),
        ("git+../shop@HEAD#subdirectory=web", ("../shop", "", "web")),
        ("../shop@v1", None),
    ],
)
def test_repository_is_read_as_pip_writes_it(source, found):
    assert origins.repository(source) == found


def test_paths_are_seen_from_the_inventory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert flask_source("git+../shop@v1#subdirectory=web", "/srv/deploy") == "git+/srv/shop@v1#subdirectory=web"
    assert flask_source("~/shop", "/srv/deploy") == "/home/me/shop"
    assert flask_source("~nobody-of-this-name/shop", "/srv/deploy") == "/srv/deploy/~nobody-of-this-name/shop"
    for unchanged in ("httpbin==0.10.2", "git+https://git.example.org/shop@v1", "git+git@git.example.org:shop.git@v1"):
        assert flask_source(unchanged, "/srv/deploy") == unchanged


@pytest.fixture
def repository(tmp_path):
    home = tmp_path / "repository"
    (home / "web").mkdir(parents=True)
    git(home, "init", "--quiet", "--initial-branch=main")
    for number in ("1", "2"):
        (home / "web" / "app.py").write_text(f"app = {number}\n")
        git(home, "add", ".")
        git(home, "commit", "--quiet", f"--message={number}")
        git(home, "tag", f"v{number}")
    return home


def test_ref_is_resolved_to_its_commit(repository, tmp_path):
    first = git(repository, "rev-parse", "v1").strip()
    for ref in ("v1", first, first[:10]):
        found = origins.origin(f"git+{repository}@{ref}#subdirectory=web", tmp_path / "cache")
        assert found.resolved["commit"] == first
        assert (found.folder / "app.py").read_text() == "app = 1\n"
    for source in (f"git+{repository}", f"git+file://{repository}@main"):
        found = origins.origin(source, tmp_path / "cache")
        assert found.resolved["commit"] == git(repository, "rev-parse", "v2").strip()


def test_folder_in_git_says_its_commit(repository, tmp_path):
    commit = git(repository, "rev-parse", "HEAD").strip()
    deploy = repository / "web" / "deploy"
    assert origins.origin(str(repository / "web"), tmp_path, deploy).resolved == {"commit": commit}
    # The inventory beside the code is no part of it.
    deploy.mkdir()
    (deploy / "hosts.yml").write_text("all: {}\n")
    (repository / "other").write_text("elsewhere\n")
    assert origins.origin(str(repository / "web"), tmp_path, deploy).resolved == {"commit": commit}
    for where in (repository, repository / "web"):
        assert origins.origin(str(where), tmp_path, where).resolved == {"commit": commit, "changed": "yes"}
    (repository / "web" / "more.py").write_text("more = 1\n")
    found = origins.origin(str(repository / "web"), tmp_path, deploy).resolved
    assert found == {"commit": commit, "changed": "yes"}


def test_ref_means_one_commit_for_all_of_a_run(repository, tmp_path, monkeypatch):
    source = f"git+{repository}@main#subdirectory=web"
    before = origins.origin(source, tmp_path / "cache").resolved
    (repository / "web" / "app.py").write_text("app = 3\n")
    git(repository, "commit", "--quiet", "--all", "--message=3")
    assert origins.origin(source, tmp_path / "cache").resolved == before
    monkeypatch.setattr(origins, "token", lambda _: "another run")
    assert origins.origin(source, tmp_path / "cache").resolved["commit"] == git(repository, "rev-parse", "main").strip()


def test_head_is_that_of_the_repository(repository, tmp_path, monkeypatch):
    """What git calls a first branch on this machine says nothing of another repository."""
    git(repository, "branch", "old", "v1")
    (tmp_path / "gitconfig").write_text("[init]\ndefaultBranch = old\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    found = origins.origin(f"git+{repository}@HEAD", tmp_path / "cache").resolved
    assert (found["ref"], found["commit"]) == ("HEAD", git(repository, "rev-parse", "v2").strip())


def test_branch_is_found_where_head_names_none(repository, tmp_path):
    git(repository, "clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    git(tmp_path / "bare.git", "symbolic-ref", "HEAD", "refs/heads/trunk")
    found = origins.origin(f"git+{tmp_path}/bare.git@main", tmp_path / "cache").resolved
    assert found["commit"] == git(repository, "rev-parse", "v2").strip()
    with pytest.raises(AnsibleActionFail, match=r"bare.git, the source of an app, cannot be fetched: .*HEAD"):
        origins.origin(f"git+{tmp_path}/bare.git", tmp_path / "cache")


def test_clone_without_its_history_is_a_source(repository, tmp_path):
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    commit = git(repository, "rev-parse", "main").strip()
    assert origins.origin(f"git+{tmp_path}/shallow@main", tmp_path / "cache").resolved["commit"] == commit
    # As CI has it: a commit that is on no branch.
    git(tmp_path / "shallow", "checkout", "--quiet", "--detach")
    (tmp_path / "shallow" / "web" / "app.py").write_text("app = 3\n")
    git(tmp_path / "shallow", "commit", "--quiet", "--all", "--message=3")
    found = origins.origin(f"git+{tmp_path}/shallow", tmp_path / "cache")
    assert (found.folder / "web" / "app.py").read_text() == "app = 3\n"


def test_pointers_of_lfs_are_fetched_as_they_are(repository, tmp_path, monkeypatch):
    """A filter that asks the mirror for the files, as git-lfs has it, fails: it has none."""
    (tmp_path / "smudge").write_text('#!/bin/sh\ntest "$GIT_LFS_SKIP_SMUDGE" = 1 && cat\n')
    (tmp_path / "smudge").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f'[filter "lfs"]\nclean = cat\nsmudge = {tmp_path}/smudge\nrequired = true\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (repository / ".gitattributes").write_text("*.py filter=lfs\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "--quiet", "--message=lfs")
    found = origins.origin(f"git+{repository}@main", tmp_path / "cache")
    assert (found.folder / "web" / "app.py").read_text() == "app = 2\n"


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("@v9", "has no branch, tag or commit v9. Fix:"),
        ("@v1#subdirectory=shop", "has no folder shop in its commit"),
        ("@v1#subdirectory=../..", "subdirectory leaves the repository. Fix:"),
        ("@--upload-pack=x", "'--upload-pack=x' is no branch, tag or commit. Fix:"),
    ],
)
def test_what_a_repository_does_not_have_is_said(repository, tmp_path, ending, words):
    with pytest.raises(AnsibleActionFail) as caught:
        origins.origin(f"git+{repository}{ending}", tmp_path / "cache")
    assert words in str(caught.value)


def test_password_of_an_address_is_not_shown(tmp_path):
    with pytest.raises(AnsibleActionFail) as caught:
        origins.origin("git+https://me:s3cr3t@127.0.0.1:1/shop@v1", tmp_path)
    assert "https://127.0.0.1:1/shop, the source of an app, cannot be fetched" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in " ".join(problems("git+https://me:s3cr3t@git.example.org/shop@v 1"))


def test_wheel_and_package_are_their_own_requirement(tmp_path):
    path = wheel(tmp_path, "shop", "1.0", {"shop.py": "app = print\n"})
    found = origins.origin(str(path), tmp_path)
    assert (found.folder, found.requirement) == (None, "./shop-1.0-py3-none-any.whl")
    assert (
        found.resolved["sha256"]
        in subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    )
    assert origins.origin("httpbin[extra]==0.10.2", tmp_path)[:2] == (None, "httpbin[extra]==0.10.2")


def problems(source, **more):
    app = {"name": "shop", "source": source, "wsgi": "shop:app", "requirements": "", "build": [], "ignore": []} | more
    return list(source_problems(app, os.fspath(more.pop("seen_from", "/nowhere"))))


def test_good_sources_have_no_problems(tmp_path):
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "__init__.py").write_text("def app(environ, start_response): ...\n")
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = []\n[project]\nname = "shop"\nversion = "1"\n')
    path = wheel(tmp_path, "shop", "1.0", {"shop.py": "app = print\n"})
    assert problems(str(tmp_path)) == []
    assert problems(str(path)) == []
    for good in ("httpbin==0.10.2", "git+https://git.example.org/shop@v1", f"git+{tmp_path}@v1"):
        assert problems(good) == []
    # The module of a package, which is found once that is installed.
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("WsgiDAV==4\n")
    assert problems(str(tmp_path), wsgi="wsgidav.main:app") == []
    for outside in ("/etc/passwd", "../requirements.txt"):
        assert f"requirements is {outside!r}, which is not in the source. Fix:" in problems(
            str(tmp_path), wsgi="wsgidav.main:app", requirements=outside
        )[0]  # fmt: skip


@pytest.mark.parametrize(
    ("requirements", "known"),
    [
        ("", False),
        ("# foo\n\n", False),
        ("foo\n", True),
        ("foo-bar==1\n", True),
        ("./vendor/foo-1.0-py3-none-any.whl\n", True),
        ("git+https://git.example.org/x#egg=foo\n", True),
        ("https://example.org/foo.tar.gz\n", True),
        ("-r https://example.org/requirements.txt\n", True),
    ],
)
def test_module_may_be_in_whatever_is_required(tmp_path, requirements, known):
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "foo-1.0-py3-none-any.whl").write_text("")
    (tmp_path / "requirements.txt").write_text(requirements)
    (tmp_path / "shop.py").write_text("app = print\n")
    found = problems(str(tmp_path), wsgi="foo:app")
    assert found == [
        f"wsgi is 'foo:app'; {tmp_path} has no module foo. Fix: the module that holds the application, "
        "or in the requirements the package that has it."
    ] * (not known)
    if "vendor" not in requirements:
        # What the source has the beginning of is looked for there alone.
        assert "has no module shop.pages. Fix:" in problems(str(tmp_path), wsgi="shop.pages:app")[0]


def test_module_may_be_in_a_folder_of_its_package(tmp_path):
    (tmp_path / "shop" / "shop").mkdir(parents=True)
    (tmp_path / "shop" / "shop" / "__init__.py").write_text("app = print\n")
    (tmp_path / "requirements.txt").write_text("-e ./shop\n")
    assert problems(str(tmp_path)) == []


@pytest.mark.parametrize(("newest", "count"), [((3, 99), 0), ((3, 0), 1)])
def test_code_is_wrong_where_this_python_is_no_older_than_those_of_hosts(tmp_path, monkeypatch, newest, count):
    (tmp_path / "shop.py").write_text("app = print\ndef broken(:\n")
    monkeypatch.setattr(load("plugin_utils/sources.py"), "NEWEST", newest, raising=False)
    found = problems(str(tmp_path))
    assert len(found) == count
    assert all("shop.py is not valid Python: " in problem and problem.endswith("Fix: that line.") for problem in found)


@pytest.mark.parametrize(
    ("source", "more", "words"),
    [
        ("httpbin>=0.10", {}, "which leaves its version open. Fix: one version, like httpbin==0.10.2"),
        ("httpbin==0.10.2", {"requirements": "more.txt"}, "a package says itself what it needs. Fix: leave it out"),
        ("https://git.example.org/shop.git", {}, "an address. Fix: git+ before it"),
        ("git+../nowhere@v1", {}, "there is no folder /nowhere. Fix: a folder or a wheel on this machine, git+URL@REF"),
        ("nowhere", {}, "there is no folder /nowhere/nowhere. Fix: a folder or a wheel"),
        ("httpbin==0.10.2", {"build": ["docopt==0.6"]}, "build has 'docopt==0.6'. Fix: the name of a package, without"),
    ],
)
def test_source_that_cannot_be_is_refused(source, more, words):
    found = problems(source, **more)
    assert len(found) == 1, found
    assert words in found[0]
