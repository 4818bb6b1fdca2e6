"""Taking servers out of HAProxy and putting them back, against answers that HAProxy 2.6 and 3.0 gave.

The answers (tests/recorded) are of a probe with three servers: all up; web-2 drained; web-2 drained and `health down`;
and, with a request of four seconds in web-1 or another, before and after a reload.
"""

import json
import re
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import parse_processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import (
    Balancer,
    HAProxyError,
    parse_servers,
    parse_sessions,
)

RECORDED = sorted((Path(__file__).parent / "recorded").glob("haproxy-*.json"))
KEY = ("probe", "web-2")


class Master(threading.Thread):
    """A master socket that gives prepared answers: for each command a list, of which the last is given again."""

    def __init__(self, path, answers):
        super().__init__(daemon=True)
        self.answers, self.commands = {command: list(given) for command, given in answers.items()}, []
        self.worker = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                command = connection.recv(65536).decode().strip()
                self.commands.append(command)
                for one in command.split("; "):
                    given = self.answers.get(one, ["Unknown command\n"])
                    connection.sendall((given.pop(0) if len(given) > 1 else given[0]).encode())

    def orders(self):
        """Return the `set server` commands that were given, without the worker."""
        return [re.sub(r"@!\d+ ", "", command) for command in self.commands if " set server " in command]


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def said(request):
    """Return what a version of HAProxy said."""
    return json.loads(request.param.read_text())


@pytest.fixture
def master(said, tmp_path):
    """Return a function that starts a master with one worker and, where asked, an old one."""

    def start(reloaded=False, **answers):
        processes = said["proc reloaded" if reloaded else "proc"]
        worker = parse_processes(processes).workers[0]
        old = parse_processes(processes).old_workers
        prepared = {"show proc": [processes]}
        prepared |= {f"@!{worker} {command}": given for command, given in answers.pop("worker", {}).items()}
        prepared |= {f"@!{old[0]} {command}": given for command, given in answers.pop("old", {}).items()} if old else {}
        found = Master(tmp_path / "master.sock", prepared | answers)
        found.worker = worker
        found.start()
        return found, Balancer(str(tmp_path / "master.sock"))

    assert RECORDED, "nothing is recorded"
    return start


ORDERS = [f"set server probe/web-2 {what}" for what in ("state drain", "health down", "state ready")]
# At once: a check in between would have it come up in drain, and who has its cookie would be sent there on trust.
ADMITTING = ["; ".join(ORDERS)]


def test_servers_are_read(said):
    servers = {server.name: server for server in parse_servers(said["servers drained"])}
    assert [(s.address, s.port, s.operational, s.drained, s.by_hand) for s in servers.values()] == [
        ("127.0.0.1", 6001, 2, False, False),
        ("127.0.0.1", 6002, 2, True, False),
        ("127.0.0.1", 6003, 2, False, False),
    ]
    assert {s.operational for s in parse_servers(said["servers down"]) if s.name == "web-2"} == {0}


def test_requests_are_counted(said):
    of_probe = {name: count for (backend, name), count in parse_sessions(said["stat"]).items() if backend == "probe"}
    assert sorted(of_probe[f"web-{number}"] for number in (1, 2, 3)) == [0, 0, 1]
    assert parse_sessions(said["stat drained"])[KEY] == 0


def test_what_is_no_answer_is_refused(said):
    for text in ("", said["gone"], said["unknown server"]):
        with pytest.raises(ValueError, match="no answer"):
            parse_servers(text)
        with pytest.raises(ValueError, match="no answer"):
            parse_sessions(text)


def test_drain_waits_for_the_last_request(said, master):
    busy = next(name for (backend, name), n in parse_sessions(said["stat"]).items() if backend == "probe" and n)
    fake, balancer = master(
        worker={
            "show servers state": [said["servers"]],
            f"set server probe/{busy} state drain": [said["obeyed"]],
            "show stat -1 4 -1": [said["stat"], said["stat"], said["stat"], said["stat drained"]],
        }
    )
    assert balancer.drain(("probe", busy), timeout=10) == ("ready", 0)
    assert sum("show stat" in command for command in fake.commands) == 4


def test_who_has_a_cookie_for_what_is_drained_goes_elsewhere(said, master):
    """HAProxy sends the owner of a server's cookie to it while it is drained; not while it is in maintenance."""
    head, *rows = said["stat drained"].splitlines()
    at = head.split(",").index("cookie")
    cells = [row.split(",") for row in rows]
    sticky = "\n".join([head, *(",".join([*c[:at], "hash", *c[at + 1 :]]) if len(c) > at else "" for c in cells)])
    orders = [f"set server probe/web-2 {what}" for what in ("weight 0", "state maint")]
    fake, balancer = master(
        worker={
            "show servers state": [said["servers"]],
            "show stat -1 4 -1": [sticky],
            **{order: [said["obeyed"]] for order in orders},
        }
    )
    assert balancer.drain(KEY, timeout=10) == ("ready", 0)
    assert fake.orders() == ["; ".join(orders)]
    # It is known as a drain of ours afterwards: in maintenance (1), without weight.
    ours = said["servers drained"].replace("web-2 127.0.0.1 2 8 1", "web-2 127.0.0.1 0 1 0")
    found = next(server for server in parse_servers(ours) if server.name == "web-2")
    assert (found.admin, found.weight, found.drained, found.by_hand, found.serves) == (1, 0, True, False, False)
    fake.answers[f"@!{fake.worker} show servers state"] = [ours, said["servers"]]
    back = [f"set server probe/web-2 {what}" for what in ("weight 100%", "state drain", "health down", "state ready")]
    fake.answers |= {f"@!{fake.worker} {order}": [said["obeyed"]] for order in back}
    assert balancer.admit(KEY, "", 0, timeout=10) == ("drained", True)
    assert fake.orders()[-1] == "; ".join(back)


