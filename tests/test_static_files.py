"""How the files of `static` are answered: `roles/flask_app/files/wsgi_static.py`, with the library that it is shipped with."""

import asyncio
import gzip
import importlib
import os
import sys

import pytest

from tests.conftest import FILES, install, load

LONG = b"body { color: red }\n" * 100


@pytest.fixture(scope="module")
def wsgi_static(tmp_path_factory):
    """Return the module, with whitenoise as releases have it."""
    target = tmp_path_factory.mktemp("whitenoise")
    install(target, "whitenoise.txt")
    sys.path += [str(FILES), str(target)]
    return importlib.import_module("wsgi_static")


@pytest.fixture
def release(tmp_path):
    """Return the folder of a release with a folder `public`, and that one."""
    folder = tmp_path / "releases" / "one" / "app" / "public"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"0123456789")
    (folder / "site.css").write_bytes(LONG)
    (folder / "site.css.gz").write_bytes(gzip.compress(LONG))
    return tmp_path / "releases" / "one", folder


@pytest.fixture
def ask(wsgi_static, release):
    """Give a function that asks for a file and returns (status, headers, body)."""

    def asked(path, method="GET", **headers):
        files = wsgi_static.Files({"/": "public"}, str(release[0]))
        answer = files.find(path).get_response(method, {f"HTTP_{name.upper()}": text for name, text in headers.items()})
        body = b""
        if answer.file is not None:
            body = answer.file.read(1 << 20)
            answer.file.close()
        return int(answer.status), dict(answer.headers), body

    return asked


def test_encoding_that_is_refused_is_not_sent(ask):
    for said, encoding in {
        "gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": None, "gzip; q=0.000, br": None, "*": None, "gzip;q=0, *": None,
        "": None, "gzip;q=0.001": "gzip",
    }.items():  # fmt: skip
        status, headers, body = ask("/site.css", accept_encoding=said)
        assert (status, headers.get("Content-Encoding")) == (200, encoding), said
        assert (gzip.decompress(body) if encoding else body) == LONG
        assert headers["Vary"] == "Accept-Encoding"


def test_each_encoding_has_an_etag_of_its_own(ask):
    plain, packed = (ask("/site.css", accept_encoding=said)[1]["ETag"] for said in ("", "gzip"))
    assert plain != packed
    assert plain == ask("/site.css", "HEAD")[1]["ETag"]
    status, headers, body = ask("/site.css", accept_encoding="gzip", if_none_match=packed)
    assert (status, headers["ETag"], headers["Vary"], body) == (304, packed, "Accept-Encoding", b"")
    assert ask("/site.css", accept_encoding="gzip", if_none_match=plain)[0] == 200
    # A part of one is no part of the other.
    assert ask("/site.css", accept_encoding="gzip", range="bytes=0-3", if_range=plain)[0] == 200
    assert ask("/site.css", accept_encoding="gzip", range="bytes=0-3", if_range=packed)[0] == 206


def test_etag_is_found_in_all_that_may_name_it(ask):
    _, headers, _ = ask("/a.txt")
    etag = headers["ETag"]
    for said in (etag, f"W/{etag}", f'"other", {etag}', f'W/"x,y" ,W/{etag}', "*", " * "):
        assert ask("/a.txt", if_none_match=said)[0] == 304, said
    for said in ('"other"', etag.strip('"'), ""):
        assert ask("/a.txt", if_none_match=said)[0] == 200, said
    since = headers["Last-Modified"]
    assert ask("/a.txt", if_modified_since=since)[0] == 304
    assert ask("/a.txt", if_modified_since=since, if_none_match='"other"')[0] == 200
    assert ask("/a.txt", "HEAD", if_none_match=etag)[0] == 304
    assert ask("/a.txt", "POST")[0] == 405


def test_parts(ask):
    everything = (200, b"0123456789")
    for said, expected in {
        "0-0": (206, b"0"), "5-": (206, b"56789"), "-4": (206, b"6789"), "-40": (206, b"0123456789"),
        "8-100": (206, b"89"), "10-": (416, b""), "-0": (416, b""), "5-2": everything, "--5": everything, "-": everything,
        "0-1,3-4": everything, "+1-2": everything, "1_0-": everything, "a-b": everything,
        f"0-{'9' * 5000}": everything, f"{'9' * 5000}-": everything,
    }.items():  # fmt: skip
        status, headers, body = ask("/a.txt", range=f"bytes={said}")
        assert (status, body) == expected, said
        if status != 416:
            assert int(headers["Content-Length"]) == len(body)
    assert ask("/a.txt", range="items=0-1")[0] == 200
    assert ask("/a.txt", "HEAD", range="bytes=0-1")[1]["Content-Length"] == "10"


