"""Host names as users write them and as requests have them."""

import pytest

from tests.conftest import load

hostnames = load("plugin_utils/hostnames.py")


@pytest.mark.parametrize(
    ("written", "requested"),
    [
        ("A.Test", "a.test"), ("a.test.", "a.test"), ("*.A.test.", "*.a.test"), ("b\u00fccher.test", "xn--bcher-kva.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"), ("*.B\u00dcCHER.test", "*.xn--bcher-kva.test"),
        ("\u4f8b\u5b50.test", "xn--fsqu00a.test"), ("", ""),
        # What is no host name is left for the message.
        ("a..test", "a..test"), ("http://a.test", "http://a.test"), ("stra\u00dfe.test", "stra\u00dfe.test"), (7, 7),
    ],
)  # fmt: skip
def test_as_requested(written, requested):
    assert hostnames.as_requested(written) == requested


def test_health_is_asked_for_with_a_name_that_is_one():
    assert hostnames.health_names({"hostnames": ["*.a.test", "b.test", "c.test"], "canonical": "c.test"})[0] == "c.test"
    assert hostnames.health_names({"hostnames": ["*.a.test", "b.test"], "canonical": ""}) == ["b.test"]
    assert hostnames.health_names({"hostnames": ["*.a.test"], "canonical": ""}) == []
