"""A release that cannot run touches nothing that runs."""

import json
import shutil

import pytest

from tests.support import PROJECT, ask, converge, eventually, hosts_of, playbook, refused, variables
from tests.support import apps as scenario_apps

WEB = hosts_of("app_servers")[0]


def test_import_that_raises_is_shown_and_no_instance_is_switched(web, tmp_path):
    shutil.copytree(PROJECT / "files" / "hello", tmp_path / "hello")
    with (tmp_path / "hello" / "app.py").open("a") as file:
        file.write("\nraise RuntimeError('not today')\n")
    before = web.check_output("systemctl show --property=MainPID 'flask-*@*'; readlink /opt/flask/hello/instances/*")
    arguments = variables(flask_apps=scenario_apps(source=str(tmp_path / "hello")))
    refused(
        playbook(*arguments),
        "of hello cannot be imported, so no instance was touched",
        "RuntimeError: not today",
        # The line of the application itself.
        'app.py", line 21, in <module>',
    )
    assert (
        web.check_output("systemctl show --property=MainPID 'flask-*@*'; readlink /opt/flask/hello/instances/*")
        == before
    )
    assert {answer["status"] for answer in ask(6, of=WEB)} == {200}
    # It is marked, so the next run does not try it again by itself.
    refused(playbook(*arguments), "was marked bad", "its application could not be imported", "-e flask_app_force=true")
    # The next good run succeeds, and has nothing to do.
    converge()
    assert (
        web.check_output("systemctl show --property=MainPID 'flask-*@*'; readlink /opt/flask/hello/instances/*")
        == before
    )


@pytest.mark.long
def test_release_that_starts_but_is_not_healthy_is_undone(web, tmp_path):
    shutil.copytree(PROJECT / "files" / "hello", tmp_path / "hello")
    source = (tmp_path / "hello" / "app.py").read_text()
    (tmp_path / "hello" / "app.py").write_text(source.replace('@app.get("/health")', '@app.get("/sickness")'))
    before = web.check_output("readlink /opt/flask/hello/instances/*")
    release = json.loads(ask([("GET", "/health", [])], of=WEB)[0]["body"])["release"]
    # Long enough for the old release to start again on an emulated machine.
    done = playbook(*variables(flask_apps=scenario_apps(source=str(tmp_path / "hello"), start_timeout=20)))
    refused(
        done,
        "flask-hello@1.service: deployment",
        "not healthy after ",
        "/health gives status 404",
        "Fix: a route /health in the app, or a path that it has, as `health: /`",
        "is back on",
        "and healthy",
    )
    assert web.check_output("readlink /opt/flask/hello/instances/*") == before

    def answering():
        answers = ask([("GET", "/health", [])] * 6, of=WEB)
        return {(found["instance"], found["release"]) for found in (json.loads(answer["body"]) for answer in answers)}

    everyone = {(f"{WEB}-{number}", release) for number in (1, 2, 3)}
    eventually(lambda: answering() == everyone, what="all three back on the old release")
    converge()
