"""Fixtures, and the journals of the services under what a failed test prints."""

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
