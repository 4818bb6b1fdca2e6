"""What a request costs in the balancer: this project's haproxy.cfg with one thing at a time taken away or put in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from bench import host

LIVE, TRIED = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/bench.cfg"
DROP_IN = "/run/systemd/system/haproxy.service.d/bench.conf"
SETTLE = 2.0  # seconds until every server has passed its checks
# Where a request would be handed to a backend, HAProxy answers itself.
ITSELF = '    http-request return status 200 content-type text/plain string "Hello from Flask App 1!\\n"\n'

Change = Callable[[str], str]


def without(*lines: str) -> Change:
    """Return a change that leaves out the lines that begin like this (regular expressions)."""
    pattern = re.compile(rf"^ +(?:{'|'.join(lines)})\b.*\n", re.MULTILINE)
    return lambda text: pattern.sub("", text)


def with_threads(number: int) -> Change:
    """Return a change that sets HAProxy's threads."""
    return lambda text: re.sub(
        r"^global\n", f"global\n    nbthread {number}\n", without("nbthread")(text), flags=re.MULTILINE
    )


def as_it_is(text: str) -> str:
    """Change nothing."""
    return text


def without_queue(text: str) -> str:
    """Leave the limits of servers and backends out, so that nothing waits in HAProxy."""
    return re.sub(r" (?:minconn|maxconn) \d+", "", without("fullconn")(text))


def without_checks(text: str) -> str:
    """Leave the health checks and the observation of answers out."""
    text = re.sub(r"^( +default-server) check .*?((?: (?:min|max)conn \d+)*)$", r"\1\2", text, flags=re.MULTILINE)
    return re.sub(r"^( +server .*?) check\b", r"\1", text, flags=re.MULTILINE).replace("    default-server\n", "")


def answered_by_itself(text: str) -> str:
    """Have HAProxy answer at the end of the frontend's rules."""
    return re.sub(r"^(?= +default_backend)", ITSELF.replace("\\", "\\\\"), text, count=1, flags=re.MULTILINE)


HEADERS = (
    "http-request (?:del|set|replace)-header",
    "http-request capture",
    "http-(?:after-)?response",
    "option http-restrict",
)
CHECKS = ("http-request (?:deny|set-var|set-uri|set-src)",)
CHANGES: dict[str, Change] = {
    "as deployed": as_it_is,
    "one thread": with_threads(1),
    "two threads": with_threads(2),
    "no log": without("log", "option httplog"),
    "no header rules": without(*HEADERS),
    "no checks of host, path and method": without(*CHECKS),
    "no rules at all": without(*HEADERS, *CHECKS),
    "no second attempt (retry-on)": without("retry-on", "http-request disable-l7-retry"),
    "no queue (minconn, maxconn, fullconn)": without_queue,
    "no health checks": without_checks,
    "answers itself": answered_by_itself,
}


def tried(change: Change, config: str, seconds: int) -> dict[str, Any]:
    """Return the figures of HAProxy with a changed configuration, at 32 connections."""
    host.put(change(config), TRIED)
    host.run("systemctl restart haproxy")
    time.sleep(SETTLE)
    host.load(80, 32, 1)
    return host.load(80, 32, seconds)


def round_of(seconds: int) -> dict[str, Any]:
    """Return the figures of each change, in the instances' usual surroundings. The deployed configuration is back after."""
    config = host.run(f"cat {LIVE}")
    host.run(f"mkdir -p {DROP_IN.rpartition('/')[0]}")
    host.put(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=CONFIG={TRIED}\n", DROP_IN)
    host.run("systemctl daemon-reload")
    try:
        return {name: tried(change, config, seconds) for name, change in CHANGES.items()}
    finally:
        host.run(f"rm -f {DROP_IN} {TRIED}; systemctl daemon-reload; systemctl restart haproxy")
