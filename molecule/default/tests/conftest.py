"""Fixtures, and the figures that tests have noted."""

import pytest

from tests.journals import pytest_runtest_makereport  # noqa: F401
from tests.support import host, hosts_of


@pytest.fixture(scope="session")
def web():
    """Return the connection to the host that runs the services."""
    return host(hosts_of("app_servers")[0])


@pytest.fixture(scope="session")
def client():
    """Return the connection to the host that sees them from outside."""
    return host(hosts_of("clients")[0])


def pytest_terminal_summary(terminalreporter):
    """Print the figures that tests have noted (`record_property`)."""
    noted = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    if noted:
        terminalreporter.write_sep("=", "figures")
    for name, value in noted:
        terminalreporter.write_line(f"{name}: {value}")
