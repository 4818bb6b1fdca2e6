"""Which backends are in maintenance, and how the workers of HAProxy are told (management guide, section 9.3, `add map`)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import MAINTENANCE
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import MASTER_SOCKET, ask
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import Balancer, HAProxyError
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import audit


def in_maintenance(text: str) -> list[str]:
    """Return the backends in a text like the map file: a name a line, and what follows it."""
    return [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("#")]


def written() -> list[str]:
    """Return the backends that the next start of HAProxy has in maintenance."""
    return sorted(in_maintenance(read_file(MAINTENANCE))) if MAINTENANCE.is_file() else []


def write(backends: Collection[str]) -> None:
    """Have these in maintenance, and no others, from the next start of HAProxy on."""
    write_file(MAINTENANCE, "".join(f"{name} on\n" for name in sorted(backends)), 0o600)


def forget(backends: Collection[str]) -> None:
    """Forget the maintenance of all backends but those that there are: one that comes by such a name is to be asked."""
    gone = set(written()).difference(backends)
    if gone:
        write(set(written()) - gone)
        audit(f"{' '.join(sorted(gone))}: maintenance ends, with the app")


def shown(worker: int) -> list[str]:
    """Return the backends that are in maintenance in a worker. HAProxyError where it has no such map."""
    answer = ask(f"@!{worker} show map {MAINTENANCE}", MASTER_SOCKET)
    if "Unknown map" in answer:
        raise HAProxyError(
            f"HAProxy has no {MAINTENANCE} yet. Fix: run flask_haproxy.deploy.site, which has it look there."
        )
    # Each line begins with an address in memory.
    return [line.split()[1] for line in answer.splitlines() if line.startswith("0x")]


def tell(backend: str, wanted: bool) -> tuple[bool, str]:
    """Tell every worker, also those that only finish what they hold, and return (whether one had to be told, what is wrong)."""
    if not Path(MASTER_SOCKET).exists():
        return False, ""
    told = False
    try:
        now = Balancer().processes()
        for worker in now.workers + now.old_workers:
            if (backend in shown(worker)) == wanted:
                continue
            order = f"add map {MAINTENANCE} {backend} on" if wanted else f"del map {MAINTENANCE} {backend}"
            ask(f"@!{worker} {order}", MASTER_SOCKET)
            told = True
            if (backend in shown(worker)) != wanted and worker in now.workers:
                return told, f"HAProxy's worker {worker} did not take `{order}`."
    except (HAProxyError, OSError) as error:
        return told, str(error)
    return told, ""
