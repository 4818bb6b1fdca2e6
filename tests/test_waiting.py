"""What the callback `waiting` prints, and when."""

import re
import time
from types import SimpleNamespace

from tests.conftest import load


def begin(callback, host="web", name="Install HAProxy", uuid="1"):
    task = SimpleNamespace(_uuid=uuid, name=name, get_name=lambda: f"role : {name}")
    callback.v2_playbook_on_task_start(task, False)
    callback.v2_runner_on_start(SimpleNamespace(get_name=lambda: host), task)
    return SimpleNamespace(host=SimpleNamespace(get_name=lambda: host), task=task)


def waiting(after):
    lines = []

    def display(line, color, stderr):  # noqa: ARG001
        lines.append(line)

    module = load("callback/waiting.py")
    return module.CallbackModule(SimpleNamespace(display=display, verbosity=0), after), lines


def test_long_task_is_told_more_than_once():
    callback, lines = waiting((0.05, 0.1))
    begin(callback)
    end = time.monotonic() + 10
    while len(lines) < 4:
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    assert [line for line in lines if not re.fullmatch(r"\.\.\. web: Install HAProxy \(\d+ s\)", line)] == []


def test_task_that_has_ended_is_not_told():
    callback, lines = waiting((1.0,))
    ended = begin(callback)
    begin(callback, host="other", uuid="1")
    callback.v2_runner_on_failed(ended, ignore_errors=True)
    end = time.monotonic() + 10
    while len(lines) < 2:
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    assert {line.split()[1] for line in lines} == {"other:"}
