"""Where an app is in the URL space, and what it is told of its client, without a line of its own."""

import json

import pytest

from tests.support import address_of, hosts_of

WEB, CLIENT = hosts_of("app_servers")[0], hosts_of("clients")[0]


@pytest.mark.parametrize(
    ("server", "hostname", "folder"), [("waitress", "jobs.test", ""), ("granian", "any.test", "/wiki")]
)
def test_client_scheme_host_and_links_are_right(ask_as_client, server, hostname, folder):
    forged = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/else")]
    seen = json.loads(ask_as_client(f"{folder}/seen", hostname, forged)["body"])
    assert seen == {
        "client": address_of(CLIENT), "scheme": "http", "host": hostname, "root": folder, "path": "/seen",
        "link": f"http://{hostname}{folder}/seen", "server": server,
    }  # fmt: skip


def test_folder_itself_and_what_only_begins_like_it(ask_as_client):
    # Below it there is nothing at its root; beside it is the first app.
    assert ask_as_client("/wiki", "any.test", [])["status"] == 404
    assert "<title>Posts</title>" in ask_as_client("/", "any.test", [])["body"]
    assert ask_as_client("/wikis", "any.test", [])["status"] == 404
