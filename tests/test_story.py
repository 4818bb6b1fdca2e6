"""What a run says, from what tasks return and, on this machine, from a playbook."""

import os
import re
import signal
import subprocess
from types import SimpleNamespace

import pytest
from ansible.executor.stats import AggregateStats
from ansible.inventory.host import Host
from ansible.playbook.task import Task
from ansible.utils.context_objects import CLIArgs

from tests.conftest import PROJECT, load

RELEASE, NEXT = "5f4e3d2c1b0a", "0f1e2d3c4b5a"


def made_up(host, task, result):
    """Return what the callback reads of a result, which each version of Ansible makes in another way."""
    return SimpleNamespace(
        host=host, task=task, result=result, task_name=task.name, is_changed=lambda: result.get("changed", False)
    )


class Run:
    """A run whose tasks are made up: `task` gives the callback what it would get of one."""

    def __init__(self, monkeypatch, check=False):
        module = load("callback/story.py")
        monkeypatch.setattr(module.context, "CLIARGS", CLIArgs({"check": check}))
        self.callback, self.output, self.check = module.CallbackModule(), [], check
        self.callback._display = SimpleNamespace(display=self.display, verbosity=0)
        self.callback.get_option = lambda name: {"result_format": "yaml"}.get(name)
        self.stats = AggregateStats()
        self.play("Roll them out")

    def display(self, text, color=None, stderr=False):  # noqa: ARG002
        self.output += text.splitlines()

    def play(self, name):
        self.callback.v2_playbook_on_play_start(SimpleNamespace(get_name=lambda: name))

    def task(self, name, *items, host="web", failed=False, loop=False):
        task = Task()
        task.name, task.loop, task.check_mode = name, ["x"] if loop else None, self.check
        self.callback.v2_playbook_on_task_start(task, False)
        results = [made_up(Host(host), task, dict(item)) for item in items]
        for result in results:
            if loop:
                self.callback.v2_on_file_diff(result)
            self._ended(result, failed, "_item" if loop else "")
        if loop:
            self._ended(made_up(Host(host), task, {"results": list(items)}), failed, "")
        self.stats.increment("processed", host)
        changed = any(item.get("changed") for item in items)
        for what in [kind for kind, true in (("changed", changed), ("failures", failed)) if true]:
            self.stats.increment(what, host)

    def _ended(self, result, failed, of):
        getattr(self.callback, f"v2_runner{of}_on_{'failed' if failed else 'ok'}")(result)

    def end(self):
        self.callback.v2_playbook_on_stats(self.stats)
        return [re.sub(r"took \d+\.\d s", "took 1.0 s", line) for line in self.output]


@pytest.fixture
def run(monkeypatch):
    return Run(monkeypatch)


