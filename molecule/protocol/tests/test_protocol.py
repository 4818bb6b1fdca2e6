"""The default server keeps PEP 3333 and HTTP/1.1, rule by rule, as it is deployed; tests/protocol.py has the rules."""

import pytest

from tests.protocol import CHECKS
from tests.support import hosts_of

HOSTS = hosts_of("app_servers")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", HOSTS)
def test_waitress(seen, name, check):
    found = seen(name, "waitress")[check]
    if not found["ok"]:
        pytest.fail(f"{check} ({found['source']}): saw {found['saw']!r}, right is {found['expected']}", pytrace=False)


@pytest.mark.parametrize("name", HOSTS)
def test_granian_is_recorded(seen, name):
    found = seen(name, "granian")
    # What makes the table worth something: it was there, and answered.
    for check in ("HTTP/1.1 is kept", "wsgiref.validate: POST", "environ is a dict"):
        assert found[check]["ok"], found[check]
