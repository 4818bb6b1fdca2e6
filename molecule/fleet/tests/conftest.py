"""The journals of the services under what a failed test prints."""

import pytest

from tests.support import host, hosts_of


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001
    report = yield
    if report.when == "call" and report.failed:
        for name in [*hosts_of("app_servers"), *hosts_of("load_balancers")]:
            command = "journalctl --no-pager --lines=40 --unit='flask-*' --unit=haproxy.service | grep -v ' 20[04] '"
            report.sections.append((f"journal of {name}", host(name).run(command).stdout))
    return report
