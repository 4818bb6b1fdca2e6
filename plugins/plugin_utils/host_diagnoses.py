"""What is wrong with a host, or will be, whatever it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import size

# As monitoring has them: exit statuses.
WARNING, CRITICAL = 1, 2
# Shares of what there is, and seconds.
FREE, LITTLE = 0.10, 0.03
AHEAD = 10.0


class Finding(NamedTuple):
    """What is wrong where, how bad that is, and what to do."""

    level: int
    host: str
    what: str
    fix: str


def host_findings(name: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what C(host) of M(flask_status) and M(haproxy_status) gives away."""
    yield from _full(name, found["disks"])
    if abs(found["ahead"]) > AHEAD:
        way = "ahead of" if found["ahead"] > 0 else "behind"
        yield Finding(
            WARNING, name, f"the clock is {abs(found['ahead']):.0f} s {way} this machine's",
            "apt install systemd-timesyncd, on whichever of them is wrong",
        )  # fmt: skip
    for unit in found["failed_units"]:
        level = CRITICAL if unit.startswith(("flask-", "haproxy")) else WARNING
        port = "ss -ltnp says who else has its port; " if unit.startswith("flask-") and unit.endswith(".socket") else ""
        fix = f"{port}systemctl status {unit}, then restart it or reset-failed"
        yield Finding(level, name, f"{unit} has failed", fix)
    for unit, count in Counter(unit for _, unit in found["out_of_memory"]).items():
        yield Finding(
            WARNING, name, f"the kernel killed a process of {unit} for want of memory, {count} times in 24 h",
            "memory_max of the app, fewer instances, or more memory",
        )  # fmt: skip
    for unit, count in Counter(unit for _, unit in found["dropped"]).items():
        yield Finding(
            WARNING, name, f"the journal dropped lines of {unit}, {count} times in 24 h",
            "log less, or raise LogRateLimitBurst= of the unit",
        )  # fmt: skip

    if found["forgetful"]:
        fix = "Storage=persistent in /etc/systemd/journald.conf; systemctl restart systemd-journald; journalctl --flush"
        yield Finding(
            WARNING, name, "the journal is in memory only: logs and who deployed what end with the next boot", fix
        )
    if found["reboot"]:
        fix = f"ansible-playbook flask_haproxy.deploy.drain -e host={name} where it runs apps; reboot; the same with -e lift=true"
        yield Finding(WARNING, name, f"a restart of the host is pending, for {found['reboot']}", fix)


def _full(name: str, disks: list[Mapping[str, Any]]) -> Iterator[Finding]:
    for disk in disks:
        for what, free, total, shown in (
            ("space", disk["free"], disk["total"], size(disk["free"])),
            ("inodes", disk["files_free"], disk["files"], str(disk["files_free"])),
        ):
            # Some file systems count no inodes.
            if total and free < FREE * total:
                level = CRITICAL if free < LITTLE * total else WARNING
                share = f"{100 * free / total:.0f} %"
                yield Finding(
                    level, name, f"the disk of {disk['path']} has {share} of its {what} left ({shown})",
                    "journalctl --vacuum-size=500M, apt clean, keep: of the apps, or a larger disk",
                )  # fmt: skip
