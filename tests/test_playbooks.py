"""What ansible-playbook says on the control node, before it asks a host: no host of these inventories is ever reached."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.conftest import PROJECT

PLAYBOOKS = (
    "site.yml",
    "playbooks/site.yml",
    "playbooks/rollback.yml",
    "playbooks/drain.yml",
    "playbooks/check.yml",
    "playbooks/canary.yml",
)
APP = {"name": "hello", "source": str(PROJECT / "files" / "hello"), "wsgi": "app:app", "port": 5101, "instances": 2}
HOSTS = """
[databases]
db1
[app_servers]
web1 app_address=192.0.2.1
web2 app_address=192.0.2.2
web3 app_address=192.0.2.3
[load_balancers]
lb1
[databases:vars]
haproxy_takeover=true
[load_balancers:vars]
haproxy_takeover=true
haproxy_restart=yes
haproxy_threads=2
[app_servers:vars]
number_base=0
[all:vars]
ansible_connection=local
ansible_python_interpreter={{ ansible_playbook_python }}
"""


@pytest.fixture
def inventory(tmp_path):
    """Give an inventory in which another host comes first, and in which only one of the groups has the apps."""
    (tmp_path / "hosts.ini").write_text(HOSTS)
    for folder in ("group_vars", "host_vars"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "group_vars" / "app_servers.yml", APP)
    return tmp_path


def write(path, *apps):
    path.write_text(yaml.safe_dump({"flask_apps": list(apps)}, sort_keys=False))


def run(inventory, *arguments, clone=PROJECT, cwd="/", config=""):
    """Run a playbook of a clone, by default from elsewhere and without its ansible.cfg; return (exit status, output)."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH")
    }
    environment |= {"ANSIBLE_CONFIG": str(config)} if config else {}
    command = ["ansible-playbook", f"--inventory={inventory}", str(clone / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_apps_may_be_where_the_app_servers_are(inventory):
    status, output = run(inventory, "playbooks/check.yml")
    assert status == 0, output
    # The next thing is to ask the hosts, which are this machine, and which nobody may change.
    status, output = run(inventory, "site.yml", "--check", "--extra-vars=ansible_python_interpreter=/nowhere/python3")
    assert status != 0
    assert "Look for what would be in the way" in output
    assert "/nowhere/python3" in output
    assert "flask_apps" not in output


def test_host_with_a_list_of_its_own_is_named(inventory):
    write(inventory / "host_vars" / "web1.yml", APP | {"port": 5111, "instances": 3})
    status, output = run(inventory, "site.yml")
    assert status != 0
    assert (
        "flask_apps of web1 is not that of web2: port of hello is 5111, not 5101; instances of hello is 3, not 2"
        in output
    )
    assert "Look for" not in output


def test_what_nobody_defines_is_named_with_its_hosts_beside_all_else_that_is_wrong(inventory):
    undefined = {"memory_max": "{{ mem }}", "environment": {"KEY": "{{ key }}"}, "port": "{{ port }}"}
    write(inventory / "group_vars" / "app_servers.yml", APP | undefined, APP | {"name": "b", "colour": 3, "path": "/b"})
    (inventory / "group_vars" / "load_balancers.yml").write_text(
        "haproxy_timeout_queue: '{{ patience }}'\nhaproxy_threads: many\n"
    )
    (inventory / "host_vars" / "web2.yml").write_text("app_address: '{{ address }}'\n")
    status, output = run(inventory, "playbooks/check.yml")
    assert status != 0
    fix = "Fix: mend its template, or define what it names for those hosts."
    assert f"flask_apps[0].memory_max of web1, web2, web3 cannot be evaluated: 'mem' is undefined. {fix}" in output
    assert f"flask_apps[0].environment.KEY of web1, web2, web3 cannot be evaluated: 'key' is undefined. {fix}" in output
    assert "haproxy_timeout_queue of lb1 cannot be evaluated: 'patience' is undefined. Fix: mend its template" in output
    assert "app_address of web2 cannot be evaluated: 'address' is undefined. Fix: mend its template" in output
    # The rest of the same inventory.
    assert "flask_apps[1] (b): there is no key 'colour' (value 3)." in output
    assert "lb1: haproxy_threads is 'many'." in output
    assert output.partition("fatal:")[0].count(" Fix: ") == 7, output


@pytest.mark.parametrize(
    ("name", "words"), [("flask_app", "flask_app, which is there, is no variable"), ("mine", "Where the last app")]
)
def test_apps_that_are_nowhere_are_told_from_an_empty_list(inventory, name, words):
    apps = inventory / "group_vars" / "app_servers.yml"
    apps.write_text(yaml.safe_dump({name: [APP]}))
    status, output = run(inventory, "playbooks/check.yml")
    assert status != 0
    assert (
        f"No host has it: group_vars is read beside the inventory that -i names, and in its folder. {words}" in output
    )
    write(apps)
    status, output = run(inventory, "playbooks/check.yml")
    assert status != 0
    assert "flask_apps is []." in output
    assert "No host has it" not in output


def test_apps_that_nobody_defines_are_named(inventory):
    (inventory / "group_vars" / "app_servers.yml").write_text("flask_apps: '{{ mine }}'\n")
    status, output = run(inventory, "playbooks/check.yml")
    assert status != 0
    assert (
        "because: - flask_apps of web1, web2, web3 cannot be evaluated: 'mine' is undefined. Fix: mend its template"
        in output
    )


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_clone_works_from_another_folder(inventory, name):
    write(inventory / "group_vars" / "app_servers.yml", APP | {"colour": 3})
    status, output = run(inventory, name)
    assert status != 0
    assert (
        "No host was asked or changed, because: - flask_apps[0] (hello): there is no key 'colour' (value 3)." in output
    )


@pytest.mark.parametrize("name", ["site.yml", "playbooks/rollback.yml"])
def test_clone_works_where_everybody_may_write(inventory, tmp_path_factory, name):
    """There, Ansible leaves out ansible.cfg."""
    clone = tmp_path_factory.mktemp("clone")
    for folder in ("playbooks", "roles", "plugins", "collections", "meta"):
        shutil.copytree(PROJECT / folder, clone / folder, symlinks=True)
    for file in ("site.yml", "ansible.cfg", "galaxy.yml"):
        shutil.copy(PROJECT / file, clone / file)
    clone.chmod(0o777)
    write(inventory / "group_vars" / "app_servers.yml", APP | {"colour": 3})
    status, output = run(inventory, name, clone=clone, cwd=clone)
    assert status != 0
    assert "there is no key 'colour' (value 3)." in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tags=haproxy"], "Nothing was done: no part has a tag. Fix: leave out --tags;"),
        (["--skip-tags=always"], "Nothing has checked the inventory. Fix: leave out --start-at-task and --skip-tags."),
        (["--start-at-task=Roll out each app"], "Nothing has checked the inventory. Fix: leave out --start-at-task"),
        (["--start-at-task=Install and configure HAProxy"], "Nothing has checked the inventory. Fix: leave out"),
        (
            ["--limit=db1"],
            "no host of app_servers and load_balancers is left by --limit db1. Fix: one of web1, web2, web3, lb1.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_part_of_a_run_is_refused(inventory, arguments, words):
    status, output = run(inventory, "site.yml", *arguments)
    assert status != 0
    assert words in output
    assert "changed=1" not in output


def test_limit_to_one_of_the_hosts_is_taken(inventory):
    status, output = run(inventory, "playbooks/check.yml", "--limit=lb1")
    assert status == 0, output


@pytest.mark.parametrize(
    ("name", "extra", "words"),
    [
        ("playbooks/drain.yml", "lift=ture", "lift is 'ture'. Fix: write true or false."),
        (
            "playbooks/drain.yml",
            "lift=1 server=hello/web1-7",
            "No server is hello/web1-7. Fix: -e server=",
        ),
        ("playbooks/drain.yml", "host=db1", "No server is on db1. Fix: -e server="),
        ("playbooks/drain.yml", "lift=1", "No server and no host is named. Fix: -e server="),
        ("playbooks/canary.yml", "app=hello abort=ture", "abort is 'ture'. Fix: write true or false."),
        (
            "playbooks/run.yml",
            "app=hello command=flask routes",
            "Nothing was done: routes is no part of a variable. Fix: quotes inside quotes, as -e \"command='flask routes'\".",
        ),
        (
            "playbooks/run.yml",
            "app=hello command=' '",
            "app is hello, command is missing, host is web1. Fix: -e app=, one of",
        ),
        ("site.yml", "lock_wait=soon", "lock_wait is 'soon'. Fix: write a whole number."),
        ("site.yml", "ap=hello", "ap is no variable for -e. Fix: app, if that is meant; else another name."),
        ("playbooks/remove.yml", "app=old hosts=web1", "hosts is no variable for -e. Fix: host, if that is meant;"),
        (
            "playbooks/remove.yml",
            "app=old host=web4",
            "Nothing was changed: host is web4, which the inventory does not have. Fix: -e host=, one of db1, web1,",
        ),
        ("playbooks/rollback.yml", "Deploymnet=1", "Deploymnet is no variable for -e. Fix: deployment, if that is"),
        ("site.yml", "canary_weight=10", "canary_weight is no variable for -e. Fix: weight, if that is meant;"),
        ("site.yml", "canary_wieght=10", "canary_wieght is no variable for -e. Fix: weight, if that is meant;"),
        ("playbooks/canary.yml", "app=hello wieght=10", "wieght is no variable for -e. Fix: weight, if that is"),
        (
            "site.yml",
            "app=hallo",
            "app is 'hallo', which no entry of flask_apps is called. Fix: hello, if that is meant; or leave it out.",
        ),
    ],
)
def test_what_a_run_is_told_is_checked(inventory, name, extra, words):
    status, output = run(inventory, name, f"--extra-vars={extra}")
    assert status != 0
    assert words in output


def test_deployment_of_one_of_several_apps_needs_its_name(inventory):
    write(inventory / "group_vars" / "app_servers.yml", APP, APP | {"name": "b", "port": 5201, "path": "/b"})
    status, output = run(inventory, "playbooks/rollback.yml", "--extra-vars=deployment=1234")
    assert status != 0
    assert (
        "deployment is 1234, which is of one app, and there are several. Fix: beside it, -e app=, one of hello, b."
        in output
    )
    assert "Look for" not in output


def test_variables_of_somebody_elses_are_no_mistakes(inventory):
    """Whether their templates use it, nobody can say; of the inventory, nothing was typed for this run."""
    (inventory / "group_vars" / "all.yml").write_text("ap: 1\nhosts: [a]\n")
    status, output = run(inventory, "playbooks/check.yml", "--extra-vars=stage=test version=1.2 deploy_env=x")
    assert status == 0, output


@pytest.mark.parametrize("limit", ["web2", "lb1"])
@pytest.mark.parametrize("name", ["run", "backup", "restore"])
def test_limit_that_leaves_out_the_host_is_no_success(inventory, name, limit):
    """Else a backup of nothing would be one."""
    write(inventory / "group_vars" / "app_servers.yml", APP | {"hosts": "others"})
    (inventory / "others.yml").write_text("others: {hosts: {web1: , web3: }}\n")
    archive = inventory / "archive.tar.gz"
    archive.touch()
    status, output = run(
        inventory,
        f"playbooks/{name}.yml",
        "--limit",
        limit,
        f"--extra-vars=app=hello host=web1 command=ls archive={archive}",
    )
    assert status != 0, output
    assert f"Nothing was done: --limit {limit} leaves out web1" in output


def test_shell_asks_for_an_app(inventory):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.shell"],
        cwd=PROJECT, env=os.environ | {"ANSIBLE_INVENTORY": str(inventory)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip()) == (1, "No app is named. Fix: APP=, one of hello.")


@pytest.mark.parametrize(
    ("name", "built"), [("site.yml", True), ("playbooks/rollback.yml", False), ("playbooks/drain.yml", False)]
)
def test_source_is_needed_where_something_is_built(inventory, name, built):
    """Who drains or goes back need not have the code of the apps."""
    write(inventory / "group_vars" / "app_servers.yml", APP | {"source": "/nowhere/shop"})
    status, output = run(inventory, name, "--check", "--extra-vars=ansible_python_interpreter=/nowhere/python3")
    assert status != 0
    assert ("there is no folder /nowhere/shop" in output) is built


def test_check_mode_says_what_would_be_saved_and_put_back(inventory):
    archive = inventory / "hello-web1-20260102-030405.tar.gz"
    archive.touch()
    nowhere = "ansible_python_interpreter=/nowhere/python3 app=hello"
    status, output = run(inventory, "playbooks/backup.yml", "--check", f"--extra-vars={nowhere} to=/srv/backups")
    assert status == 0, output
    for host in ("web1", "web2", "web3"):
        assert f"Without --check, /srv/backups would have /var/lib/flask-hello of {host}." in output
    assert "Create a file" not in output
    status, output = run(
        inventory, "playbooks/restore.yml", "--check", f"--extra-vars={nowhere} host=web2 archive={archive}"
    )
    assert status == 0, output
    assert f"Without --check, {archive} would take the place of /var/lib/flask-hello of web2." in output
    assert "deploy lock" not in output


def test_who_runs_a_playbook_is_found_in_one_place():
    """`id -un` fails for a user without a name."""
    texts = {path.name: path.read_text() for path in (PROJECT / "playbooks").rglob("*.yml")}
    assert [name for name, text in texts.items() if "flask_haproxy.deploy.who" in text] == ["handed_over.yml"]
    assert [name for name, text in texts.items() if "id -un" in text] == []


@pytest.mark.parametrize("name", ["status", "doctor", "releases", "logs"])
def test_who_looks_at_a_site_is_told_what_is_wrong_with_its_inventory(inventory, name):
    write(
        inventory / "group_vars" / "app_servers.yml", APP | {"hosts": "nosuch", "colour": 3, "source": "/nowhere/shop"}
    )
    status, output = run(inventory, f"playbooks/{name}.yml")
    assert status != 0
    said = output.partition("because: - ")[2].partition("fatal:")[0]
    assert said.startswith("flask_apps[0] (hello): there is no key 'colour' (value 3).")
    assert "hosts is 'nosuch', a group that is missing. Fix: a group with hosts." in said
    assert "/nowhere/shop" not in output
    assert "KeyError" not in output


@pytest.mark.parametrize("extra", ["app=old", "format=json"])
def test_who_looks_may_ask_for_an_app_that_is_in_no_list_any_more(inventory, extra):
    python = "ansible_python_interpreter=/nowhere/python3"
    output = run(inventory, "playbooks/logs.yml", f"--extra-vars={extra} {python}")[1]
    assert "because:" not in output
    assert "Say what they have said" in output


def tasks_of(path):
    """Yield each task of a file, those of blocks as well."""
    left = [task for play in yaml.safe_load(path.read_text()) for task in play.get("tasks", [play])]
    while left:
        task = left.pop()
        left += [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]
        yield task


def test_no_app_is_passed_over_in_the_midst_of_a_loop():
    # With -v an item that a `when` passes over is shown as a whole, with the app's environment.
    loops = [one for one in tasks_of(PROJECT / "playbooks" / "site.yml") if "apps_" in str(one.get("loop"))]
    assert len(loops) >= 7
    assert [one["name"] for one in loops if "when" in one] == []
