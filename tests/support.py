"""What the tests of the Molecule scenarios share: hosts by name, requests from outside, runs of the playbooks."""

import contextlib
import functools
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import testinfra
import yaml

from tests import loss

PROJECT = Path(__file__).resolve().parents[1]
SCENARIO = Path(os.environ.get("MOLECULE_SCENARIO_DIRECTORY", PROJECT / "molecule" / "default"))
INVENTORY = SCENARIO / "inventory"

# Runs on the client host, which has nothing but Python: requests one after the other, as JSON in and out.
CLIENT = """
import http.client, json, sys
host, keep_alive, requests = json.loads(sys.argv[1])
connection, answers = None, []
for method, path, headers in requests:
    if connection is None or not keep_alive:
        connection = http.client.HTTPConnection(host, 80, timeout=10)
    connection.putrequest(method, path, skip_host=any(name.lower() == "host" for name, _ in headers))
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answers.append({"status": answer.status, "body": answer.read().decode(), "headers": dict(answer.getheaders())})
print(json.dumps(answers))
"""


@functools.cache
def inventory() -> dict[str, Any]:
    """Return the scenario's inventory as `ansible-inventory --list` has it."""
    command = ["ansible-inventory", f"--inventory={INVENTORY}", "--list"]
    return json.loads(subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout)


def hosts_of(group: str) -> list[str]:
    """Return the names of the hosts in a group. A group without hosts is an error: nothing would be tested."""
    hosts = inventory()[group]["hosts"]
    assert hosts, f"the group {group} is empty"
    return hosts


SSH_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    f"-o ControlMaster=auto -o ControlPath={PROJECT}/.cache/ssh/%C -o ControlPersist=30"
)


def key_of(name: str) -> str:
    """Return the path of the ssh key for a host; `ansible-inventory` leaves templates as they are."""
    key: str = inventory()["_meta"]["hostvars"][name]["ansible_ssh_private_key_file"]
    return key.replace("{{ inventory_dir }}", str(INVENTORY))


def is_local(name: str) -> bool:
    """Say whether a host is this machine."""
    return inventory()["_meta"]["hostvars"][name].get("ansible_connection") == "local"


def login_of(name: str) -> str:
    """Return user@address of a host."""
    return f"{inventory()['_meta']['hostvars'][name]['ansible_user']}@{address_of(name)}"


def command_on(name: str, *command: str) -> list[str]:
    """Return the command line that runs a command on a host of the scenario."""
    if is_local(name):
        return list(command)
    return ["ssh", *SSH_OPTIONS.split(), "-i", key_of(name), login_of(name), shlex.join(command)]


@functools.cache
def host(name: str) -> Any:
    """Return testinfra's connection to a host of the scenario, with sudo. Its commands share one ssh connection."""
    if is_local(name):
        return testinfra.get_host("local://")
    return testinfra.get_host(
        f"ssh://{login_of(name)}", sudo=True, ssh_identity_file=key_of(name), ssh_extra_args=SSH_OPTIONS
    )


def address_of(name: str) -> str:
    """Return the address at which a host of the scenario is reached."""
    return inventory()["_meta"]["hostvars"][name]["ansible_host"]


def ask(
    requests: list[tuple[str, str, list[tuple[str, str]]]] | int,
    *,
    of: str,
    keep_alive: bool = False,
    hostname: str = "",
) -> list[dict[str, Any]]:
    """Send requests (method, path, headers) one after the other from the client host to port 80 of `of`.

    A number instead of a list means that many GET requests for `/`. Returns {status, body, headers} for each.
    """
    if isinstance(requests, int):
        requests = [("GET", "/", [])] * requests
    if hostname:
        requests = [(method, path, [*headers, ("Host", hostname)]) for method, path, headers in requests]
    client = host(hosts_of("clients")[0])
    done = client.run("python3 -c %s %s", CLIENT, json.dumps([address_of(of), keep_alive, requests]))
    if done.rc:
        pytest.fail(f"no answer from {of}: {done.stderr.strip().splitlines()[-1]}", pytrace=False)
    return json.loads(done.stdout)


