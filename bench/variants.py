"""What is compared: the stack of the seed, and this project's with each of its servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench import host

CONNECTIONS = (1, 32, 256)
WARM_UP = 1  # seconds


def start_seed() -> None:
    """Start the three development servers and HAProxy with the seed's configuration."""
    host.run("systemctl start seed-app@1 seed-app@2 seed-app@3 seed-haproxy")


def start_ours(server: str) -> None:
    """Start this project's units, and bring them to a server."""
    host.run("systemctl start flask-bench.target haproxy")
    host.play("site.yml", "-e", f"bench_server={server}")


def stop_all() -> None:
    """Stop what any variant runs."""
    host.run(
        "systemctl stop seed-haproxy 'seed-app@*.service' haproxy flask-bench.target "
        "'flask-bench@*.socket' 'flask-bench@*.service'"
    )


@dataclass(frozen=True)
class Variant:
    """One of the stacks: its key, its name in tables, the port of its first instance, what starts it."""

    key: str
    title: str
    instance: int
    start: Callable[[], None]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run this variant alone."""
        stop_all()
        self.start()
        wait_for_answers()
        try:
            yield
        finally:
            stop_all()

    def figures(self, seconds: int) -> dict[str, Any]:
        """Return the figures of one round: through HAProxy at each number of connections, and one instance alone."""
        host.load(80, 32, WARM_UP)
        loads = {str(number): host.load(80, number, seconds) for number in CONNECTIONS}
        return loads | {"direct": host.load(self.instance, 32, seconds)}


DEFAULT = "waitress"
VARIANTS = (
    Variant("seed", "seed: development servers", 5101, start_seed),
    Variant(DEFAULT, "ours: waitress (default)", 5001, lambda: start_ours("waitress")),
    Variant("granian", "ours: granian", 5001, lambda: start_ours("granian")),
)


def wait_for_answers() -> None:
    """Wait until the three instances have answered in a row."""
    for _ in range(60):
        script = "for n in 1 2 3; do curl -sf --max-time 2 http://127.0.0.1:80/ || true; echo; done"
        if len({line for line in host.run(script).splitlines() if line.startswith("Hello")}) == 3:
            return
        time.sleep(0.5)
    raise host.BenchError("not all three instances answered within 30 s")
