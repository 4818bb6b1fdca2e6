"""What an application in a folder of the URL space sees, and what it is told of its client."""

import sys

import pytest

from tests.conftest import PROJECT

sys.path.insert(0, str(PROJECT / "roles" / "flask_app" / "files"))
import wsgi_rules


@pytest.mark.parametrize(
    ("folder", "path", "seen"),
    [
        ("", "/wiki/page", ("", "/wiki/page")),
        ("/wiki", "/wiki/page", ("/wiki", "/page")),
        ("/wiki", "/wiki/", ("/wiki", "/")),
        ("/wiki", "/wiki", ("/wiki", "")),
        # The health check, which is asked for without the balancer's routes.
        ("/wiki", "/health", ("/wiki", "/health")),
        ("/wiki", "/wikis", ("/wiki", "/wikis")),
        ("/w%C3%AFki", "/w\xc3\xafki/x", ("/w\xc3\xafki", "/x")),
    ],
)
def test_mounted(folder, path, seen):
    def application(environ, start_response):
        del start_response
        return [environ["SCRIPT_NAME"], environ["PATH_INFO"]]

    environ = {"SCRIPT_NAME": "", "PATH_INFO": path}
    assert tuple(wsgi_rules.mounted(application, folder)(environ, None)) == seen


@pytest.mark.parametrize("name", ["X Y", "X:", "", "X\tY", "X-\xe9", "X\nY"])
def test_name_that_is_none(name):
    with pytest.raises(ValueError, match=r"no name of a header|control character"):
        wsgi_rules.length_of("200 OK", [("Content-Length", "1"), (name, "x")])


@pytest.mark.parametrize("status", ["2000 OK", "200OK", "20", "103 Early Hints", "", "OK", " 200 OK"])
def test_status_that_is_none(status):
    with pytest.raises(ValueError, match="no final status, like 200 OK"):
        wsgi_rules.length_of(status, [])


def test_length():
    headers = [("X_Under-score", ""), ("Set-Cookie", "a=\xe9; b"), ("content-length", "12")]
    assert [wsgi_rules.length_of(status, headers) for status in ("200", "299 ", "404 Not here")] == [12] * 3
    assert wsgi_rules.length_of("204 No Content", []) is None


def test_believed():
    environ = {"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "a"}
    wsgi_rules.believe(environ)
    assert environ == {"REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "a"}
    told = {"FOR": "6.6.6.6, 192.0.2.7", "PROTO": "https", "HOST": "www.test"}
    environ |= {f"HTTP_X_FORWARDED_{name}": value for name, value in told.items()}
    wsgi_rules.believe(environ)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == (
        "192.0.2.7",
        "https",
        "www.test",
    )
