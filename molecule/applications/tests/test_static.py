"""Files of an app that are answered without it: caching, ranges, what is not to be seen, and two releases at a time."""

import http.client
import shutil
import socket
import threading
import time

import pytest

from tests.support import PROJECT, Meanwhile, address_of, converge, eventually, hosts_of, playbook, refused, variables
from tests.support import apps as scenario_apps

WEB = hosts_of("app_servers")[0]
STYLE = "/static/app.3f2a9c1b.css"
YEAR = "max-age=31536000, immutable"


def ask(path, method="GET", **headers):
    """Return (status, headers, body) of a request to the shop."""
    connection = http.client.HTTPConnection(address_of(WEB), 80, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Host": "shop.test"} | names)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def entry(**changes):
    """Return the variables of the scenario with another entry for the shop."""
    found = scenario_apps()
    return variables(app="shop", flask_apps=[app | changes if app["name"] == "shop" else app for app in found])


def release(folder, style, **files):
    """Return the folder of a release of the shop with another style, and files in place of others."""
    source = folder / style
    shutil.copytree(PROJECT / "molecule" / "applications" / "shop", source, symlinks=True)
    static = source / "shop" / "static"
    (static / "app.3f2a9c1b.css").rename(static / f"app.{style}.css")
    for name, text in files.items():
        (static / f"{name}.txt").write_text(text) if text else (static / f"{name}.txt").unlink()
    return str(source)


def test_headers_and_conditions():
    status, headers, body = ask(STYLE)
    assert (status, headers["Cache-Control"], headers["Content-Type"]) == (200, YEAR, "text/css; charset=utf-8")
    assert body == b"body { color: #3f2a9c }\n"
    status, headers, body = ask("/static/notes.txt")
    assert (status, headers["Cache-Control"], headers["Content-Length"]) == (200, "no-cache", str(len(body)))
    etag, since = headers["ETag"], headers["Last-Modified"]
    assert ask("/static/notes.txt", If_None_Match=etag)[::2] == (304, b"")
    assert ask("/static/notes.txt", If_Modified_Since=since)[::2] == (304, b"")
    assert ask("/static/notes.txt", If_None_Match='"another"')[::2] == (200, body)
    status, headers, nothing = ask("/static/notes.txt", "HEAD")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(body)), b"")
    for asked, part in (("0-0", b"o"), ("5-", b"to all\n"), ("-4", b"all\n")):
        status, headers, found = ask("/static/notes.txt", Range=f"bytes={asked}", If_Range=etag)
        assert (status, found, headers["Content-Length"]) == (206, part, str(len(part)))
    assert ask("/static/notes.txt", Range="bytes=100-")[0] == 416
    assert ask("/static/notes.txt", Range="bytes=5-", If_Range='"older"')[::2] == (200, body)
    assert ask("/static/notes.txt", "POST")[0] == 405


def test_compressed_sibling():
    _, headers, plain = ask("/static/site.js")
    assert (headers["Content-Type"], headers["Vary"]) == ("text/javascript; charset=utf-8", "Accept-Encoding")
    _, headers, body = ask("/static/site.js", Accept_Encoding="gzip, br")
    assert headers["Content-Encoding"] == "gzip"
    assert len(body) < len(plain) / 10


def test_nothing_else_is_to_be_seen(web):
    there = "/opt/flask/shop/instances/1/release/app/shop/static/"
    assert web.check_output(f"readlink {there}outside.txt").endswith("requirements.txt")
    assert web.check_output(f"cat {there}.secret") == "nobody is to see this"
    for path in (
        "/.secret", "/../__init__.py", "/%2e%2e/__init__.py", "/..%2f__init__.py", "/x/../../__init__.py", "//etc/passwd",
        "/outside.txt", "", "/none.css", "/notes.txt/", "/notes.txt%00", "/%ff",
    ):  # fmt: skip
        status, _, body = ask(f"/static{path}")
        # HAProxy refuses the NUL, and Flask has opinions on slashes.
        assert (path, status) in {(path, 404), ("/notes.txt%00", 400), ("//etc/passwd", 308)}
        assert b"import" not in body
        assert b"nobody" not in body
    # What is no file is the app's.
    assert ask("/static/none.css")[2] == b"the shop has no none.css"


def test_files_need_no_thread_of_the_app():
    """Each instance has one thread, and that is at work; a file of any size is handed over to who sends it."""
    busy = [threading.Thread(target=ask, args=["/slow/15.0"]) for _ in range(3)]
    for one in busy:
        one.start()
    # Until no instance has a thread left for the application, which then keeps everybody waiting.
    time.sleep(1.0)
    for _ in range(9):
        assert ask(STYLE)[0] == 200
    assert all(one.is_alive() for one in busy)
    for one in busy:
        one.join()


@pytest.fixture
def large(web):
    """Give every release a large file, and take it away again."""
    for made in web.check_output("ls -d /opt/flask/shop/releases/*/app/shop/static").splitlines():
        web.check_output(f"truncate --size=64M {made}/large.bin; chmod 0644 {made}/large.bin")
    yield
    web.check_output("rm -f /opt/flask/shop/releases/*/app/shop/static/large.bin")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("part", ["", "Range: bytes=1000-60000000\r\n"])
