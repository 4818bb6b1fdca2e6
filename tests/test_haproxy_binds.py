"""Whether this host can have what a configuration binds."""

import socket

import pytest

from tests.conftest import load

module = load("module_utils/haproxy_binds.py")
CONFIG = """
frontend http_front
    bind *:80
    bind :::443,192.0.2.1:8000-8002 v4v6 ssl crt /etc/x.pem # bind 1.2.3.4:99
    bind ipv6@[2001:db8::1]:81 interface eth0
  #  bind 192.0.2.9:99
    bind unix@/run/haproxy/a.sock mode 600
    bind abns@name
    bind fd@3
    bind "${HOST}:85"
    default-server check
"""


def test_addresses_of_bind_lines():
    found = [(bind.host, list(bind.ports)) for bind in module.binds(CONFIG)]
    assert found == [
        ("", [80]), ("::", [443]), ("192.0.2.1", [8000, 8001, 8002]), ("2001:db8::1", [81]),
        (None, []), (None, []), (None, []), (None, []),
    ]  # fmt: skip
    assert module.bound_ports(CONFIG) == {80, 443, 8000, 8001, 8002, 81}
    assert [bind.parameters for bind in module.binds(CONFIG)][3] == ("interface", "eth0")


@pytest.mark.parametrize(
    "bind",
    [
        "*:80", ":80", "127.0.0.1:80", "127.9.9.9:80", "0.0.0.0:80", "localhost:81", "127.0.0.1:80 interface lo",
        "192.0.2.77:80 transparent", "192.0.2.77:80 namespace other", "abns@x", "fd@3", "/run/haproxy.sock", '"${HOST}:80"',
        "ipv4@127.0.0.1:80",
    ],
)  # fmt: skip
def test_what_a_host_can_have_is_no_problem(bind):
    assert list(module.bind_problems(f"frontend a\n  bind {bind}\n")) == []


def test_port_that_is_held_is_somebody_elses_question():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert list(module.bind_problems(f"  bind 127.0.0.1:{taken.getsockname()[1]}")) == []


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        (
            "192.0.2.77:80",
            "bind 192.0.2.77:80: this host cannot listen there (Cannot assign requested address). Fix: an address",
        ),
        ("127.0.0.1:80,192.0.2.77:81", "bind 192.0.2.77:81: this host cannot listen there"),
        ("ipv4@192.0.2.77:80-89", "bind ipv4@192.0.2.77:80-89: this host cannot listen there"),
        ("[2001:db8::77]:80 v6only", "bind [2001:db8::77]:80: this host cannot listen there"),
        ("*:80 interface eth99", "there is no interface eth99. Fix: one of those that `ip -brief link` lists."),
        ("nobody.invalid:80", "bind nobody.invalid:80: it is no address ("),
        ("/run/nowhere/a.sock", "there is no folder /run/nowhere. Fix: one that is there, like /run/haproxy."),
    ],
)
def test_what_a_host_cannot_have_is_said(bind, words):
    found = list(module.bind_problems(f"frontend a\n  bind {bind}\n"))
    assert len(found) == 1, found
    assert words in found[0]
    assert "Fix: " in found[0]