class Meanwhile(threading.Thread):
    """Somebody who does `once` again and again while a block runs; what that raises fails the block."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()
        self.problem: Exception | None = None

    def once(self) -> None:
        """Do it."""
        raise NotImplementedError

    def run(self) -> None:
        """Do it until the block is over."""
        try:
            while not self.over.wait(0.01):
                self.once()
        except Exception as problem:
            self.problem = problem

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()
        # It says more than a block that waited for what did not go on any more.
        if self.problem:
            raise self.problem


class Load:
    """Requests from the client host to the probe while something happens: `with Load(WEB) as load: …; load.report`.

    Several at once go to different hosts.
    The load ends when the block does; where its seconds are over before, the test fails.
    """

    under_way: ClassVar[int] = 0

    def __init__(self, of: str, seconds: float = 900.0, **plan: Any) -> None:
        self.of, self.seconds = of, seconds
        self.rate = float(plan.get("rate", loss.Plan.rate))
        options = {"address": address_of(of), "host": "probe.test", "seconds": seconds} | plan
        self.arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.report: loss.Report

    def __enter__(self) -> Self:
        """Start, and return when requests are being answered."""
        client = hosts_of("clients")[0]
        if not Load.under_way:
            for name in hosts_of("app_servers"):
                host(name).check_output("rm -f /var/lib/flask-probe/received")
        Load.under_way += 1
        command = command_on(client, "python3", "-", *self.arguments)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write((PROJECT / "tests" / "loss.py").read_text())
        self.process.stdin.close()
        self.process.stdin = None
        time.sleep(1.5)
        self.began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        """Let the load end, and account for it."""
        Load.under_way -= 1
        self.took = time.monotonic() - self.began
        # What comes late counts as well.
        time.sleep(0.5)
        # SIGINT has the client report what it has.
        client = hosts_of("clients")[0]
        if is_local(client):
            self.process.send_signal(signal.SIGINT)
        else:
            # Nobody is told where it has ended before, which its report shows.
            host(client).run(f"pkill --signal INT --full '[p]ython3 - --address={address_of(self.of)} '")
        output, errors = self.process.communicate(timeout=self.seconds + 60)
        if error[0] is None:
            assert output, errors
            found = json.loads(output)
            assert found["seconds"] < self.seconds, "the load was over before what it was to accompany"
            self.requests = requests = [loss.Sent(**request) for request in found.pop("requests")]
            received = "find /var/lib/flask-probe -name received -exec cat {} +"
            ids = [one for name in hosts_of("app_servers") for one in host(name).check_output(received).split()]
            self.report = loss.Report.of(requests, found["seconds"], found["started"], ids)
            assert self.report.sent > 20, self.report

    def by_client(self) -> dict[int, list[str]]:
        """Return which instances answered each of the plan's connections, in their order."""
        found: dict[int, list[str]] = {}
        for request in sorted((one for one in self.requests if one.server), key=lambda one: one.done):
            found.setdefault(request.client, []).append(request.server)
        return found