def test_file_of_a_package_is_told_by_its_content(ask, release, wsgi_static):
    parts = load("plugin_utils/release_parts.py")
    assert parts.EARLIEST == wsgi_static.EARLIEST
    seen = []
    for text in (b"version 1", b"version 2"):
        # Each release has files of its own; a wheel's have all the same time.
        path = release[1] / f"{len(seen)}.js"
        path.write_bytes(text)
        os.utime(path, (parts.EARLIEST, parts.EARLIEST))
        seen.append(ask(f"/{path.name}")[1])
    assert seen[0]["ETag"] != seen[1]["ETag"]
    assert all("Last-Modified" not in headers for headers in seen)
    assert ask("/1.js", if_none_match=seen[1]["ETag"])[0] == 304
    assert ask("/1.js", if_modified_since="Sat, 01 Jan 2022 00:00:00 GMT")[0] == 200


def test_hidden_is_only_what_is_there(release, wsgi_static):
    (release[1] / ".secret").write_text("nobody is to see this")
    (release[1] / ".git").mkdir()
    (release[1] / ".git" / "config").write_text("nor this")
    (release[1] / ".well-known").mkdir()
    (release[1] / ".well-known" / "security.txt").write_text("this")
    files = wsgi_static.Files({"/": "public"}, str(release[0]))
    for path in ("/.secret", "/.git/config", "/.git", "/../public/a.txt", "/x/../a.txt", "/./a.txt"):
        assert int(files.find(path).get_response("GET", {}).status) == 404, path
    # The application's, which may have such pages.
    for path in ("/blob/main/.github/ci.yml", "/.env", "/.well-known/none", "/.git\0", "/." + "x" * 5000):
        assert files.find(path) is None, path
    assert int(files.find("/.well-known/security.txt").get_response("HEAD", {}).status) == 200


def test_what_lies_beside_a_file_is_looked_at_each_time(ask, release):
    """As in a folder of state_paths, whose files come and go."""
    packed = release[1] / "site.css.gz"
    assert ask("/site.css", accept_encoding="gzip")[1]["Content-Encoding"] == "gzip"
    packed.write_bytes(gzip.compress(LONG, 1) + gzip.compress(b"more"))
    assert int(ask("/site.css", accept_encoding="gzip")[1]["Content-Length"]) == packed.stat().st_size
    packed.unlink()
    status, headers, body = ask("/site.css", accept_encoding="gzip")
    assert (status, headers.get("Content-Encoding"), body) == (200, None, LONG)
    # What is none, and what leads out of the folder.
    (release[0] / "secret").write_bytes(b"s")
    packed.symlink_to(release[0] / "secret")
    assert ask("/site.css", accept_encoding="gzip")[2] == LONG
    packed.unlink()
    os.mkfifo(packed)
    assert ask("/site.css", accept_encoding="gzip")[2] == LONG


def test_what_may_not_be_read_is_the_applications(release, wsgi_static, monkeypatch):
    files = wsgi_static.Files({"/": "public"}, str(release[0]))

    def application(environ, start_response):
        del environ, start_response
        return [b"the application's"]

    def refuse(path, mode):
        raise PermissionError(path, mode)

    environ = {"PATH_INFO": "/a.txt", "REQUEST_METHOD": "GET"}
    monkeypatch.setattr("builtins.open", refuse)
    assert files.before_wsgi(application)(environ, print) == [b"the application's"]


@pytest.mark.parametrize("stays", [True, False])
def test_file_is_read_as_long_as_its_client_is_there(release, wsgi_static, stays):
    (release[1] / "large").write_bytes(bytes(100 * wsgi_static.BLOCK))
    sent, gone = [], asyncio.Event()

    async def receive():
        if sent:
            await gone.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)
        if len(sent) == 10 and not stays:
            gone.set()
        await asyncio.sleep(0)

    scope = {"type": "http", "path": "/large", "method": "GET", "headers": []}
    asyncio.run(wsgi_static.Files({"/": "public"}, str(release[0])).before_asgi(None)(scope, receive, send))
    assert sent[0]["status"] == 200
    if stays:
        assert sum(len(message.get("body", b"")) for message in sent) == 100 * wsgi_static.BLOCK
    else:
        assert len(sent) < 20


def test_page_of_the_application_is_not_looked_for_in_other_releases(release, wsgi_static, monkeypatch):
    """It is so for each request, where `static` has the prefix /."""
    (release[1] / "plain").write_bytes(b"p")
    files = wsgi_static.Files({"/": "public"}, str(release[0]))
    looked = []
    monkeypatch.setattr(wsgi_static, "is_listed", lambda root, name: looked.append((root, name)))
    assert [files.find(path) for path in ("/some/page", "/v1.2/page")] == [None, None]
    assert looked == []
    assert files.find("/plain")
    assert files.find("/page.html") is None
    assert looked
