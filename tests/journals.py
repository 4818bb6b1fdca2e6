"""The journals of the services, under what a failed test prints; a scenario's conftest.py imports the hook."""

import pytest

from tests.support import host, hosts_of

# Without the lines of requests that went well.
COMMAND = "journalctl --no-pager --lines=60 --unit='flask-*' --unit=haproxy.service | grep -v ' 20[04] '"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001
    """Add them to the report."""
    report = yield
    if report.when == "call" and report.failed:
        for name in dict.fromkeys([*hosts_of("app_servers"), *hosts_of("load_balancers")]):
            report.sections.append((f"journal of {name}", host(name).run(COMMAND).stdout))
    return report
