"""The deploy lock, a lease: `plugins/module_utils/lease.py` on a file of the test's own."""

import json
import time

import pytest

from tests.conftest import load

lease = load("module_utils/lease.py")
ANNA = {"who": "anna@one", "what": "site.yml", "pid": 7, "since": "2026-01-01", "machine": "one", "token": "one/7"}
BERT = ANNA | {"who": "bert@two", "machine": "two", "token": "two/7"}


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "LOCK", tmp_path / "flask-deploy.lock")
    return lease.LOCK


def test_one_holds_it_until_it_is_given_back():
    assert lease.take(ANNA, 60) == {}
    assert lease.take(ANNA, 60) == {}
    assert lease.take(BERT, 60)["who"] == "anna@one"
    assert not lease.give_back(BERT["token"])
    assert lease.give_back(ANNA["token"])
    assert lease.take(BERT, 60) == {}


def test_it_is_free_when_it_has_run_out():
    assert lease.take(ANNA, -1) == {}
    assert lease.held() == {}
    assert lease.take(BERT, 60) == {}
    assert lease.held()["who"] == "bert@two"


def test_holder_that_has_ended_does_not_count():
    lease.take(ANNA, 60)
    assert lease.take(BERT, 60, gone="one/8")
    assert lease.take(BERT, 60, gone="one/7") == {}


def test_what_works_under_it_renews_it(lock):
    lease.take(ANNA, 60)
    before = json.loads(lock.read_text())["until"]
    lease.renew(ANNA | {"seconds": 600})
    assert json.loads(lock.read_text())["until"] >= before + 500
    # A shorter one does not cut a longer one off.
    lease.renew(ANNA | {"seconds": 1})
    assert json.loads(lock.read_text())["until"] >= time.time() + 500


def test_who_has_lost_it_is_told_and_stops():
    lease.take(ANNA, -1)
    lease.take(BERT, 60)
    with pytest.raises(lease.LeaseError, match="bert@two"):
        lease.renew(ANNA | {"seconds": 60})
    assert lease.held()["who"] == "bert@two"


def test_it_is_taken_again_where_nobody_has_it(lock):
    """As after a reboot of the balancer in the middle of a run."""
    lease.renew(ANNA | {"seconds": 60})
    assert lease.held()["who"] == "anna@one"
    lock.write_text("half a li")
    lease.renew(ANNA | {"seconds": 60})
    assert lease.held()["who"] == "anna@one"


def test_lock_of_a_release_without_leases_is_held(lock):
    lock.write_text(json.dumps(ANNA))
    assert lease.take(BERT, 60)["who"] == "anna@one"


def test_without_a_lock_there_is_nothing_to_renew(lock):
    lease.renew({})
    lease.renew({"seconds": 60})
    assert not lock.exists()
