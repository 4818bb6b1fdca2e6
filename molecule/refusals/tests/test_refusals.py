"""Bad input and hosts that are in the way: one clear message, and nothing changed anywhere."""

import contextlib
import json

import pytest

from tests.support import apps, changed, host, hosts_of, playbook, refused, snapshot, squatter, variables

BLANK = hosts_of("app_servers")[0]
HELLO = apps()[0]


@pytest.fixture(scope="module")
def blank():
    """Return the connection to the host, on which a port can be held and nothing of ours is."""
    found = host(BLANK)
    assert not found.file("/opt/flask").exists
    assert not found.file("/etc/haproxy").exists
    return found


@contextlib.contextmanager
def unchanged():
    """Require that a host is, to the file, what it was before."""
    before = snapshot(BLANK)
    yield
    assert sorted(snapshot(BLANK) ^ before) == []


# What is wrong, and what the message has to say. tests/test_problems.py has more of them, without a host.
INVENTORIES = {
    "unknown key": (
        {"flask_apps": apps(instance=3)},
        ["flask_apps[0] (hello)", "no key 'instance' (value 3)", "Fix: instances, if that is meant"],
    ),
    "duplicate name": (
        {"flask_apps": [HELLO, HELLO | {"port": 6001}]},
        ["the name 'hello' is used 2 times", "Fix: one name"],
    ),
    "overlapping ports": (
        {"flask_apps": [HELLO, HELLO | {"name": "b", "port": 5003}]},
        ["port 5003 of b (5003 to 5005) is also that of hello", "Fix: another port for b"],
    ),
    "port of the statistics": (
        {"flask_apps": apps(port=8404)},
        ["port 8404 of hello", "haproxy's frontends and stats page"],
    ),
    "port of a frontend": (
        {"flask_apps": apps(port=8080), "haproxy_binds": ["*:8081"]},
        ["port 8081 of hello (8080 to 8082)", "haproxy's frontends", "Fix: another port"],
    ),
    "no instances": ({"flask_apps": apps(instances=0)}, ["instances is 0. Fix: a number from 1 to 200"]),
    "missing source": ({"flask_apps": apps(source=None)}, ["source is missing. Fix: add `source: …`"]),
    "wsgi without a colon": ({"flask_apps": apps(wsgi="app")}, ["wsgi is 'app'. Fix: module:callable"]),
    "module that is not there": (
        {"flask_apps": apps(wsgi="app.main:app")},
        ["wsgi is 'app.main:app'", "has no module app.main", "Fix:"],
    ),
    "callable that is not there": (
        {"flask_apps": apps(wsgi="app:main")},
        ["nothing called main is defined in", "Fix: the name"],
    ),
    "name that is no unit": ({"flask_apps": apps(name="my app")}, ["name is 'my app'. Fix: at most 26 of a-z"]),
    "word for a boolean": (
        {"haproxy_takeover": "perhaps"},
        ["haproxy_takeover is 'perhaps'. Fix: write true or false"],
    ),
    "unknown variable": (
        {"haproxy_bind": ["*:81"]},
        ["there is no variable haproxy_bind. Fix: haproxy_binds, if that is meant"],
    ),
    "memory that systemd does not know": (
        {"flask_apps": apps(memory_max="512MB")},
        ["memory_max is '512MB'. Fix: a number with K, M, G or T, like 512M"],
    ),
    "time without a unit": (
        {"haproxy_timeout_queue": "30"},
        ["haproxy_timeout_queue is '30'. Fix: a number with a unit"],
    ),
}


@pytest.mark.parametrize(("changes", "words"), INVENTORIES.values(), ids=INVENTORIES)
def test_inventory_is_refused(blank, changes, words):  # noqa: ARG001
    with unchanged():
        output = refused(playbook(*variables(**changes)), "No host was asked or changed, because:", *words)
    # One message: no task came after it, and none went to the host.
    assert output.count("fatal: [") == 1
    assert "Check the hosts" not in output


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (
            "[app_servers]\n[load_balancers]\nHOST\n",
            "the group app_servers is empty. Fix: name at least one host in it.",
        ),
        ("[load_balancers]\nHOST\n", "the group app_servers is missing. Fix: name at least one host in it."),
        (
            "[app_servers]\nHOST\n[load_balancers]\nelsewhere\n",
            "HOST has no app_address, and it is not the only balancer itself",
        ),
    ],
    ids=["empty group", "missing group", "balancer elsewhere"],
)
def test_groups_are_refused(blank, tmp_path, hosts, words):  # noqa: ARG001
    (tmp_path / "hosts.ini").write_text(hosts.replace("HOST", BLANK))
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(json.dumps({"flask_apps": [HELLO]}))
    with unchanged():
        refused(playbook(inventory=tmp_path), "No host was asked or changed, because:", words.replace("HOST", BLANK))


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("docopt==0.6.2\n", ["there is none for Python 3", "of docopt==0.6.2", "Fix: `build: [docopt]`"]),
        ("blinker==1.9.0 --hash=sha256:" + "0" * 64 + "\n", ["Hash mismatch for `blinker==1.9.0`"]),
    ],
    ids=["no wheel", "another hash"],
)
def test_requirement_is_refused(blank, tmp_path, requirements, words):  # noqa: ARG001
    (tmp_path / "app.py").write_text("app = print\n")
    (tmp_path / "requirements.txt").write_text(requirements)
    with unchanged():
        done = playbook(*variables(flask_apps=apps(source=str(tmp_path))))
        refused(done, "The requirements of hello", "no host was changed", str(tmp_path / "requirements.txt"), *words)


