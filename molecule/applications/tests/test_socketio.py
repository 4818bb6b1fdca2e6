"""Flask-SocketIO and python-socketio with a real client: what is said arrives, and a rollout is survived."""

import json
import uuid

import pytest

from tests.support import Script, address_of, converge, eventually, hosts_of, playbook, variables
from tests.support import apps as scenario_apps

WEB = hosts_of("app_servers")[0]


def entry(name, **changes):
    """Return the variables of the scenario with another entry for an app."""
    found = scenario_apps()
    return variables(app=name, flask_apps=[app | changes if app["name"] == name else app for app in found])


class Chatter(Script):
    """Six clients, which run with what the chat is installed with; `report` is what became of what they said."""

    def __init__(self, name, transport):
        super().__init__(WEB, "chatter.py", address_of(WEB), f"{name}.test", transport, "6")
        at = self.command.index("--") if "--" in self.command else len(self.command) - 1
        # The command is one word for ssh.
        lib = "/opt/flask/chat/instances/1/release/lib"
        self.command[at] = f"sudo env PYTHONPATH={lib} {self.command[at]}"


@pytest.mark.parametrize(("name", "transport"), [("chat", "polling"), ("live", "websocket"), ("live", "polling")])
def test_everything_said_is_heard_by_all_of_three_instances(name, transport):
    with Chatter(name, transport) as chatter:
        pass
    found = chatter.report
    assert found["transports"] == [transport]
    assert found["by"] == [f"{WEB}-{number}" for number in (1, 2, 3)]
    assert found["heard"] == [found["said"]] * 6
    assert found["connects"] == [1] * 6


def survived(chatter):
    """Require that all clients have come back, and hear all that is said since."""
    found = chatter.report
    assert found["connected"] == [True] * 6
    assert all(times > 1 for times in found["connects"])
    assert found["tail_missing"] == [0] * 6
    assert found["twice"] == [0] * 6


def test_websockets_come_back_after_a_rollout():
    with Chatter("live", "websocket") as chatter:
        converge(*entry("live", environment={"COLOUR": uuid.uuid4().hex}))
    survived(chatter)


def test_clients_come_back_and_each_letter_is_sent_once_in_deploy_rollback_and_drain(browser):
    """The worker is one of rq, its queue in Redis."""
    browser.hostname = "chat.test"
    names = []

    def leave(count):
        for _ in range(count):
            names.append(uuid.uuid4().hex)
            assert browser.open(f"/job/{names[-1]}", now="yes")[0] == 202

    before = json.loads(browser.open("/jobs")[2])["sent"]
    with Chatter("chat", "polling") as chatter:
        leave(25)
        converge(*entry("chat", environment={"COLOUR": uuid.uuid4().hex}))
        leave(25)
        done = playbook("--extra-vars", "app=chat", name="playbooks/rollback.yml")
        assert done.returncode == 0, done.stdout
        leave(5)
        assert playbook("--extra-vars", f"server=chat/{WEB}-1", name="playbooks/drain.yml").returncode == 0
        assert playbook("--extra-vars", f"server=chat/{WEB}-1 lift=true", name="playbooks/drain.yml").returncode == 0
    survived(chatter)
    sent = eventually(
        lambda: (found := json.loads(browser.open("/jobs")[2])["sent"]).keys() >= set(names) and found,
        within=600,
        what="all letters sent",
    )
    assert {name: times for name, times in sent.items() if name not in before} == dict.fromkeys(names, 1)
