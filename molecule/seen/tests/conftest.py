"""What failed tests print."""

from tests.journals import pytest_runtest_makereport  # noqa: F401
