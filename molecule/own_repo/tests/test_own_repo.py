"""From an application's own repository: the installed collection, Ansible's own settings, and nothing of this project's."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import SCENARIO, ask, changed, eventually, host, hosts_of, refused

ROOT = Path("/tmp/flask-own-repo")
REPOSITORY = ROOT / "repository"
INSTALLED = ROOT / "home" / ".ansible" / "collections" / "ansible_collections" / "flask_haproxy" / "deploy"
SHOP = hosts_of("app_servers")[0]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository as its owner would."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = (str(SCENARIO / "as-owner"), *command)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def play(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the collection with the repository's inventory."""
    return run("ansible-playbook", f"flask_haproxy.deploy.{name}", "--inventory", "deploy/hosts.yml", *arguments)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Require that a run went well; return its output."""
    if done.returncode:
        pytest.fail(f"exit {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-1000:]}", pytrace=False)
    return done.stdout


def answers() -> set[str]:
    return {answer["body"] for answer in ask(6, of=SHOP)}


def both_answer(version: int = 1) -> None:
    """Require that both instances answer, with a version: as soon as HAProxy's checks have found both."""
    expected = {f"Version {version} from {number}\n" for number in (1, 2)}
    assert answers() <= expected
    eventually(lambda: answers() == expected, what=f"answers of both instances, of version {version}")


def test_no_setting_of_the_project_is_there():
    shown = succeeded(run("ansible-config", "dump", "--only-changed"))
    assert "CONFIG_FILE() = None" in shown
    assert "ansible.cfg" not in shown


def test_all_instances_answer():
    both_answer()


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["run", "check"])
def test_nothing_is_left_to_do(options):
    assert changed(succeeded(play("site", *options))) == 0


def test_nothing_is_written_into_the_collection():
    assert not list(INSTALLED.rglob(".cache"))
    assert list((ROOT / "home" / ".cache" / "flask-haproxy" / "releases" / "shop").glob("release-*.tar.gz"))
    verified = run("ansible-galaxy", "collection", "verify", "--offline", "flask_haproxy.deploy")
    assert "Successfully verified" in succeeded(verified)


def test_release_holds_the_repository_without_its_inventory():
    release = "/opt/flask/shop/instances/1/release/app"
    assert host(SHOP).check_output("ls -A --ignore=__pycache__ %s", release).split() == [
        "app.py",
        "instance",
        "requirements.txt",
    ]


def test_new_code_is_deployed_and_rolled_back():
    app = REPOSITORY / "app.py"
    before = app.read_text()
    try:
        app.write_text(before.replace("Version 1", "Version 2"))
        succeeded(play("site"))
        both_answer(2)
        shown = succeeded(play("rollback"))
        assert "is live" in shown
        both_answer()
    finally:
        app.write_text(before)
        succeeded(play("site"))


def test_instance_is_taken_out_and_put_back():
    succeeded(play("drain", "--extra-vars", f"server=shop/{SHOP}-2"))
    assert answers() == {"Version 1 from 1\n"}
    succeeded(play("drain", "--extra-vars", f"server=shop/{SHOP}-2 lift=true"))
    both_answer()


def test_missing_folder_is_said_with_where_it_was_looked_for():
    apps = '{"flask_apps": [{"name": "shop", "source": "../sorce", "wsgi": "app:app", "port": 5001}]}'
    refused(
        play("site", "--extra-vars", apps),
        f"source is '../sorce', seen from {REPOSITORY}/deploy; there is no folder {REPOSITORY}/sorce. Fix:",
    )


@pytest.mark.parametrize("arguments", [(), ("--inventory", "nowhere/"), ("--inventory", "deploy/group_vars/all.yml")])
def test_missing_inventory_is_said(arguments):
    done = run("ansible-playbook", "flask_haproxy.deploy.site", *arguments)
    refused(done, "No host is known", "Fix: name an inventory with -i")


# Makes a Python say that it is another one.
PRETENDER = """
import sys
class Version(tuple):
    major, minor, micro, releaselevel, serial = 3, 13, 0, "final", 0
sys.version_info = Version((3, 13, 0, "final", 0))
"""


def test_another_python_that_ansible_finds_changes_nothing():
    """What the instances run on is Debian's Python, whichever Python somebody has installed beside it."""
    shop = host(SHOP)
    shop.check_output(
        "mkdir /usr/local/lib/pretender && printf %%s %s > /usr/local/lib/pretender/sitecustomize.py", PRETENDER
    )
    shop.check_output(
        "printf '#!/bin/sh\nPYTHONPATH=/usr/local/lib/pretender exec /usr/bin/python3 \"$@\"\n' > /usr/local/bin/python3.13"
        " && chmod 755 /usr/local/bin/python3.13"
    )
    try:
        done = play("site", "--extra-vars", "ansible_python_interpreter=/usr/local/bin/python3.13")
        assert changed(succeeded(done)) == 0
    finally:
        shop.check_output("rm -r /usr/local/bin/python3.13 /usr/local/lib/pretender")


@pytest.mark.parametrize(
    ("kind", "name"), [("module", "haproxy_server"), ("filter", "flask_backends"), ("role", "flask_app")]
)
def test_plugins_are_documented(kind, name):
    assert name in succeeded(run("ansible-doc", "--type", kind, f"flask_haproxy.deploy.{name}"))
