"""Fixtures, the journals of the services under what a failed test prints, and the figures that tests have noted."""

import pytest

from tests.support import host, hosts_of


@pytest.fixture(scope="session")
def web():
    """Return the connection to the host that runs the services."""
    return host(hosts_of("app_servers")[0])


@pytest.fixture(scope="session")
def client():
    """Return the connection to the host that sees them from outside."""
    return host(hosts_of("clients")[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001
    report = yield
    if report.when == "call" and report.failed:
        for name in hosts_of("app_servers"):
            shown = host(name).run("journalctl --no-pager --lines=60 --unit='flask-*' --unit=haproxy.service").stdout
            report.sections.append((f"journal of {name}", shown))
    return report


def pytest_terminal_summary(terminalreporter):
    """Print the figures that tests have noted (`record_property`)."""
    noted = [pair for report in terminalreporter.getreports("passed") for pair in report.user_properties]
    if noted:
        terminalreporter.write_sep("=", "figures")
    for name, value in noted:
        terminalreporter.write_line(f"{name}: {value}")
