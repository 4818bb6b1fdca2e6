"""What a balancer listens on, and where its configuration begins anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import balancer_defaults, balancer_options

# HAProxy's manual: the first words of its sections, each of which ends the one before it.
SECTIONS = frozenset(
    (
        "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen", "log-forward",
        "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist",
    )
)  # fmt: skip
EVERYWHERE = frozenset(("", "*", "0.0.0.0", "::", "[::]"))  # noqa: S104
MOST_PORT = 65535
PORTS = re.compile(r":(\d{1,5})(?:-(\d{1,5}))?$")


def bind_ports(binds: Sequence[str]) -> list[int]:
    """Return the TCP ports of HAProxy `bind` lines such as `*:80`, `*:80,*:81` or `:::443 v4v6 ssl crt /etc/…`."""
    return [port for bind in binds for ports in _ports(str(bind)) for port in ports]


def has_ports(bind: str) -> bool:
    """Say whether each address of a `bind` line ends in a port, or a range of them."""
    return all(_ports(bind))


def _addresses(bind: str) -> list[tuple[str, range]]:
    """Return (host, ports) of each address of a `bind` line; no ports for what is none."""
    found = []
    for address in [*bind.split(), ""][0].split(","):
        one = PORTS.search(address)
        ports = range(int(one[1]), int(one[2] or one[1]) + 1) if one else range(0)
        good = ports and ports[0] > 0 and ports[-1] <= MOST_PORT
        found.append((address[: one.start()] if one else "", ports if good else range(0)))
    return found


def _ports(bind: str) -> list[range]:
    return [ports for _, ports in _addresses(bind)]


def frontend_ports(variables: Mapping[str, Any]) -> list[int]:
    """Return the ports that a balancer with these host variables listens on: its frontends' and the stats page's."""
    return bind_ports([bind for _, bind in _binds(variables)])


def _binds(variables: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (variable, bind) of all that a balancer with these host variables listens on."""
    defaults = balancer_defaults()
    secure = variables.get("haproxy_certificates") or variables.get("haproxy_acme")
    tls = balancer_tls(variables.get("haproxy_tls", {}))["binds"] if secure else []
    names = ("haproxy_binds", "haproxy_stats_bind")
    plain, stats = (variables.get(name, defaults[name]) for name in names)
    pairs = (names[0], plain), ("haproxy_tls.binds", tls), (names[1], [str(stats)])
    return [(name, bind) for name, binds in pairs for bind in binds]


def clashes(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield what two frontends of a balancer would both listen on: HAProxy does, and the kernel takes one for each client."""
    binds = _binds(variables)
    for index, (name, bind) in enumerate(binds):
        for other, theirs in binds[:index]:
            if name != other and _overlap(bind, theirs):
                yield f"{name} has {bind!r}, and {other} {theirs!r}, which is the same port. Fix: another one for one of them."


def _overlap(bind: str, other: str) -> bool:
    return any(
        (host == theirs or {host, theirs} & EVERYWHERE) and {*ports} & {*their_ports}
        for host, ports in _addresses(bind)
        for theirs, their_ports in _addresses(other)
    )


def balancer_tls(tls: Mapping[str, Any]) -> dict[str, Any]:
    """Return `haproxy_tls` with all its keys, each of its type: what the user left out takes its default."""
    options = balancer_options()["haproxy_tls"]["options"]
    found = {key: option["default"] for key, option in options.items()} | dict(tls)
    # To a template, the text `false` is true.
    return found | {"redirect": boolean(found["redirect"]), "hsts": int(found["hsts"])}


def begins_section(line: str) -> bool:
    """Say whether a line of configuration begins a section, so that what comes after it would be that one's."""
    return bool(words := line.split()) and words[0] in SECTIONS