class Script:
    """A script of this folder on a host while something happens: `with Script(CLIENT, "slow.py", …) as crowd: …`.

    Its first line has its process id, when it is under way; SIGINT has it print its report, the second.
    """

    def __init__(self, on: str, name: str, *arguments: str, user: str = "") -> None:
        self.on, self.name = on, name
        self.command = command_on(on, *(["sudo", "-u", user] if user else []), "python3", "-", *arguments)
        self.report: dict[str, Any]

    def __enter__(self) -> Self:
        """Start, and return when it says that it is under way."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write((PROJECT / "tests" / self.name).read_text())
        self.process.stdin.close()
        self.process.stdin = None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.began = json.loads(line)
        return self

    def __exit__(self, *error: object) -> None:
        """Have it end and report."""
        host(self.on).run("kill -INT %s", str(self.began["pid"]))
        output, errors = self.process.communicate(timeout=300)
        if error[0] is None:
            assert output, errors
            self.report = json.loads(output)


class Once:
    """A question of tests/once.py that the client host puts to the probe of a host; `answer()` waits for what came."""

    def __init__(self, question: str, *, of: str, **options: Any) -> None:
        everything = {"address": address_of(of), "host": "probe.test", **options}
        arguments = [f"--{name}={value}" for name, value in everything.items()]
        command = command_on(hosts_of("clients")[0], "python3", "-", question, *arguments)
        script = PROJECT / "tests" / "once.py"
        with script.open() as file:
            self.process = subprocess.Popen(
                command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

    def answer(self) -> Any:
        """Return what it printed."""
        output, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors
        return json.loads(output)


@contextlib.contextmanager
def addresses(name: str, towards: str, last: range) -> Iterator[list[str]]:
    """Give a host more addresses in the network in which it reaches another one, and take them away again."""
    route = host(name).check_output("ip -o route get %s", address_of(towards)).split()
    device, network = route[route.index("dev") + 1], str(route[route.index("src") + 1]).rpartition(".")[0]
    more = [f"{network}.{number}" for number in last]
    for address in more:
        host(name).check_output("ip address add %s/24 dev %s", address, device)
    try:
        yield more
    finally:
        for address in more:
            host(name).run("ip address delete %s/24 dev %s", address, device)


@contextlib.contextmanager
def squatter(of: Any, port: int) -> Iterator[None]:
    """Have something else listen on a port of a host, as the unit squatter.service."""
    of.check_output("systemd-run --quiet --unit=squatter python3 -m http.server %s", str(port))
    try:
        yield
    finally:
        of.check_output("systemctl stop squatter.service")


def playbook(*arguments: str, name: str = "site.yml", inventory: Path = INVENTORY) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the scenario's hosts and return it, finished; whether it went well is the caller's business."""
    command = ["ansible-playbook", f"--inventory={inventory}", name, *arguments]
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        # Tests count and read what each task came to; what a user sees instead has tests of its own (test_story.py).
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def snapshot(name: str) -> set[str]:
    """Return a line for each file of a host: path, type, mode, owner, size and time of change; without logs and scratch."""
    command = (
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log -o -path /var/tmp"
        " -o -path /var/backups -o -path '*/.ansible' -o -path /var/lib/systemd/timers -o -path /var/lib/private \\) -prune"
        " -o -printf '%p %y %m %u %s %T@ %l\\n'"
    )
    # A home's own time changes when Ansible makes its scratch folder there.
    lines = host(name).check_output(command).splitlines()
    assert len(lines) > 1000, "this is no listing of a host"
    return {line for line in lines if not line.startswith(("/home/admin d", "/root d", "/ d"))}


def variables(**changes: Any) -> list[str]:
    """Return arguments for a playbook that replace variables."""
    return ["--extra-vars", json.dumps(changes)]


def apps(**changes: Any) -> list[dict[str, Any]]:
    """Return the scenario's flask_apps, the first one changed; a value of None takes a key away."""
    found = yaml.safe_load((INVENTORY / "group_vars" / "all.yml").read_text())["flask_apps"]
    found[0] = {key: value for key, value in (found[0] | changes).items() if value is not None}
    return list(found)


def converge(*arguments: str) -> str:
    """Run site.yml, which has to succeed, and return its output."""
    done = playbook(*arguments)
    if done.returncode:
        pytest.fail(f"site.yml failed:\n{done.stdout[-4000:]}{done.stderr[-1000:]}", pytrace=False)
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """Require that a run failed and that its message has some words; return the output, white space folded."""
    output = " ".join((done.stdout + done.stderr).split())
    missing = [word for word in words if word not in output]
    if done.returncode == 0 or missing:
        pytest.fail(
            f"exit {done.returncode}, missing {missing}, in:\n{done.stdout[-4000:]}{done.stderr[-1000:]}", pytrace=False
        )
    return output


def changed(output: str) -> int:
    """Return how many tasks of a run changed something, all hosts together."""
    recap = output.split("PLAY RECAP")[1]
    return sum(int(word.removeprefix("changed=")) for word in recap.split() if word.startswith("changed="))


def eventually(condition: Callable[[], Any], *, within: float = 180.0, what: str = "") -> Any:
    """Return the first true value of a condition. The limit is far beyond what is expected: it ends a test, no more."""
    end = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {within} s: {what or condition}; last: {value!r:.500}"
        time.sleep(0.1)
    return value
