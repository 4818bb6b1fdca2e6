"""The state of an app, saved while it is written to, and put back on a host that has lost it."""

import subprocess
import uuid

import pytest

from tests.support import Meanwhile, converge, eventually, playbook, refused

BLOG = "/var/lib/flask-flaskr/instance/flaskr.sqlite"


class Writing(Meanwhile):
    """Somebody who writes posts while something happens; `committed` is those that were answered."""

    def __init__(self, browser):
        super().__init__()
        self.browser, self.committed = browser, []

    def once(self):
        title = uuid.uuid4().hex
        if self.browser.open("/create", title=title)[0] == 200:
            self.committed.append(title)


@pytest.fixture
def author(browser):
    """Return the browser of somebody who is logged in."""
    name = f"author-{uuid.uuid4().hex}"
    browser.open("/auth/register", name=name, password="secret")
    assert f"You are {name}." in browser.open("/auth/login", name=name, password="secret")[2]
    return browser


def save(folder):
    """Save the state of the blog and return the archive."""
    there = set(folder.iterdir())
    done = playbook("--extra-vars", f"app=flaskr to={folder}", name="playbooks/backup.yml")
    assert done.returncode == 0, done.stdout
    assert "of which databases: instance/flaskr.sqlite" in done.stdout
    (archive,) = set(folder.iterdir()) - there
    subprocess.run(["gzip", "--test", str(archive)], check=True)
    assert archive.stat().st_mode & 0o777 == 0o600
    return archive


def test_every_committed_row_is_there_after_the_host_has_lost_its_state(web, author, tmp_path):
    with Writing(author) as writing:
        eventually(lambda: len(writing.committed) > 10, what="rows")
        before = list(writing.committed)
        archive = save(tmp_path)
        after = len(writing.committed)
    # It was under way all the time.
    assert len(before) < after <= len(writing.committed)
    web.check_output("systemctl stop 'flask-flaskr@*'; rm -r /var/lib/flask-flaskr")
    # The app is there again, without what it knew.
    converge("--extra-vars", "app=flaskr")
    assert before[0] not in author.open("/")[2]
    done = playbook("--extra-vars", f"app=flaskr archive={archive}", name="playbooks/restore.yml")
    assert done.returncode == 0, done.stdout
    body = eventually(lambda: (found := author.open("/"))[0] == 200 and found[2], what="the blog")
    assert [title for title in before if title not in body] == []
    # The session's user is one of them, so it goes on as if nothing had been.
    assert author.open("/create", title="afterwards")[0] == 200
    assert web.check_output(f"stat --format='%U %a' {BLOG} /var/lib/flask-flaskr").split() == [
        "flask-flaskr",
        "600",
        "flask-flaskr",
        "700",
    ]
    assert web.check_output("ls /var/tmp | grep -E '^(backup|restore)-' || true") == ""


def test_restore_of_what_is_no_archive_leaves_the_app_alone(web, browser, tmp_path):
    (tmp_path / "no.tar.gz").write_text("no")
    before = web.check_output("systemctl show --property=MainPID 'flask-flaskr@*'")
    refused(
        playbook("--extra-vars", f"app=flaskr archive={tmp_path}/no.tar.gz", name="playbooks/restore.yml"),
        "The state of flaskr was not restored: BadGzipFile: Not a gzipped file",
    )
    refused(
        playbook("--extra-vars", "app=flaskr archive=none", name="playbooks/restore.yml"),
        "archive is none",
        "a file of backup.yml",
    )
    assert web.check_output("systemctl show --property=MainPID 'flask-flaskr@*'") == before
    assert browser.open("/")[0] == 200
