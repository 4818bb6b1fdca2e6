"""What of a source is shipped, with which times, and what is said of what cannot be."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail

from tests.conftest import load

files = load("plugin_utils/source_files.py")
git_utils = load("plugin_utils/git.py")
ENVIRONMENT = os.environ | {
    f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def write(folder, **texts):
    """Write files, whose names have __ for a slash and _DOT_ for a dot."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git(folder, *arguments, when="2020-02-02T02:02:02+0000"):
    environment = ENVIRONMENT | {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout


def shipped(folder, **options):
    return [name for name, _ in files.source_files(folder, **options)]


LOCAL = {
    "_DOT_env": "SECRET=1",
    "_DOT_env_DOT_local": "SECRET=1",
    "_DOT_DS_Store": "x",
    "_DOT_env-prod": "SECRET=1",
    "_DOT_envrc": "export SECRET=1",
    "_DOT_vagrant__machines__key": "SECRET",
    "_DOT_idea__workspace_DOT_xml": "",
    "_DOT_app_DOT_py_DOT_swp": "b0VIM",
    "app_DOT_py~": "before",
    "shop__#views_DOT_py#": "not saved",
    "anything__pyvenv_DOT_cfg": "home = /usr\n",
    "anything__lib__x_DOT_py": "",
    "build__lib__app_DOT_py": "",
    "shop_DOT_egg-info__PKG-INFO": "",
    "node_modules__a_DOT_js": "",
}


def test_what_is_local_to_a_machine_is_not_shipped(tmp_path):
    kept = {
        "app_DOT_py": "",
        "setup_DOT_py": "",
        "_DOT_env_DOT_example": "SECRET=",
        "_DOT_flaskenv": "FLASK_APP=app",
        "environment__env_DOT_py": "",
    }
    write(tmp_path, **kept, **LOCAL)
    assert shipped(tmp_path) == [".env.example", ".flaskenv", "app.py", "environment/env.py", "setup.py"]
    # A folder of that name that setuptools has not made is the app's.
    (tmp_path / "build" / "lib" / "app.py").rename(tmp_path / "build" / "index.js")
    (tmp_path / "build" / "lib").rmdir()
    assert "build/index.js" in shipped(tmp_path)


def test_what_git_ignores_is_not_shipped_and_what_it_has_is(tmp_path):
    write(tmp_path, **LOCAL)
    write(
        tmp_path,
        app_DOT_py="",
        setup_DOT_py="",
        _DOT_gitignore="*.sqlite\n/static/dist/\n",
        data_DOT_sqlite="",
        static__dist__a_DOT_js="",
        new_DOT_py="",
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "app.py", ".gitignore")
    git(tmp_path, "add", "--force", "node_modules")
    assert shipped(tmp_path) == [".gitignore", "app.py", "new.py", "node_modules/a.js", "setup.py"]
    # A work tree that has a `.git` file, as `git worktree` makes it.
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "worktree", "add", "--quiet", str(tmp_path / "other"))
    assert shipped(tmp_path / "other") == [".gitignore", "app.py", "node_modules/a.js"]
    # And a folder that git ignores as a whole.
    write(tmp_path / "static" / "dist", _DOT_env="SECRET=1")
    assert shipped(tmp_path / "static" / "dist") == ["a.js"]


def test_patterns_of_the_app_decide_last(tmp_path):
    write(
        tmp_path,
        app_DOT_py="",
        tests__a_DOT_py="",
        tests__deep__b_DOT_py="",
        static__dist__a_DOT_js="",
        _DOT_env="",
        a_DOT_log="",
    )
    for ignored in ("", "static/dist/\n.env\n"):
        if ignored:
            (tmp_path / ".gitignore").write_text(ignored)
            git(tmp_path, "init", "--quiet")
        found = set(shipped(tmp_path, ignore=["/tests/", "*.log", "!.env", "!/static/dist", ".gitignore"]))
        assert found == {".env", "app.py", "static/dist/a.js"}
    assert shipped(tmp_path, ignore=["tests/*.py", "**/a.js", ".*", "*.log"]) == ["app.py", "tests/deep/b.py"]


