"""A database that a release command makes, in the state of the app, and what comes of one that fails."""

import re
import shutil
import uuid

from tests.support import SCENARIO, Meanwhile, changed, converge, hosts_of, playbook, refused, variables
from tests.support import apps as scenario_apps

WEB = hosts_of("app_servers")[0]
LINKS = "readlink /opt/flask/flaskr/instances/*"


def release(folder, command="flask init-db", more=""):
    """Return the variables of another release of the blog."""
    source = folder / f"flaskr-{len(list(folder.iterdir()))}"
    shutil.copytree(SCENARIO / "flaskr", source)
    with (source / "flaskr" / "database.py").open("a") as file:
        file.write(more)
    # What lies in a folder of the state where it is developed is nobody else's.
    (source / "instance").mkdir()
    (source / "instance" / "flaskr.sqlite").write_text("of the developer")
    return variables(app="flaskr", flask_apps=scenario_apps(source=str(source), release_command=command))


def test_log_in_write_and_read(browser):
    name = f"ann-{uuid.uuid4().hex}"
    assert browser.open("/create", title="nobody's")[1] == "/auth/login"
    status, path, _, _ = browser.open("/auth/register", name=name, password="secret")
    assert (status, path) == (200, "/auth/login")
    assert browser.open("/auth/login", name=name, password="wrong")[0] == 401
    status, path, body, _ = browser.open("/auth/login", name=name, password="secret")
    assert (status, path) == (200, "/")
    assert f"You are {name}." in body
    status, path, body, _ = browser.open("/create", title="First")
    assert (status, path) == (200, "/")
    assert f"<li>First by {name}</li>" in body
    # A session holds on every instance.
    answers = [browser.open("/") for _ in range(4)]
    assert all(f"You are {name}." in body for _, _, body, _ in answers)
    assert {headers["X-Instance"] for *_, headers in answers} == {f"{WEB}-1", f"{WEB}-2"}


def test_unchanged_run_does_not_run_it_again(web):
    # Other tests have left other apps as they like.
    converge()
    before = web.check_output("cat /opt/flask/flaskr/released")
    assert before
    assert changed(converge()) == 0
    assert web.check_output("cat /opt/flask/flaskr/released") == before


class Asking(Meanwhile):
    """Somebody who reads the blog while something happens."""

    def __init__(self, browser):
        super().__init__()
        self.browser, self.seen = browser, []

    def once(self):
        self.seen.append(self.browser.open("/")[0])

    def __exit__(self, *problem):
        super().__exit__(*problem)
        assert len(self.seen) > 20
        assert set(self.seen) == {200}, self.seen


def test_one_that_fails_switches_nothing_and_is_tried_again(web, browser, tmp_path):
    before = web.check_output(LINKS)
    fails = release(tmp_path, "sh -c 'echo began in $PWD; echo column is missing >&2; exit 3'")
    with Asking(browser):
        for _ in range(2):
            output = refused(
                playbook(*fails),
                "The release command of flaskr ended with status 3: sh -c",
                "No instance was touched, and the next run tries it again",
                "column is missing",
                "began in /opt/flask/flaskr/releases/",
            )
            assert "was marked bad" not in output
    assert web.check_output(LINKS) == before
    told = playbook(name="playbooks/releases.yml").stdout
    assert re.search(r"flaskr: release command sh -c 'echo began .* failed, status 3$", told, re.MULTILINE), told
    assert re.search(r" \S+@\S+ +\w+: release command flask [a-z-]+ +done$", told, re.MULTILINE), told


def test_rollback_across_one_has_to_be_asked_for(web, browser, tmp_path):
    ran = len(web.check_output("cat /opt/flask/flaskr/released").splitlines())
    new = release(tmp_path, ["flask init-db", "python -c 'import flaskr, os; print(os.getcwd())'"])
    with Asking(browser):
        converge(*new)
        assert len(web.check_output("cat /opt/flask/flaskr/released").splitlines()) == ran + 1
        after = web.check_output(LINKS)
        refused(
            playbook("--extra-vars", "app=flaskr", name="playbooks/rollback.yml"),
            "A release command of flaskr ran at",
            "add `-e across_release_command=true`",
        )
        assert web.check_output(LINKS) == after
        done = playbook("--extra-vars", "app=flaskr across_release_command=true", name="playbooks/rollback.yml")
        assert done.returncode == 0, done.stdout
    assert web.check_output(LINKS) != after
    # What was written before all this is still there.
    assert "<li>First by ann-" in browser.open("/")[2]


def test_state_is_no_part_of_a_release(web):
    assert (
        web.check_output("readlink /opt/flask/flaskr/instances/1/release/app/instance")
        == "/var/lib/flask-flaskr/instance"
    )
    assert web.check_output("stat --format='%U %a' /var/lib/flask-flaskr/instance") == "flask-flaskr 700"
    assert web.check_output("head --bytes=15 /var/lib/flask-flaskr/instance/flaskr.sqlite") == "SQLite format 3"
