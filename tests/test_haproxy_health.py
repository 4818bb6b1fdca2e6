"""Which servers count as DOWN at the end of a run."""

import itertools

import pytest

from tests.conftest import load

answers = load("module_utils/haproxy_answers.py")
health = load("module_utils/haproxy_health.py")
HEADER = "# pxname,svname,qcur,scur,status,lastchg,check_status,check_code,last_chk"


def stat(**servers):
    """Return what `show stat` says: name of a server to its status, and what its checks found."""
    return "\n".join(
        [HEADER, *(f"hello,{name},0,0,{status},12,{check}" for name, (status, check) in servers.items()), ""]
    )


class Balancer:
    """One that says something else each time, the last thing for ever."""

    def __init__(self, *said):
        self.said = itertools.chain(said, itertools.repeat(said[-1]))

    def processes(self):
        return load("module_utils/haproxy_master.py").Processes((7,), (), 0)

    def health(self, worker):
        assert worker == 7
        return answers.parse_health(next(self.said))


UP, DOWN = ("UP", "L7OK,200,HTTP status check passed"), ("DOWN", "L4CON,,Connection refused")
RISING, FALLING, NEW = ("DOWN 1/2", "L7OK,200,"), ("UP 1/2", "L7STS,503,"), ("UP", "INI,,")


def down(*said, wanted=("a", "b")):
    return health.down(Balancer(*said), [("hello", name) for name in wanted], 0.3)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(health, "FIRST_CHECK", 0.3)


def test_servers_that_are_up_are_seen_at_once():
    assert down(stat(a=UP, b=UP), stat(a=DOWN, b=DOWN)) == {}


@pytest.mark.parametrize(
    "out", [("MAINT", "L7OK,200,"), ("DRAIN", "L4CON,,"), ("no check", ",,"), ("NOLB", "L7OK,404,")]
)
def test_what_somebody_has_taken_out_is_not_down(out):
    assert down(stat(a=UP, b=out), stat(a=DOWN, b=DOWN)) == {}


def test_what_is_down_is_waited_for_and_named():
    assert down(stat(a=UP, b=DOWN), stat(a=UP, b=RISING), stat(a=UP, b=UP)) == {}
    found = down(stat(a=UP, b=DOWN))
    assert list(found) == [("hello", "b")]
    assert (found["hello", "b"].words, found["hello", "b"].seconds) == ("L4CON Connection refused", 12)
    assert list(down(stat(a=RISING, b=DOWN))) == [("hello", "a"), ("hello", "b")]


def test_what_a_reload_has_brought_is_checked_before_it_counts():
    assert list(down(stat(a=NEW, b=UP), stat(a=FALLING, b=UP), stat(a=DOWN, b=UP))) == [("hello", "a")]
    assert down(stat(a=NEW, b=UP), stat(a=UP, b=UP)) == {}
    # Somebody may have its servers checked once an hour.
    assert down(stat(a=NEW, b=NEW)) == {}


def test_others_do_not_count():
    assert down(stat(a=UP, b=DOWN), wanted=("a",)) == {}
    assert down(stat(a=UP), wanted=("a", "missing")) == {}


def test_certificate_that_is_loaded_has_its_end():
    # What HAProxy 2.6 and 3.0 say of one; a browser's words for it are others.
    shown = (
        "Filename: /etc/haproxy/certificates/shop.example.org.pem\nStatus: Used\nSerial: 26FAA7B5\n"
        "notBefore: Nov  6 22:09:43 2026 GMT\nnotAfter: Dec  6 22:09:43 2026 GMT\n"
        "Subject Alternative Name: DNS:shop.example.org\nAlgorithm: RSA2048\n"
        "SHA1 FingerPrint: 1EBB117583A9792BD1B85212BF5E8F3EB6ED2BDD\nSubject: /CN=shop.example.org\nIssuer: /CN=House CA\n"
    )
    assert load("module_utils/haproxy_status.py").parse_certificate(shown) == {
        "subject": "/CN=shop.example.org",
        "ends": 1796594983.0,
        "sha1": "1EBB117583A9792BD1B85212BF5E8F3EB6ED2BDD",
    }