@pytest.mark.parametrize(
    "pattern",
    [
        "secrets.yml",
        "**/secrets.yml",
        "/secrets.yml",
        "a/**/b",
        "a/**",
        "**/a/b",
        "a/*/b",
        "**",
        "a/**/**/b",
        "*.y?l",
        "/*/b",
        "/*/",
        "a/b/",
        "a/",
        "[^a]",
        "x/\\*",
        "\\*",
    ],
)
def test_patterns_mean_what_they_mean_to_git(tmp_path, pattern):
    names = [
        "secrets.yml",
        "x/secrets.yml",
        "x/y/secrets.yml",
        "a/b",
        "a/x/b",
        "a/x/y/b",
        "a/other",
        "x/a/b",
        "a.b/c",
        "b/a",
        "c/*",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert set(shipped(tmp_path, ignore=[pattern])) == {name for name in names if not files.covers(pattern, name)}
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".git" / "info" / "exclude").write_text(f"{pattern}\n")
    ignored = git(tmp_path, "ls-files", "--others", "--ignored", "--exclude-standard").splitlines()
    assert sorted(name for name in names if files.covers(pattern, name)) == sorted(ignored)


def test_inventory_is_not_shipped_whichever_links_lead_to_it(tmp_path):
    project, here, there = tmp_path / "project", tmp_path / "here", tmp_path / "there"
    write(project, app_DOT_py="", deploy__vault_DOT_yml="SECRET=1", deployed__a_DOT_py="")
    for link in (here, there):
        link.symlink_to("project")
    for source in (project, here):
        for inventory in (project, here, there):
            assert shipped(source, leave_out=inventory / "deploy") == ["app.py", "deployed/a.py"]
            # An inventory that is the source, or that has it in it, leaves nothing out.
            assert "deploy/vault.yml" in shipped(source, leave_out=inventory)
            assert "deploy/vault.yml" in shipped(source, leave_out=inventory.parent)


@pytest.mark.parametrize("with_git", [False, True])
def test_inventory_may_be_a_link_in_the_source(tmp_path, with_git):
    project = tmp_path / "project"
    write(project, app_DOT_py="")
    write(tmp_path / "elsewhere", hosts_DOT_yml="")
    (project / "deploy").symlink_to("../elsewhere")
    if with_git:
        git(project, "init", "--quiet")
        git(project, "add", ".")
    assert shipped(project, leave_out=project / "deploy") == ["app.py"]


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 4096\n"


def test_pointer_in_the_place_of_a_file_is_refused(tmp_path):
    write(
        tmp_path, app_DOT_py="", static__logo_DOT_png=LFS, docs__lfs_DOT_md=LFS + "is what a pointer looks like\n" * 99
    )
    with pytest.raises(AnsibleActionFail) as caught:
        shipped(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/static/logo.png is a pointer of Git LFS in place of the file. Fix: `git lfs pull` in {tmp_path}; for a "
        "source that git fetches, a clone of your own in which that was done; or `ignore: [/static/logo.png]` of the app."
    )
    assert shipped(tmp_path, ignore=["/static/logo.png"]) == ["app.py", "docs/lfs.md"]


def test_file_that_is_still_encrypted_is_refused(tmp_path):
    write(tmp_path, app_DOT_py="")
    (tmp_path / "secrets.yml").write_bytes(b"\0GITCRYPT\0" + bytes(40))
    with pytest.raises(AnsibleActionFail) as caught:
        shipped(tmp_path)
    assert str(caught.value).startswith(
        f"{tmp_path}/secrets.yml is encrypted by git-crypt. Fix: `git-crypt unlock` in {tmp_path}; for a source that git fetches"
    )
    assert shipped(tmp_path, ignore=["/secrets.yml"]) == ["app.py"]


