"""Who holds the deploy lock, and whether that run still lives."""

import os
import subprocess

from tests.conftest import load

lock = load("action/deploy_lock.py")


def test_run_that_lives_holds_it():
    assert not lock.has_ended(lock.holder())


def test_run_that_has_ended_does_not():
    process = subprocess.Popen(["true"])
    held = lock.holder() | {"pid": process.pid, "token": lock.token(process.pid)}
    process.wait()
    assert lock.has_ended(held)
    # Its pid may belong to another process by now.
    assert lock.has_ended(held | {"pid": os.getpid()})


def test_run_before_the_last_boot_of_this_machine_has_ended(monkeypatch):
    held = lock.holder()
    monkeypatch.setattr(lock, "boot", lambda: "another boot")
    assert lock.has_ended(held)


def test_run_on_another_machine_is_not_ours_to_judge(monkeypatch):
    held = lock.holder()
    monkeypatch.setattr(lock, "machine", lambda: "another machine")
    assert not lock.has_ended(held)
