"""A run that is stopped with Ctrl-C, wherever it is, is finished by the next one."""

import os
import signal
import subprocess

import pytest

from tests.support import INVENTORY, PROJECT, SCENARIO, apps, ask, changed, converge, hosts_of, variables

WEB = hosts_of("app_servers")[0]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        SCENARIO.name != "default", reason="four minutes in which nothing differs between releases of Debian"
    ),
]

# Each is a moment: the task that has just begun when the signal comes, and which time it is begun.
MOMENTS = [
    ("Look for what would be in the way", 1),
    ("Build the release on the control node", 1),
    ("Ship the release", 1),
    ("Write the units and the deployment", 1),
    ("Write the units and the deployment", 2),
    ("Put the instance on the deployment", 1),
    ("Put the instance on the deployment", 2),
    ("Put the instance on the deployment", 3),
    ("Write the sandbox of the unit", 1),
    ("Put the configuration in place", 1),
]


def interrupt(arguments, task, times):
    """Run site.yml and send SIGINT when a task begins for the given time; return whether that moment came."""
    command = ["ansible-playbook", f"--inventory={INVENTORY}", "site.yml", *arguments]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "PYTHONUNBUFFERED": "1",
        # Otherwise the task is named only when its first result is there.
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true",
        "ANSIBLE_NOCOLOR": "1",
    }
    # A process group of its own, which gets the signal as a whole, as it does from a terminal.
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen += line.startswith("TASK [") and task in line
        if seen == times:
            os.killpg(process.pid, signal.SIGINT)
            break
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        # Ansible does not always end on the first one; a person would press again, harder.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return seen == times


@pytest.mark.parametrize("moment", range(len(MOMENTS)), ids=[f"{task} {times}" for task, times in MOMENTS])
def test_next_run_converges(web, moment):
    task, times = MOMENTS[moment]
    # Something to do for each part of the run: another environment for hello, another line for HAProxy.
    arguments = variables(
        flask_apps=apps(environment={"MOMENT": str(moment)}), haproxy_defaults_extra=[f"timeout tunnel {moment + 1}h"]
    )
    if "sandbox" in task:
        web.check_output("echo '# by hand' >> /etc/systemd/system/haproxy.service.d/sandbox.conf")
    assert interrupt(arguments, task, times), f"the task {task} was not begun {times} times"
    assert {answer["status"] for answer in ask(6, of=WEB)} == {200}
    converge(*arguments)
    # Nothing is left out.
    assert len({answer["body"] for answer in ask(6, of=WEB)}) == 3
    assert f"timeout tunnel {moment + 1}h" in web.check_output("cat /etc/haproxy/haproxy.cfg")
    for number in (1, 2, 3):
        environment = web.check_output(
            "cat /proc/$(systemctl show --property=MainPID --value flask-hello@%s)/environ", str(number)
        )
        assert f"MOMENT={moment}\0" in environment
    if moment == len(MOMENTS) - 1:
        assert changed(converge("--check", *arguments)) == 0
        converge()