@pytest.mark.parametrize(
    ("port", "key"),
    [(80, "haproxy_binds"), (8404, "haproxy_binds"), (5002, "port of the app")],
    ids=["80", "8404", "5002"],
)
def test_port_that_is_taken_is_refused(blank, port, key):
    with squatter(blank, port), unchanged():
        refused(
            playbook(),
            "Nothing was changed, because:",
            f"port {port}, which",
            "is held by python3 (squatter.service). Fix: stop that (systemctl disable --now squatter)",
            f"or change {key}",
        )


def test_port_80_of_nginx_is_refused(blank):
    blank.check_output(
        "apt-get update -qq && apt-get install -qq -y --no-install-recommends nginx-light >/dev/null 2>&1"
    )
    try:
        with unchanged():
            refused(
                playbook(), "port 80, which haproxy is to listen on, is held by nginx (nginx.service). Fix: stop that"
            )
        # Nor did it stop answering.
        assert "Welcome to nginx" in blank.check_output("curl --silent --fail http://127.0.0.1/")
    finally:
        blank.check_output("apt-get purge -qq -y --auto-remove nginx-light nginx-common >/dev/null 2>&1")


def test_configuration_of_somebody_else_is_refused(blank):
    blank.check_output("mkdir /etc/haproxy && echo 'global # by hand' > /etc/haproxy/haproxy.cfg")
    try:
        with unchanged():
            refused(
                playbook(), "/etc/haproxy/haproxy.cfg was written by somebody else. Fix:", "-e haproxy_takeover=true"
            )
        # As it is written there; in check mode, apt fetches its lists all the same.
        assert playbook("--check", "-e", "haproxy_takeover=true").returncode == 0
    finally:
        blank.check_output("rm -r /etc/haproxy")


def test_account_of_somebody_else_is_refused(blank):
    blank.check_output("useradd --create-home --shell /bin/bash flask-hello")
    try:
        with unchanged():
            refused(
                playbook(),
                "the account flask-hello (home /home/flask-hello, shell /bin/bash) is none of an app",
                "Fix: another name for the app, or for the account (usermod --login NEW flask-hello).",
            )
    finally:
        blank.check_output("userdel --remove flask-hello")


def test_setting_that_systemd_would_ignore_is_refused(blank):  # noqa: ARG001
    sandbox = {"ProtectHom": True, "MemoryDenyWriteExecute": "maybe", "PrivateUsers": False}
    with unchanged():
        output = refused(
            playbook(*variables(flask_apps=apps(sandbox=sandbox))),
            "sandbox.ProtectHom of hello is 'yes', which systemd would ignore: Unknown key",
            "Fix: ProtectHome, if that is meant.",
            "sandbox.MemoryDenyWriteExecute of hello is 'maybe', which systemd would ignore: Failed to parse boolean value",
        )
    assert "PrivateUsers" not in output


def test_address_that_the_host_does_not_have_is_refused(blank):  # noqa: ARG001
    binds = ["*:80", "192.0.2.77:81", "*:82 interface eth99"]
    with unchanged():
        refused(
            playbook(*variables(haproxy_binds=binds)),
            "bind 192.0.2.77:81: this host cannot listen there (Cannot assign requested address). Fix: an address that",
            "bind *:82: there is no interface eth99. Fix: one of those that",
        )


def test_distribution_is_refused(blank):
    blank.check_output(
        "cp --remove-destination /usr/lib/os-release /etc/os-release && sed -i 's/^ID=.*/ID=ubuntu/' /etc/os-release"
    )
    try:
        with unchanged():
            refused(playbook(), "Nothing was changed, because:", "Fix: a host with Debian 12 or 13")
    finally:
        blank.check_output("ln -sf ../usr/lib/os-release /etc/os-release")


def test_full_disk_is_refused(blank):
    blank.check_output("mkdir /opt/flask && mount -t tmpfs -o size=50M tmpfs /opt/flask")
    try:
        with unchanged():
            refused(playbook(), "/opt/flask has 50 MiB free. Fix: free at least 200 MiB there.")
    finally:
        blank.check_output("umount /opt/flask && rmdir /opt/flask")


def test_all_that_is_in_the_way_is_said_at_once(blank):
    blank.check_output("mkdir /etc/haproxy && echo 'global # by hand' > /etc/haproxy/haproxy.cfg")
    try:
        with squatter(blank, 80), unchanged():
            refused(playbook(), "- port 80, which", "- /etc/haproxy/haproxy.cfg was written")
    finally:
        blank.check_output("rm -r /etc/haproxy")


def test_check_mode_on_a_fresh_host_succeeds_and_changes_nothing(blank):  # noqa: ARG001
    with unchanged():
        done = playbook("--check", "--diff")
    assert done.returncode == 0, done.stdout[-3000:]
    # It says what would come, down to the configuration.
    assert "+    server blank-1 127.0.0.1:5001 check" in done.stdout
    assert changed(done.stdout) > 5


def test_module_that_cannot_be_imported_leaves_no_instance(blank, tmp_path):
    (tmp_path / "app.py").write_text("import absent_module\napp = print\n")
    done = playbook(*variables(flask_apps=apps(source=str(tmp_path))))
    refused(
        done, "cannot be imported, so no instance was touched", "ModuleNotFoundError: No module named 'absent_module'"
    )
    assert blank.check_output("systemctl list-units --plain --no-legend --state=running 'flask-*'") == ""
