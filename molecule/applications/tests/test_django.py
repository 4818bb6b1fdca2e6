"""A project of Django: its database migrated, its static files collected, its admin in use."""

import re

import pytest

from tests.support import playbook, variables


@pytest.fixture
def admin(browser):
    """Return a browser at the project, which has an administrator."""
    command = "python manage.py createsuperuser --no-input --username admin --email admin@polls.test"
    done = playbook(*variables(app="polls", command=command), name="playbooks/run.yml")
    assert "Superuser created successfully." in done.stdout, done.stdout
    browser.hostname = "polls.test"
    return browser


def test_administrator_logs_in(admin):
    status, path, body, _ = admin.open("/admin/")
    assert (status, path) == (200, "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', body)[1]
    form = {"username": "admin", "password": "of-the-test-alone", "csrfmiddlewaretoken": token, "next": "/admin/"}
    status, path, body, _ = admin.open("/admin/login/", **form)
    assert (status, path) == (200, "/admin/")
    assert "Log out" in body
    style = re.search(r'href="(/static/admin/css/base\.[0-9a-f]+\.css)"', body)[1]
    status, _, body, headers = admin.open(style)
    assert status == 200
    assert "max-age=315360000" in headers["Cache-Control"]
