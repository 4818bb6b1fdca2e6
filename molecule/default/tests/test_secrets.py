"""A secret in an app's environment is seen by the app and by nobody who looks over Ansible's shoulder."""

import hashlib
import json
import secrets
import threading

import pytest
import yaml

from tests.support import INVENTORY, ask, host, hosts_of, playbook

WEB = hosts_of("app_servers")[0]


@pytest.fixture
def secret(tmp_path):
    """Return (a secret that nothing else contains, a file with apps of which one has it)."""
    value = f"s3cr3t-{secrets.token_hex(8)}"
    variables = yaml.safe_load((INVENTORY / "group_vars" / "all.yml").read_text())
    variables["flask_apps"][1]["environment"]["SECRET"] = value
    path = tmp_path / "secret.yml"
    path.write_text(yaml.safe_dump({"flask_apps": variables["flask_apps"]}))
    yield value, path
    assert playbook().returncode == 0


def test_secret_appears_nowhere(web, secret):
    value, path = secret
    seen, stop = [], threading.Event()

    def watch_processes():
        # A connection of its own: testinfra's commands are not meant for two threads.
        watcher = host(WEB)
        while not stop.is_set():
            seen.append(watcher.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))

    watcher = threading.Thread(target=watch_processes)
    watcher.start()
    try:
        done = playbook("-vvv", "--diff", "--extra-vars", f"@{path}")
    finally:
        stop.set()
        watcher.join()
    assert done.returncode == 0, done.stdout.replace(value, "THE SECRET")
    # It is there: in the app.
    answer = ask([("GET", "/environment/SECRET", [])], of=WEB, hostname="probe.test")[0]
    assert json.loads(answer["body"])["sha256"] == hashlib.sha256(value.encode()).hexdigest()
    assert value not in done.stdout + done.stderr
    assert len(seen) > 3
    assert not any(value in processes for processes in seen)
    assert value not in web.check_output("journalctl --no-pager --boot")
    assert value not in web.check_output("systemctl show 'flask-probe@*'")
    readable = web.check_output(
        "find /opt/flask /etc/systemd /run/systemd -perm /077 -type f -exec grep --files-with-matches %s {} + ; true",
        value,
    )
    assert readable == ""