@pytest.mark.parametrize("with_git", [False, True])
def test_last_pattern_that_means_a_file_decides(tmp_path, with_git):
    write(tmp_path, app_DOT_py="", docs__a_DOT_md="", docs__help_DOT_md="", README_DOT_md="")
    if with_git:
        git(tmp_path, "init", "--quiet")
        git(tmp_path, "add", ".")
    patterns = ["*.md", "/docs", "!/docs/help.md", "!README.md", "README.md"]
    assert shipped(tmp_path, ignore=patterns) == ["app.py", "docs/help.md"]


def test_all_that_is_wrong_with_files_is_said_at_once(tmp_path):
    write(tmp_path, **{f"a{number}_DOT_png": LFS for number in range(7)}, app_DOT_py="")
    (tmp_path / "a.yml").write_bytes(b"\0GITCRYPT\0")
    (tmp_path / "a0").symlink_to("/nowhere")
    with pytest.raises(AnsibleActionFail) as caught:
        shipped(tmp_path)
    lines = str(caught.value).split("\n")
    assert [line.partition(" is ")[0].rpartition("/")[2] for line in lines] == [
        "a.yml",
        "a0",
        "a0.png",
        "a1.png",
        "a2.png",
        "… and 4 more.",
    ]
    assert all("Fix: " in line for line in lines[:-1])
    with pytest.raises(AnsibleActionFail, match=r"^[^\n]*a6.png is a pointer[^\n]*$"):
        shipped(tmp_path, ignore=["a[0-5]*", "a.yml"])


def test_file_that_a_sparse_checkout_left_out_is_refused(tmp_path):
    write(tmp_path, web__app_DOT_py="", other__a_DOT_py="", gone_DOT_py="")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "sparse-checkout", "set", "web")
    assert not (tmp_path / "other").exists()
    with pytest.raises(AnsibleActionFail) as caught:
        shipped(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/other/a.py is not there, though git has it. Fix: `git sparse-checkout disable` in {tmp_path}, "
        "or `ignore: [/other/a.py]` of the app."
    )
    assert git_utils.state(tmp_path)["changed"] == "yes"
    # Part of it may be whole, and what was deleted is no part of it.
    assert shipped(tmp_path / "web") == ["app.py"]
    assert "changed" not in git_utils.state(tmp_path / "web")
    (tmp_path / "gone.py").unlink()
    assert shipped(tmp_path, ignore=["/other"]) == ["web/app.py"]


@pytest.mark.parametrize("how", ["--skip-worktree", "--assume-unchanged"])
def test_file_that_git_is_told_not_to_look_at_may_be_changed(tmp_path, how):
    write(tmp_path, app_DOT_py="1")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    assert "changed" not in git_utils.state(tmp_path)
    git(tmp_path, "update-index", how, "app.py")
    write(tmp_path, app_DOT_py="2")
    assert shipped(tmp_path) == ["app.py"]
    assert git_utils.state(tmp_path)["changed"] == "yes"


def test_repository_in_a_repository_shows_its_own_files(tmp_path):
    write(
        tmp_path,
        app_DOT_py="",
        inner__lib_DOT_py="",
        inner___DOT_gitignore="*.log\n",
        inner__x_DOT_log="",
        _DOT_gitmodules="",
    )
    git(tmp_path / "inner", "init", "--quiet")
    git(tmp_path / "inner", "add", ".")
    git(tmp_path / "inner", "commit", "--quiet", "--message=inner")
    git(tmp_path, "init", "--quiet")
    assert shipped(tmp_path) == [".gitmodules", "app.py", "inner/.gitignore", "inner/lib.py"]
    git(tmp_path, "-c", "advice.addEmbeddedRepo=false", "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=outer")
    assert shipped(tmp_path) == [".gitmodules", "app.py", "inner/.gitignore", "inner/lib.py"]
    git(tmp_path.parent, "clone", "--quiet", str(tmp_path), str(tmp_path / "clone"))
    with pytest.raises(
        AnsibleActionFail, match=r"inner is a submodule that is not there. Fix: `git submodule update --init`"
    ):
        shipped(tmp_path / "clone")


