"""What the role haproxy puts into single lines of haproxy.cfg: routes, binds, header names, numbers of threads.

Pure functions, usable without Ansible's engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.binds import balancer_tls, bind_ports

# A line of haproxy.cfg has 64 words at most, and that of a route with a path has its host names twice.
MOST_NAMES = 16


def quoted(text: str) -> str:
    """Return a text as one word of haproxy.cfg (configuration manual, section 2.2: nothing is special inside '…')."""
    return "'" + text.replace("'", "'\\''") + "'"


def haproxy_binds(binds: Sequence[str]) -> list[str]:
    """Return the arguments of the `bind` lines: one without TLS speaks HTTP/1 only, unless it says what it speaks.

    Without `proto h1`, whoever knows how can open an HTTP/2 connection on a plain port and send many requests on it.
    """
    return [bind if {"ssl", "proto"} & set(bind.split()) else f"{bind} proto h1" for bind in binds]


def haproxy_header_names(names: Sequence[str]) -> str:
    """Return a regular expression for header names, of which one that ends in `*` stands for all that begin so.

    HAProxy keeps names in small letters (HTTP/2 has no others), so that is what they are compared in.
    """
    return "^(" + "|".join(re.escape(name.lower()).replace(r"\*", ".*").replace(r"\-", "-") for name in names) + ")$"


def haproxy_nbthread(threads: int, beside_apps: bool, cores: int) -> int:
    """Return how many threads HAProxy is to run, 0 for as many as there are cores, which is its own choice.

    Beside applications the cores are shared: on two of them, two threads of HAProxy answered 30 to 40 % fewer requests
    a second than one, and p99 doubled, because a thread that has to wait for a core holds up what is queued for it.
    One keeps several times four application threads busy; beyond, a quarter of the cores is HAProxy's.
    """
    if int(threads):
        return int(threads)
    return max(1, cores // 4) if beside_apps else 0


def haproxy_routes(backends: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return [{backend, condition}] for the `use_backend` lines, the most specific first.

    A host name beats one that stands for many, which beats none; then the longer path beats the shorter. A backend without
    both is reached by default only. `path: /api` is meant as a folder: /api and /api/x, not /apix. What is compared are
    the variables of the frontend: the host name in small letters, and the path as the application sees it, decoded.
    """
    routes = []
    for backend in backends:
        path = unquote(str(backend.get("path", ""))).rstrip("/")
        folder = [f" {{ var(txn.path) -m str {quoted(path)} }}", f" {{ var(txn.path) -m beg {quoted(path + '/')} }}"]
        conditions = host_conditions(backend.get("hostnames", []))
        if not conditions and path:
            conditions = [(2, "")]
        for rank, host in conditions:
            condition = " || ".join((host + one).strip() for one in folder) if path else host
            routes.append((rank, -len(path), {"backend": backend["name"], "condition": condition}))
    return [route[2] for route in sorted(routes, key=lambda route: route[:2])]


def host_conditions(hostnames: Sequence[str]) -> list[tuple[int, str]]:
    """Return [(rank, condition)] for requests of some host names: 0 for names, 1 for those that stand for many.

    A line of haproxy.cfg has room for 64 words, and a condition may be in one twice.
    """
    names = [name.lower() for name in hostnames if not name.startswith("*.")]
    wild = [quoted(r"^[^.]+\." + re.escape(name[2:].lower()) + "$") for name in hostnames if name.startswith("*.")]
    return [
        (rank, f"{{ var(txn.host) -m {how} {' '.join(words[first : first + MOST_NAMES])} }}")
        for rank, how, words in ((0, "str", names), (1, "reg", wild))
        for first in range(0, len(words), MOST_NAMES)
    ]


def haproxy_aliases(backend: Mapping[str, Any]) -> list[str]:
    """Return the conditions, each for a line, for requests that are to be sent to the canonical host name of a backend."""
    canonical = backend.get("canonical", "")
    others = [name for name in backend.get("hostnames") or [] if name != canonical] if canonical else []
    unless = f" !{{ var(txn.host) -m str {canonical} }}"
    return [condition + (unless if rank else "") for rank, condition in host_conditions(others)]


def haproxy_tls(tls: Mapping[str, Any]) -> dict[str, Any]:
    """Return `haproxy_tls` with all its keys, and `port`, which an address has to end in: empty for 443, else like :8443."""
    found = balancer_tls(tls)
    ports = bind_ports(found["binds"])
    return found | {"port": "" if 443 in ports or not ports else f":{ports[0]}"}


class FilterModule:
    """Make the functions of this file available to templates under their own names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "haproxy_aliases": haproxy_aliases,
            "haproxy_binds": haproxy_binds,
            "haproxy_header_names": haproxy_header_names,
            "haproxy_nbthread": haproxy_nbthread,
            "haproxy_quoted": quoted,
            "haproxy_routes": haproxy_routes,
            "haproxy_tls": haproxy_tls,
        }