@pytest.fixture
def utc(monkeypatch):
    """Have times in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    load("plugin_utils/stories.py").time.tzset()


def server(state, was, number=2, **more):
    seconds = {"drained": 0.31} if state == "drain" else {"healthy": 0.4}
    if was in ("absent", "not running"):
        seconds = {}
    return {"backend": "hello", "server": f"web-{number}", "state": state, "was": was, "seconds": seconds} | more


def instance(number=2, deployment="new", **more):
    found = {"name": "hello", "number": number, "deployment": deployment, "changed": True}
    return found | {"seconds": {"restarted": 0.82, "healthy": 0.2}, "live": [on(number, deployment, NEXT)]} | more


def on(number, deployment="old", release=RELEASE, since=0.0):
    return {"number": number, "deployment": deployment, "release": release, "since": since}


def roll_out(run, number=2):
    run.task("Drain", server("drain", "ready", number, changed=True), loop=True)
    run.task("Put", instance(number))
    run.task("Admit", server("ready", "drained", number, changed=True, healthy=True), loop=True)


def test_run_that_changes_nothing_says_what_is_live(run, utc):  # noqa: ARG001
    run.task("Write", {"name": "hello", "live": [on(1, since=60), on(2)], "changed": False})
    run.play("Nothing here")
    assert run.end() == [
        f"hello old (release {RELEASE}) is live since 1970-01-01 00:01:00 on web-1, web-2",
        "0 changed, 0 failed, took 1.0 s",
    ]


def test_instance_is_one_line_as_soon_as_it_is_back(run, utc):  # noqa: ARG001
    run.task("Write", {"name": "hello", "live": [on(1), on(2)], "changed": True})
    assert run.output == ["Roll them out", "  web: Write (hello)"]
    roll_out(run)
    assert run.output[2:] == ["  hello web-2: drained 0.3 s, restarted 0.8 s, healthy 0.6 s, back in rotation"]
    # What is half done is told as it is.
    assert run.end()[3:] == [
        f"hello old (release {RELEASE}) is live since 1970-01-01 00:00:00 on web-1",
        f"hello new (release {NEXT}) is live since 1970-01-01 00:00:00 on web-2; before: old",
        "web: 4 changed, 0 failed",
        "4 changed, 0 failed, took 1.0 s",
    ]


def test_several_balancers_are_one_line(run):
    run.task("Drain", *[server("drain", "ready", changed=True)] * 2, loop=True)
    run.task("Put", instance())
    run.task("Admit", *[server("ready", "drained", changed=True, healthy=True)] * 2, loop=True)
    assert run.output[1:] == ["  hello web-2: drained 0.6 s, restarted 0.8 s, healthy 1.0 s, back in rotation"]


def test_instance_that_no_balancer_has_is_told_with_what_comes_next(run):
    run.task("Put", instance(1))
    assert run.output == []
    run.task("Put", instance(2))
    assert run.output[1:] == ["  hello web-1: restarted 0.8 s, healthy 0.2 s"]
    run.task("Other", {"changed": True})
    assert run.output[2:] == ["  hello web-2: restarted 0.8 s, healthy 0.2 s", "  web: Other"]


@pytest.mark.parametrize(
    ("drained", "ready", "line"),
    [
        (server("drain", "by hand", left=0) | {"seconds": {}}, server("ready", "by hand", healthy=True),
         "restarted 0.8 s, healthy 0.6 s, stays out, by hand"),
        (server("drain", "last") | {"seconds": {}}, server("ready", "ready", healthy=True),
         "the only one, so requests wait, restarted 0.8 s, healthy 0.6 s, in rotation"),
        (server("drain", "ready", left=2), server("ready", "drained", changed=True, healthy=True),
         "drained 0.3 s, with 2 requests left, restarted 0.8 s, healthy 0.6 s, back in rotation"),
        (server("drain", "not running"), server("ready", "not running"), "restarted 0.8 s, healthy 0.2 s"),
    ],
    ids=["by hand", "last", "left", "not running"],
)  # fmt: skip
def test_what_else_a_balancer_says(run, drained, ready, line):
    run.task("Drain", drained, loop=True)
    run.task("Put", instance())
    run.task("Admit", ready, loop=True)
    assert run.output[1:] == [f"  hello web-2: {line}"]


def test_server_that_is_put_back_by_hand_says_on_which_balancer(run):
    run.task("Lift", server("ready", "by hand", changed=True, healthy=True), host="edge", loop=True)
    assert run.output[1:] == ["  hello web-2 on edge: healthy 0.4 s, back in rotation"]


def test_failed_instance(run, utc):  # noqa: ARG001
    run.task("Drain", server("drain", "ready", changed=True), loop=True)
    live = {"live": [on(2)], "seconds": {"restarted": 0.5}}
    run.task("Put", instance(msg="It failed.\nIts journal.", exception="once more", **live), failed=True)
    run.task("Admit", server("ready", "drained", changed=True, healthy=True), loop=True)
    assert run.end() == [
        "Roll them out",
        "  hello web-2: drained 0.3 s, restarted 0.5 s, failed",
        "  FAILED web: Put (hello)",
        "    It failed.",
        "    Its journal.",
        "  hello web-2: healthy 0.4 s, back in rotation",
        f"hello old (release {RELEASE}) is live since 1970-01-01 00:00:00 on web-2",
        "web: 3 changed, 1 failed",
        "3 changed, 1 failed, took 1.0 s",
    ]


def test_instance_that_no_balancer_finds_healthy_says_why(run):
    # Whoever fails does not know yet where the server was.
    failed = {
        "msg": "hello/web-2: not healthy: L4CON",
        "backend": "hello",
        "server": "web-2",
        "state": "ready",
        "seconds": {},
    }
    run.task("Admit", failed, loop=True, failed=True)
    run.task("Put", instance(), host="other")
    run.task("Admit", failed | {"server": "other-2"}, loop=True, failed=True, host="other")
    assert run.output[1:] == [
        "  FAILED web: Admit", "    hello/web-2: not healthy: L4CON",
        "  hello other-2: restarted 0.8 s, healthy 0.2 s, failed",
        "  FAILED other: Admit", "    hello/web-2: not healthy: L4CON",
    ]  # fmt: skip


def test_reason_that_is_quoted_later_was_said(run):
    reason = "hello@1: not healthy after 5 s. Fix: another path"
    stopped = f"The rollout of hello stopped: {reason}. The others were not touched."
    run.task("Put", {"msg": f"{reason}:\nIts journal."}, failed=True, loop=True)
    run.task("Stop", {"msg": stopped}, failed=True)
    run.task("Put", {"msg": f"{reason}."}, failed=True, host="other")
    run.task("Fail", {"msg": f"These have failed.\n- hello on web: {stopped}\n- wiki on web: no."}, failed=True)
    assert run.output[1:] == [
        "  FAILED web: Put", f"    {reason}:", "    Its journal.",
        "  FAILED web: Stop", "    The rollout of hello stopped: as said above. The others were not touched.",
        "  FAILED other: Put", f"    {reason}.",
        "  FAILED web: Fail", "    These have failed.",
        "    - hello on web: The rollout of hello stopped: as said above. The others were not touched.", "    - wiki on web: no.",
    ]  # fmt: skip


def test_removed_instance(run):
    run.task("Write", {"name": "hello", "live": [on(3)]})
    run.task("Remove", instance(3, None, seconds={"removed": 0.4}, live=[]))
    assert run.end() == [
        "Roll them out", "  hello web-3: removed 0.4 s", "web: 1 changed, 0 failed", "1 changed, 0 failed, took 1.0 s",
    ]  # fmt: skip


def test_check_mode_says_what_would_be(monkeypatch):
    run = Run(monkeypatch, check=True)
    drained = server("drain", "", changed=True) | {"seconds": {}}
    run.task("Drain", drained, drained, loop=True)  # on two balancers
    run.task("Put", instance(seconds={}, live=[]))
    run.task("Admit", server("ready", "", changed=False) | {"seconds": {}}, loop=True)
    assert run.end() == [
        "Roll them out", "  hello web-2: would be drained, put on new",
        "web: 2 would change, 0 failed", "2 would change, 0 failed, took 1.0 s",
    ]  # fmt: skip


def test_role_is_not_told_with_its_task(run):
    run.task("flask_haproxy.deploy.flask_app : Ship the release", {"name": "hello", "changed": True})
    assert "  web: Ship the release (hello)" in run.end()


def test_many_instances_are_counted(run):
    run.task("Write", {"name": "hello", "live": [on(number) for number in range(1, 9)]})
    assert run.end()[0].endswith(" on 8 instances")


def test_deploy_of_three_instances_is_short(run):
    for name in ("Ship", "Write"):
        run.task(name, {"changed": True})
    for number in (1, 2, 3):
        roll_out(run, number)
    assert len(run.end()) == 9


@pytest.mark.parametrize("action", ["flask_haproxy.deploy.flask_logs", "flask_haproxy.deploy.flask_instance"])
def test_end_of_a_question_leaves_nothing_to_go_on_with(run, action):
    run.callback.v2_playbook_on_task_start(SimpleNamespace(action=action), False)
    run.callback.ended = False
    run.callback._cut_off()
    assert len(run.output) == (0 if action.endswith("logs") else 1)


PLAYBOOK = r"""
- name: Say
  hosts: all
  gather_facts: false
  tasks:
    - name: Find what is there
      ansible.builtin.command: "true"
      changed_when: false
    - name: Skip
      ansible.builtin.debug: {msg: never}
      when: false
    - name: Include
      ansible.builtin.include_tasks: others.yml
    - name: Write
      ansible.builtin.copy: {content: "new\n", dest: "{{ playbook_dir }}/file"}
      diff: true
    - name: Say
      ansible.builtin.debug: {msg: "It's: \"so\"."}
    - name: Go through
      ansible.builtin.command: "{{ item }}"
      loop: ["true", "false"]
      ignore_errors: true
