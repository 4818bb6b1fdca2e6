"""The table of losses: printed at the end and, where LOSS_TABLES names a folder, written there."""

import datetime
import os
from pathlib import Path

import pytest

from tests.journals import pytest_runtest_makereport  # noqa: F401
from tests.support import SCENARIO, Load, host, hosts_of

ROWS: list[list[str]] = []
HEAD = ["event", "sent", "failed", "POSTs lost", "POSTs doubled", "longest gap", "99 % within", "seconds"]


@pytest.fixture(scope="session")
def web():
    """Return the connection to the host that runs the services."""
    return host(hosts_of("app_servers")[0])


@pytest.fixture
def account():
    """Return a function that enters a load into the table under the name of what happened."""

    def enter(event: str, load: Load, note: str = "") -> None:
        found = load.report
        causes = ", ".join(f"{count} {cause}" for cause, count in found.causes.items())
        details = "; ".join(part for part in (causes, note) if part)
        failed = f"{found.failed}" + (f" ({details})" if details else "")
        row = [
            event,
            found.sent,
            failed,
            found.lost,
            found.doubled,
            f"{found.longest_gap:.2f} s",
            f"{found.p99 * 1000:.0f} ms",
            f"{load.took:.0f}",
        ]
        ROWS.append([str(cell) for cell in row])
        # How much a busy machine gets done decides nothing, as long as it was traffic.
        assert found.rate >= load.rate / 10, f"this was no load: {found}"

    return enter


def versions() -> str:
    """Return what the table was made with."""
    web = host(hosts_of("app_servers")[0])
    debian = web.check_output("cat /etc/debian_version")
    haproxy = web.check_output("haproxy -v").split()[2]
    systemd = web.check_output("systemctl --version").split()[1]
    server = web.check_output(
        "ls /opt/flask/probe/instances/1/release/lib | grep -o -E '^(granian|waitress)-[0-9.]*[0-9]' | head -n 1"
    )
    return f"Debian {debian}, HAProxy {haproxy}, systemd {systemd}, {server}"


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    widths = [max(len(row[column]) for row in [HEAD, *ROWS]) for column in range(len(HEAD))]
    terminalreporter.write_sep("=", "what was lost")
    for row in [HEAD, *ROWS]:
        terminalreporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    if folder := os.environ.get("LOSS_TABLES"):
        lines = ["| " + " | ".join(row) + " |" for row in [HEAD, ["---"] * len(HEAD), *ROWS]]
        when = datetime.date.today().isoformat()
        head = (
            "# What is lost when\n\n"
            f"Made by the scenario `{SCENARIO.name}` (`make test-loss` repeats it) on {when} with\n"
            f"{versions()}.\n"
            "A client on another host sends 200 requests a second, half of them on connections that it keeps and half on new\n"
            "ones, GET and POST in turn, one in twenty taking 0.3 s, and tries nothing again. What HAProxy tries again is\n"
            "not seen as failed; a POST is never tried again once it reached an instance. A POST is lost where it was answered\n"
            "and not done, doubled where it was done twice; one that failed is neither. Where it says\n"
            "so, it sends 20 requests a second.\n\n"
        )
        Path(folder, f"{SCENARIO.name}.md").write_text(head + "\n".join(lines) + "\n")