def test_slow_readers_hold_none_either(web, part):
    readers = [socket.create_connection((address_of(WEB), 80), timeout=20) for _ in range(12)]
    for one in readers:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(f"GET /static/large.bin HTTP/1.1\r\nHost: shop.test\r\n{part}\r\n".encode())
    assert all(one.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 206") for one in readers)
    for _ in range(9):
        assert ask("/")[0] == 200
    threads = web.check_output(
        "cat /proc/$(systemctl show --property=MainPID --value flask-shop@1)/status | grep Threads"
    )
    assert int(threads.split()[1]) < 6
    for one in readers:
        one.close()


class Pages(Meanwhile):
    """Somebody who loads pages and all that they name, and has older pages open as well."""

    def __init__(self):
        super().__init__()
        self.answers, self.styles, self.instances = [], {STYLE}, set()

    def once(self):
        page = ask("/")[2].decode()
        self.styles.add(page.split('"')[3])
        self.instances.add(page.rpartition(">")[2])
        for style in self.styles:
            status, headers, body = ask(style)
            self.answers.append((style, status, headers.get("Cache-Control"), len(body)))


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return the function that returns what notify_command was told since the last call."""
    log = tmp_path / "told"
    monkeypatch.setenv("NOTIFY_LOG", str(log))

    def since():
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        # A second call would tell the same names again.
        found = dict(line.removeprefix("NOTIFY_").split("=", 1) for line in lines if line.startswith("NOTIFY_"))
        assert sum(line.startswith("NOTIFY_APP=") for line in lines) == bool(found)
        return found

    return since


def live(web):
    """Return the deployment that the first instance is on."""
    return web.check_output("readlink /opt/flask/shop/instances/1").rpartition("/")[2]


def test_no_style_is_missing_in_rollouts_and_a_rollback_and_who_wants_to_know_is_told(web, tmp_path, told, monkeypatch):
    first, second = "0a1b2c3d", "9f8e7d6c"
    (tmp_path / "sources").mkdir()
    before = live(web)
    with Pages() as pages:
        converge(*entry(source=release(tmp_path / "sources", first)))
        one = told()
        assert (one["APP"], one["ACTION"], one["RESULT"], one["HOSTS"]) == ("shop", "deploy", "succeeded", WEB)
        assert (one["DEPLOYMENT_BEFORE"], one["DEPLOYMENT"]) == (before, live(web))
        assert one["RELEASE"] != one["RELEASE_BEFORE"]
        assert "@" in one["BY"]
        # A command that fails does not fail the run.
        monkeypatch.setenv("NOTIFY_LOG", "/dev/full")
        done = playbook(*entry(source=release(tmp_path / "sources", second, notes="", news="new")))
        assert done.returncode == 0, done.stdout
        assert "notify_command of shop: it ended with status 1" in " ".join((done.stdout + done.stderr).split())
        after = len(pages.answers)
        eventually(lambda: len(pages.answers) > after + 60, what="more pages")
    assert pages.instances == {f"{WEB}-{number}" for number in (1, 2, 3)}
    assert pages.styles == {STYLE, f"/static/app.{first}.css", f"/static/app.{second}.css"}
    assert [one for one in pages.answers if one[1:] != (200, YEAR, 24)] == []
    assert len(pages.answers) > 200
    # What has no hash is of the release that runs: what was taken out is gone.
    assert {ask("/static/notes.txt")[0] for _ in range(3)} == {404}
    assert {ask("/static/news.txt")[2] for _ in range(3)} == {b"new"}


def test_rollback_keeps_the_files_and_a_run_that_does_nothing_or_fails_is_told_of_as_that(web, tmp_path, told):
    before = live(web)
    done = playbook("--extra-vars", "app=shop", name="playbooks/rollback.yml")
    assert done.returncode == 0, done.stdout
    back = told()
    assert (back["ACTION"], back["RESULT"], back["DEPLOYMENT_BEFORE"]) == ("rollback", "succeeded", before)
    assert {ask("/static/app.9f8e7d6c.css")[0] for _ in range(3)} == {200}
    (tmp_path / "sources").mkdir()
    changes = entry(source=release(tmp_path / "sources", "7a7b7c7d"))
    assert playbook("--check", *changes).returncode == 0
    assert told() == {}
    (tmp_path / "sources" / "7a7b7c7d" / "shop" / "__init__.py").write_text(
        "def create_app():\n    raise OSError('no')\n"
    )
    refused(playbook(*changes), "cannot be imported")
    failed = told()
    assert (failed["APP"], failed["RESULT"]) == ("shop", "failed")
    assert f"{WEB}: Deployment" in failed["REASON"]


def test_folder_of_which_nothing_would_be_shipped(tmp_path):
    source = release(tmp_path, "0a1b2c3d")
    done = playbook(*entry(source=source, ignore=["static"]))
    refused(
        done, "static of shop has the folder shop/static, of which no file is shipped", "`ignore: ['!shop/static']`"
    )
