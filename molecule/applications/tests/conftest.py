"""A browser for the applications."""

import urllib.parse
import urllib.request
from http.cookiejar import CookieJar, DefaultCookiePolicy

import pytest

from tests.journals import pytest_runtest_makereport  # noqa: F401
from tests.support import address_of, ask, host, hosts_of

WEB = hosts_of("app_servers")[0]


class Browser:
    """What somebody does by hand: cookies are kept and redirects followed."""

    def __init__(self, hostname=""):
        self.hostname = hostname or address_of(WEB)
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar(DefaultCookiePolicy())), Unjudged()
        )

    def open(self, path, **form):
        """Return (status, address, body, headers) of what a GET, or a POST of a form, comes to."""
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(f"http://{address_of(WEB)}{path}", data)
        request.add_header("Host", self.hostname)
        with self.opener.open(request, timeout=20) as answer:
            where = urllib.parse.urlsplit(answer.geturl())
            return answer.status, where.path, answer.read().decode(), answer.headers


class Unjudged(urllib.request.HTTPErrorProcessor):
    """Redirects are followed; other answers are answers."""

    def http_response(self, request, response):
        if response.status in (301, 302, 303):
            # The next one asks for the same host by the same name.
            follow = urllib.parse.urljoin(request.full_url, response.headers["Location"])
            again = urllib.request.Request(follow, headers={"Host": request.get_header("Host")})
            return self.parent.open(again, timeout=20)
        return response


@pytest.fixture(scope="session")
def web():
    """Return the connection to the host that runs the services."""
    return host(WEB)


@pytest.fixture
def browser():
    """Return a browser without cookies."""
    return Browser()


@pytest.fixture(scope="session")
def ask_as_client():
    """Return the function that asks for a path of a host name from the client host."""
    return lambda path, hostname, headers: ask([("GET", path, headers)], of=WEB, hostname=hostname)[0]