def test_drain_says_what_is_left_when_time_is_over(said, master):
    busy = next(name for (backend, name), n in parse_sessions(said["stat"]).items() if backend == "probe" and n)
    _, balancer = master(
        worker={
            "show servers state": [said["servers"]],
            f"set server probe/{busy} state drain": [said["obeyed"]],
            "show stat -1 4 -1": [said["stat"]],
        }
    )
    assert balancer.drain(("probe", busy), timeout=0.2) == ("ready", 1)


def test_drain_waits_for_the_old_worker_to_end(said, master):
    fake, balancer = master(
        reloaded=True,
        worker={
            "show servers state": [said["servers"]],
            ORDERS[0]: [said["obeyed"]],
            "show stat -1 4 -1": [said["stat drained"]],
        },
        old={
            "show servers state": [said["old servers"]],
            ORDERS[0]: [said["refused"]],
            # It no longer answers a moment before it is no longer listed.
            "show stat -1 4 -1": [said["old stat"], said["gone"]],
        },
        **{
            "show proc": [said["proc reloaded"]] * 4
            + [said["proc reloaded"].split("# old workers")[0] + "# programs\n"]
        },
    )
    assert balancer.drain(KEY, timeout=10) == ("ready", 0)
    assert fake.commands.count("show proc") >= 6
    # It would refuse; nobody is asked what is known to fail.
    assert fake.orders() == ORDERS[:1]


def test_drain_of_what_is_not_there(said, master):
    fake, balancer = master(
        worker={"show servers state": [said["servers"]], "show stat -1 4 -1": [said["stat drained"]]}
    )
    assert balancer.drain(("probe", "web-9"), timeout=10) == ("absent", 0)
    assert fake.orders() == []


def test_admission_waits_for_the_checks(said, master):
    fake, balancer = master(
        worker={
            "show servers state": [
                said["servers drained"],
                said["servers down"],
                said["servers down"],
                said["servers drained"],
            ],
            **{order: [said["obeyed"]] for order in ORDERS},
        }
    )
    assert balancer.admit(KEY, "127.0.0.1", 6002, timeout=10) == ("drained", True)
    assert fake.orders() == ADMITTING
    # Nobody says that it is healthy but the checks.
    assert fake.commands[-3:] == [f"@!{fake.worker} show servers state"] * 3


def test_server_that_is_not_healthy_in_time_comes_back_when_it_is(said, master):
    fake, balancer = master(
        worker={
            "show servers state": [said["servers drained"], said["servers down"]],
            "show stat -1 4 -1": [said["stat drained"]],
            **{order: [said["obeyed"]] for order in ORDERS},
        }
    )
    assert balancer.admit(KEY, "", 0, timeout=0.2) == ("drained", False)
    assert fake.orders() == ADMITTING
    assert balancer.last_check(KEY).startswith("L7OK 200")


def test_check_that_is_under_way_is_waited_for(said, master):
    under_way = said["stat drained"].replace(",L7OK,200,", ",* L7OK,0,")
    assert under_way != said["stat drained"]
    fake, balancer = master(worker={"show stat -1 4 -1": [under_way, under_way, said["stat drained"]]})
    assert balancer.last_check(KEY).startswith("L7OK 200")
    fake.answers[f"@!{fake.worker} show stat -1 4 -1"] = [under_way]
    assert balancer.last_check(KEY) == "L7OK"
    assert balancer.last_check(("probe", "web-9")) == ""


def test_server_that_was_out_by_hand_and_is_not_healthy_stays_out(said, master):
    by_hand = said["servers drained"].replace("web-2 127.0.0.1 2 8", "web-2 127.0.0.1 0 5")
    maintenance = "set server probe/web-2 state maint"
    fake, balancer = master(
        worker={
            "show servers state": [by_hand, said["servers down"]],
            **{order: [said["obeyed"]] for order in [*ORDERS, maintenance]},
        }
    )
    assert balancer.admit(KEY, "", 0, timeout=0.2, by_hand=True) == ("by hand", False)
    assert fake.orders() == [*ADMITTING, maintenance]


def test_what_serves_is_left_alone(said, master):
    fake, balancer = master(worker={"show servers state": [said["servers"]]})
    assert balancer.admit(KEY, "127.0.0.1", 6002, timeout=10) == ("ready", True)
    assert fake.orders() == []


def test_admission_at_another_address(said, master):
    order = "set server probe/web-2 addr 127.0.0.2 port 7002"
    fake, balancer = master(
        worker={
            "show servers state": [said["servers drained"]],
            order: [said["address unchanged"]],
            **{order: [said["obeyed"]] for order in ORDERS},
        }
    )
    balancer.admit(KEY, "127.0.0.2", 7002, timeout=10)
    assert fake.orders() == [order, *ADMITTING]


def test_what_is_out_by_hand_stays_out(said, master):
    by_hand = said["servers drained"].replace("web-2 127.0.0.1 2 8", "web-2 127.0.0.1 0 5")
    fake, balancer = master(worker={"show servers state": [by_hand]})
    assert balancer.admit(KEY, "", 0, timeout=10) == ("by hand", True)
    assert fake.orders() == []


def test_refused_order_is_an_error(said, master):
    _, balancer = master(
        worker={
            "show servers state": [said["servers"]],
            "show stat -1 4 -1": [said["stat"]],
            ORDERS[0]: [said["unknown server"]],
        }
    )
    with pytest.raises(HAProxyError, match="answered `set server probe/web-2 state drain` with: No such server"):
        balancer.drain(KEY, timeout=10)
