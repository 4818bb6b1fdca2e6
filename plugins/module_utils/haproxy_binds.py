"""The `bind` lines of a configuration (configuration manual, section 5.1), and whether this host can have them.

HAProxy's parser does not try them. A reload does, for seconds, in which neither the old nor the new worker takes connections.
"""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

INET = re.compile(r"(?:(?:ipv[46]|tcp[46]?|mptcp[46]?|quic[46])@)?([^@/$]*):(\d+)(?:-(\d+))?")
UNIX = re.compile(r"(?:unix@)?(/[^$]*)")


class Bind(NamedTuple):
    """One address of a `bind` line: as it is written, its host, its ports, and the parameters of the line.

    The host is empty for all addresses, None for what is no address of the network.
    """

    written: str
    host: str | None
    ports: range
    parameters: tuple[str, ...]


def binds(content: str) -> Iterator[Bind]:
    """Yield the addresses of all `bind` lines."""
    for line in content.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if len(words) < 2 or words[0] != "bind":
            continue
        for address in words[1].split(","):
            found = INET.fullmatch(address)
            if found:
                host = found[1].removeprefix("[").removesuffix("]")
                ports = range(int(found[2]), int(found[3] or found[2]) + 1)
                yield Bind(address, "" if host == "*" else host, ports, tuple(words[2:]))
            else:
                yield Bind(address, None, range(0), tuple(words[2:]))


def bound_ports(content: str) -> set[int]:
    """Return the TCP ports of all `bind` lines."""
    return {port for bind in binds(content) for port in bind.ports}


def bind_problems(content: str) -> Iterator[str]:
    """Yield the addresses that this host does not have, each with what can be done about it."""
    prefixed = re.search(r"^\s*unix-bind\b", content, re.MULTILINE)
    for bind in binds(content):
        if {"transparent", "namespace"} & set(bind.parameters):
            continue
        unix = UNIX.fullmatch(bind.written)
        interface = dict(zip(bind.parameters, bind.parameters[1:], strict=False)).get("interface", "")
        if interface and not Path("/sys/class/net", interface).exists():
            yield f"bind {bind.written}: there is no interface {interface}. Fix: one of those that `ip -brief link` lists."
        elif bind.host and (problem := host_problem(bind.host)):
            yield (
                f"bind {bind.written}: {problem}. Fix: an address that `ip -brief address` lists, * for all of them, or "
                "the word transparent after it, where it is one that comes and goes."
            )
        elif unix and not prefixed and not Path(unix[1]).parent.is_dir():
            yield f"bind {bind.written}: there is no folder {Path(unix[1]).parent}. Fix: one that is there, like /run/haproxy."


def host_problem(host: str) -> str:
    """Return why nothing could listen at a host's address, on whatever port; empty where it could."""
    problem = ""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        return f"it is no address ({error.strerror})"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.bind(address)
        except OSError as error:
            problem = f"this host cannot listen there ({error.strerror})"
        else:
            return ""
    return problem
