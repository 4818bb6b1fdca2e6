"""What a worker of HAProxy says of its servers (management guide, section 9.3), read."""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

# Bits of srv_admin_state (management guide, `show servers state`).
RUN_TIME = 0x01
MAINTENANCE = RUN_TIME | 0x04  # set at run time, or `disabled` in the configuration
DRAIN = 0x08
UP = (1, 2)  # srv_op_state: starting (`slowstart`), running
# Bits of srv_check_state (include/haproxy/check-t.h, CHK_ST_*): there is a check, and it is under way.
CONFIGURED, ENABLED = 0x02, 0x04


class Server(NamedTuple):
    """A server as one worker sees it."""

    backend: str
    name: str
    address: str
    port: int
    operational: int
    admin: int
    check: int
    weight: int

    @property
    def by_hand(self) -> bool:
        """Whether it is out because somebody wants it out, which is not ours to lift: our own maintenance is a drain, too."""
        return bool(self.admin & MAINTENANCE) and not self.drained

    @property
    def drained(self) -> bool:
        """Whether it is drained at run time.

        Of a backend with cookies that is a maintenance of a server without weight, which tells it from somebody else's:
        HAProxy forgets that a server was drained when it goes into maintenance.
        """
        return bool(self.admin & DRAIN) or (bool(self.admin & RUN_TIME) and not self.weight)

    @property
    def held(self) -> bool:
        """Whether it is in rotation unchecked, as the only server of its backend is while its instance restarts."""
        return bool(self.check & CONFIGURED) and not self.check & ENABLED

    @property
    def serves(self) -> bool:
        """Whether it gets requests."""
        return self.operational in UP and not (self.by_hand or self.drained)


def parse_servers(shown: str) -> list[Server]:
    """Read `show servers state` of HAProxy 2.6 to 3.0 (format version 1). ValueError for anything else."""
    lines = shown.splitlines()
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise ValueError(f"this is no answer to `show servers state`: {shown[:200]!r}")
    names = lines[1][2:].split()
    found = []
    for line in lines[2:]:
        fields = dict(zip(names, line.split(), strict=False))
        if "srv_name" in fields:
            found.append(
                Server(
                    fields["be_name"], fields["srv_name"], fields["srv_addr"], int(fields["srv_port"]),
                    int(fields["srv_op_state"]), int(fields["srv_admin_state"]), int(fields["srv_check_state"]),
                    int(fields["srv_uweight"]),
                )
            )  # fmt: skip
    return found


def parse_sessions(shown: str) -> dict[tuple[str, str], int]:
    """Return {(backend, server): requests in it or waiting for it} of `show stat` (CSV, section 9.1)."""
    return {key: int(row["scur"] or 0) + int(row["qcur"] or 0) for key, row in rows(shown).items()}


def parse_checks(shown: str) -> dict[tuple[str, str], str]:
    """Return {(backend, server): what its checks last found} of `show stat`, as `L7STS 503`, `L4CON` or `* L7OK`."""
    found = {}
    for key, row in rows(shown).items():
        status, code = row["check_status"], row["check_code"]
        found[key] = status if status.startswith("* ") else " ".join(f"{status} {code} {row['last_chk']}".split())
    return found


def parse_persistent(shown: str) -> set[str]:
    """Return the backends of `show stat` whose clients come back to a server by its cookie."""
    return {backend for (backend, _), row in rows(shown).items() if row["cookie"]}


class Health(NamedTuple):
    """What `show stat` says of a server: its status, what its checks last found, seconds since the status changed."""

    status: str
    words: str
    seconds: int

    @property
    def down(self) -> bool:
        """Whether it gets nothing because its checks fail; `DOWN 1/2` is one on its way up."""
        return self.status.startswith("DOWN")

    @property
    def unchecked(self) -> bool:
        """Whether it gets requests on trust: not checked yet (`INI`), or on its way down (`UP 1/2`)."""
        return self.status.startswith("UP ") or (self.status == "UP" and "INI" in self.words.split())


def parse_health(shown: str) -> dict[tuple[str, str], Health]:
    """Return {(backend, server): health} of `show stat`."""
    checks = parse_checks(shown)
    return {key: Health(row["status"], checks[key], int(row["lastchg"] or 0)) for key, row in rows(shown).items()}


def rows(shown: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return {(backend, server): {column: value}} of `show stat` (CSV, section 9.1), in its order. ValueError for anything else."""
    if not shown.startswith("# "):
        raise ValueError(f"this is no answer to `show stat`: {shown[:200]!r}")
    table = csv.DictReader(io.StringIO(shown[2:]))
    return {(row["pxname"], row["svname"]): row for row in table if row["pxname"]}
