"""Servers of a balancer at run time, in all of its processes (management guide, section 9.3).

After a reload, the old worker goes on serving the connections it has until they end: it has a state of its own for each
server, which only the master socket reaches (`@!PID command`). It answers questions, but it takes no orders: `set server`
is refused with `Proxy is disabled`. Nobody but time takes a server out of an old worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_answers import (
    UP,
    Health,
    Server,
    parse_checks,
    parse_health,
    parse_persistent,
    parse_servers,
    parse_sessions,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import (
    MASTER_SOCKET,
    Processes,
    ask,
    processes,
)

POLL = 0.05  # seconds
SETTLED = 2.5  # seconds in which a check comes and, where it fails, a second one


Answer = TypeVar("Answer")


class HAProxyError(Exception):
    """HAProxy answered something that it should not have; the message has its words."""


class Balancer:
    """The HAProxy of this host, through its master socket."""

    def __init__(self, path: str = MASTER_SOCKET) -> None:
        self.path = path

    def processes(self) -> Processes:
        """Return the workers; the master may be silent for a moment, as during a reload."""
        end = time.monotonic() + 5
        while True:
            try:
                return processes(self.path)
            except (OSError, ValueError) as error:
                if time.monotonic() > end:
                    raise HAProxyError(f"HAProxy's master does not answer on {self.path}: {error}") from error
                time.sleep(POLL)

    def _said(self, worker: int, command: str, parse: Callable[[str], Answer], nothing: Answer) -> Answer:
        """Ask a worker; `nothing` for one that has ended, which is listed a moment longer than it answers."""
        end = time.monotonic() + 5
        while True:
            try:
                return parse(ask(f"@!{worker} {command}", self.path))
            except (OSError, ValueError) as error:
                if self._ended(worker):
                    return nothing
                if time.monotonic() > end:
                    raise HAProxyError(f"HAProxy's worker {worker} does not answer `{command}`: {error}") from error
            time.sleep(POLL)

    def servers(self, worker: int) -> dict[tuple[str, str], Server]:
        """Return the servers of a worker by (backend, server); none for a worker that has ended."""
        found = self._said(worker, "show servers state", parse_servers, list[Server]())
        return {(server.backend, server.name): server for server in found}

    def sessions(self, worker: int, key: tuple[str, str]) -> int:
        """Return how many requests a worker has in a server, or waiting for it."""
        return self._said(worker, "show stat -1 4 -1", parse_sessions, dict[tuple[str, str], int]()).get(key, 0)

    def health(self, worker: int) -> dict[tuple[str, str], Health]:
        """Return what a worker's checks have found of its servers by (backend, server)."""
        return self._said(worker, "show stat -1 4 -1", parse_health, dict[tuple[str, str], Health]())

    def set(self, worker: int, key: tuple[str, str], *orders: str) -> None:
        """Give a worker `set server` commands, between which nothing else happens; it is silent where it obeys.

        `enable health` and `disable health` are commands of their own.
        """
        server = f"{key[0]}/{key[1]}"
        commands = [
            f"{order} {server}" if order.endswith("able health") else f"set server {server} {order}" for order in orders
        ]
        try:
            answer = ask("; ".join(f"@!{worker} {command}" for command in commands), self.path).strip()
        except OSError as error:
            answer = str(error)
        # A change of address is answered with a sentence, not with silence.
        if (
            answer
            and not answer.startswith(("IP changed", "no need to change", "port changed", "nothing changed"))
            and not self._ended(worker)
        ):
            raise HAProxyError(f"HAProxy answered `{'; '.join(commands)}` with: {answer}")

    def _ended(self, worker: int) -> bool:
        now = self.processes()
        return worker not in (*now.workers, *now.old_workers)

    def drain(self, key: tuple[str, str], timeout: float, keep_last: bool = False) -> tuple[str, int]:
        """Take a server out and wait until it holds no request and no old worker could send it one.

        Returns (what it was: `absent`, `by hand`, `drained`, `ready` or `last`; requests left after `timeout` seconds).
        With `keep_last`, the only server that serves stays, unchecked, and nothing is waited for: what comes while its
        instance restarts waits in the instance's socket, where otherwise it would be answered 503.
        """
        now = self.processes()
        current = None
        for worker in now.workers:
            servers = self.servers(worker)
            current = servers.get(key)
            others = any(server.serves for other, server in servers.items() if other[0] == key[0] and other != key)
            if keep_last and current and current.serves and not others:
                self.set(worker, key, "disable health")
                return "last", 0
            if current and not current.by_hand:
                # Who has its cookie is sent to a drained server all the same, to one in maintenance not (measured on 2.6
                # and 3.0).
                sticky = key[0] in self._said(worker, "show stat -1 4 -1", parse_persistent, set[str]())
                self.set(worker, key, *(["weight 0", "state maint"] if sticky else ["state drain"]))
        # A client of an old worker may send one request more (`option idle-close-on-response`).
        ending = [worker for worker in now.old_workers if key in self.servers(worker)]
        end = time.monotonic() + timeout
        while True:
            left = sum(self.sessions(worker, key) for worker in (*now.workers, *ending))
            ending = [worker for worker in ending if not self._ended(worker)]
            if not (left or ending) or time.monotonic() > end:
                break
            time.sleep(POLL)
        if current is None:
            return "absent", left
        return "by hand" if current.by_hand else "drained" if current.drained else "ready", left

    def admit(
        self, key: tuple[str, str], address: str, port: int, timeout: float, by_hand: bool = False
    ) -> tuple[str, bool]:
        """Put a server back as soon as the balancer's own checks find it healthy.

        Returns (what it was, whether they did within `timeout` seconds; if not, it comes back by itself when they do).
        It is made ready while it counts as down, so that the checks alone let requests in. A server that leaves maintenance
        or drain otherwise counts as healthy until a check says something else, and would get requests on trust. And only a
        server that comes up takes what waits in the backend's queue: one that leaves a drain does not, and as long as
        something waits, `balance roundrobin` sends new requests there as well (measured on 2.6 and 3.0: with one other server,
        busy or drained next, nothing was answered any more). One that is out by hand stays out unless `by_hand`, also
        where it is not healthy in time.
        """
        now, was, healthy = self.processes(), "absent", True
        for worker in now.workers:
            server = self.servers(worker).get(key)
            if server is None:
                continue
            was = "by hand" if server.by_hand else "drained" if server.drained else "ready"
            if server.held:
                self.set(worker, key, "enable health")
                self._stays_up(worker, key)
                server = self.servers(worker).get(key, server)
            moved = bool(address) and (server.address, server.port) != (address, port)
            # What serves already is not taken out to be put back.
            if (server.by_hand and not by_hand) or (was == "ready" and server.operational in UP and not moved):
                continue
            if moved:
                self.set(worker, key, f"addr {address} port {port}")
            orders = ["state drain", "health down", "state ready"]
            self.set(worker, key, *(orders if server.weight else ["weight 100%", *orders]))
            if not self._comes_up(worker, key, timeout):
                healthy = False
                if server.by_hand:
                    self.set(worker, key, "state maint")
        return was, healthy

    def _comes_up(self, worker: int, key: tuple[str, str], timeout: float) -> bool:
        end = time.monotonic() + timeout
        while True:
            if self._up(worker, key):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(POLL)

    def _up(self, worker: int, key: tuple[str, str]) -> bool:
        server = self.servers(worker).get(key)
        return server is None or server.operational in UP

    def _stays_up(self, worker: int, key: tuple[str, str]) -> None:
        """Return when the checks of a server that was not checked have had time to find it unhealthy, or have."""
        end = time.monotonic() + SETTLED
        while time.monotonic() < end and self._up(worker, key):
            time.sleep(POLL)

    def last_check(self, key: tuple[str, str]) -> str:
        """Return what the checks of a server last found, as HAProxy words it; empty for a server that is not there.

        While a check is under way, marked by a star, HAProxy shows the last status without its code (`show stat`).
        """
        end = time.monotonic() + 2
        while True:
            found = ""
            for worker in self.processes().workers:
                found = self._said(worker, "show stat -1 4 -1", parse_checks, dict[tuple[str, str], str]()).get(key, "")
            if not found.startswith("* ") or time.monotonic() > end:
                return found.removeprefix("* ")
            time.sleep(POLL)