- name: Empty
  hosts: all
  gather_facts: false
  tasks: []
- name: Refuse
  hosts: all
  gather_facts: false
  tasks:
    - name: Refuse
      ansible.builtin.fail: {msg: "No:\n- one\n- two"}
"""


def play(folder, *arguments, **environment):
    """Start a playbook on this machine with the project's own settings."""
    (folder / "play.yml").write_text(PLAYBOOK)
    (folder / "others.yml").write_text("- ansible.builtin.set_fact: {x: 1}\n")
    command = ["ansible-playbook", "--inventory=one,", "--connection=local", str(folder / "play.yml"), *arguments]
    settings = {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return subprocess.Popen(
        command, cwd=PROJECT, env=own | settings | environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def said(process):
    output, _ = process.communicate(timeout=60)
    return [line for line in output.splitlines() if not line.startswith("... ")]


def test_playbook(tmp_path):
    lines = said(play(tmp_path))
    assert lines[:3] == ["Say", "  one: Write", "--- before"]
    assert [line for line in lines[2:9] if line.startswith("+")] == [f"+++ after: {tmp_path}/file", "+new"]
    rest = lines[lines.index('  one: It\'s: "so".') :]
    assert rest[:3] == ['  one: It\'s: "so".', "  one: Go through (true)", "  FAILED one: Go through (false), ignored"]
    assert "non-zero return code" in rest[3]
    assert [re.sub(r"took .*", "took", line) for line in rest[4:]] == [
        "Refuse", "  FAILED one: Refuse", "    No:", "    - one", "    - two",
        "one: 2 changed, 1 failed", "2 changed, 1 failed, took",
    ]  # fmt: skip


def test_more_is_ansibles_own_output(tmp_path):
    def output(*arguments, **environment):
        (tmp_path / "file").unlink(missing_ok=True)
        lines = "\n".join(said(play(tmp_path, *arguments, **environment)))
        return re.sub(r"\d{4}-\d\d-\d\d|\d+:\d+:[\d.]+|(?<=ansible-)\S*tmp\S*|\d{6,}", "", lines)

    own = output("-v")
    assert "PLAY RECAP" in own
    assert own == output("-v", ANSIBLE_STDOUT_CALLBACK="default")


def test_run_that_is_cut_off_says_where(tmp_path):
    (tmp_path / "slow").write_text("#!/bin/sh\nsleep 30\n")
    (tmp_path / "slow").chmod(0o755)
    process = play(tmp_path, "--extra-vars", f"ansible_python_interpreter={tmp_path}/slow")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("... one: Find what is there"):
            os.killpg(process.pid, signal.SIGINT)
            break
    assert re.fullmatch(r"Cut off after \d+\.\d s, in: Say\. The next run goes on from here\.", said(process)[-1])