def test_link_to_a_folder_of_the_source_is_to_be_relative(tmp_path):
    write(tmp_path, app_DOT_py="", real__a_DOT_py="")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with pytest.raises(
        AnsibleActionFail, match=r"/folder is a link to .*/real, which is no file. Fix: one that is relative.$"
    ):
        shipped(tmp_path)
    (tmp_path / "folder").unlink()
    (tmp_path / "folder").symlink_to("real")
    assert shipped(tmp_path) == ["app.py", "folder", "real/a.py"]


def test_what_is_no_file_is_left_out(tmp_path, monkeypatch):
    write(tmp_path, app_DOT_py="")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket has its limits
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("app.sock")
        assert shipped(tmp_path) == ["app.py"]


def test_broken_repository_is_said(tmp_path):
    write(tmp_path, app_DOT_py="", _DOT_git="gitdir: /nowhere\n")
    with pytest.raises(AnsibleActionFail, match=r"`git ls-files` failed in .*not a git repository.*Fix:"):
        shipped(tmp_path)


def test_time_of_a_file_is_that_of_the_commit_that_changed_it(tmp_path):
    git(tmp_path, "init", "--quiet")
    write(tmp_path, web__old_DOT_py="1", web__new_DOT_py="1", web__dirty_DOT_py="1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one", when="2020-01-01T00:00:00+0000")
    write(tmp_path, web__new_DOT_py="2")
    git(tmp_path, "commit", "--quiet", "--all", "--message=two", when="2021-01-01T00:00:00+0000")
    write(tmp_path, web__dirty_DOT_py="2", web__not_there_yet_DOT_py="")
    found = git_utils.times(tmp_path / "web", ["old.py", "new.py", "dirty.py", "not_there_yet.py"])
    assert found == {"old.py": 1577836800, "new.py": 1609459200}
    assert git_utils.state(tmp_path / "web") == {"commit": git(tmp_path, "rev-parse", "HEAD").strip(), "changed": "yes"}


def test_version_is_that_of_the_last_tag(tmp_path):
    write(tmp_path, app_DOT_py="")
    assert git_utils.version(tmp_path) == ""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert git_utils.version(tmp_path) == f"0+g{commit[:12]}"
    git(tmp_path, "tag", "v1.2")
    assert git_utils.version(tmp_path) == "1.2"
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=two")
    assert git_utils.version(tmp_path).startswith("1.2.post1+g")


def test_hook_of_another_repository_changes_nothing(tmp_path, monkeypatch):
    write(tmp_path, app_DOT_py="")
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert shipped(tmp_path) == ["app.py"]


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("https://example.org/team/shop.git", "example.org/team/shop/deploy"),
        ("https://anna:secret@Example.org:8443/team/shop", "example.org/team/shop/deploy"),
        ("git@example.org:team/shop.git", "example.org/team/shop/deploy"),
        ("ssh://git@example.org:2222/team/shop.git/", "example.org/team/shop/deploy"),
        ("https://anna:p@ss@example.org/team/shop", "example.org/team/shop/deploy"),
        ("git+ssh://git@example.org/team/shop.git", "example.org/team/shop/deploy"),
        ("ssh://git@[2001:db8::1]:22/team/shop", "[2001:db8::1]/team/shop/deploy"),
        ("shop.git", ""),
        ("~/git/shop.git", ""),
        ("../shop", ""),
        ("/srv/git/shop.git", ""),
        (Path("/srv/git/shop.git").as_uri(), ""),
        ("", ""),
    ],
)
def test_inventory_is_called_the_same_on_every_machine(tmp_path, remote, name):
    folder = tmp_path / "shop" / "deploy"
    folder.mkdir(parents=True)
    assert git_utils.address(folder) == f"{os.uname().nodename}:{folder}"
    git(folder.parent, "init")
    if remote:
        git(folder.parent, "remote", "add", "origin", remote)
    assert git_utils.address(folder) == (name or f"{os.uname().nodename}:{folder}")
