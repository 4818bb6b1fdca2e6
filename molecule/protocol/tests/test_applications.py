"""Applications that others wrote, or in their shape: what broke with a server that keeps less. Each is asked on its port."""

import json
import re
import shlex
import uuid

import pytest

from tests.support import address_of, apps, host, hosts_of


@pytest.fixture(params=hosts_of("app_servers"))
def name(request):
    return request.param


def curl(name, app, path, *arguments, port=None):
    """Return (exit code, status, headers and body) of a request to an app; arguments go to the shell as they are."""
    port = port or next(entry["port"] for entry in apps() if entry["name"] == app)
    url = f"http://{address_of(name)}:{port}{path}"
    command = f"curl --silent --include --max-time 20 --header 'Host: {app}.test' {' '.join(arguments)} '{url}'"
    done = host(name).run(command)
    text = done.stdout_bytes.decode("latin-1").removeprefix("HTTP/1.1 100 Continue\r\n\r\n")
    return done.rc, int(text.split()[1]) if text else 0, text


def test_wsgidav(name):
    login, path = "--user me:secret", f"/{uuid.uuid4().hex}.txt"
    assert curl(name, "webdav", path)[1] == 401
    assert curl(name, "webdav", "/none.txt", login)[1] == 404
    assert curl(name, "webdav", path, login, "--request PUT", "--data-binary 'two lines\n'")[1] == 201
    code, status, text = curl(name, "webdav", path, login)
    assert (code, status) == (0, 200)
    assert text.endswith("two lines\n")
    lock = '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>'
    code, status, text = curl(name, "webdav", path, login, "--request LOCK", "--data", shlex.quote(lock))
    assert (code, status) == (0, 200)
    assert "opaquelocktoken:" in text
    assert curl(name, "webdav", path, login, "--request PUT", "--data other")[1] == 423
    token = re.search(r"\nlock-token: <?([^>\r]+)", text, re.IGNORECASE)[1]
    unlock = ["--request UNLOCK", "--header", shlex.quote(f"Lock-Token: <{token}>")]
    assert curl(name, "webdav", path, login, *unlock)[1] == 204
    code, status, text = curl(name, "webdav", "/", login, "--request PROPFIND", "--header 'Depth: 1'")
    assert (code, status) == (0, 207)
    assert path in text


def test_write_as_trac_does(name):
    code, status, text = curl(name, "trac", "/wiki")
    assert (code, status) == (0, 200)
    assert text.endswith("<h1>WikiStart</h1>")
    assert "trac_session=1" in text
    code, status, text = curl(name, "trac", "/timeline")
    assert (code, status) == (0, 200)
    assert text.partition("\r\n\r\n")[2] == "".join(f"event {number}\n" for number in range(1000))
    code, status, text = curl(name, "trac", "/broken")
    assert (code, status) == (0, 500)
    assert text.endswith("Trac detected an internal error")
    assert curl(name, "trac", "/wiki", "--head")[:2] == (0, 200)


@pytest.mark.parametrize("framing", ["", "--header 'Transfer-Encoding: chunked'"], ids=["length", "chunked"])
def test_upload_is_read_line_by_line(name, framing):
    code, status, text = curl(name, "reports", "/lines", framing, "--data-binary \"$(seq 20000)\" --header 'Expect:'")
    assert (code, status) == (0, 200)
    assert json.loads(text.partition("\r\n\r\n")[2]) == {"count": 20000, "first": ["1\n"], "last": ["20000"]}


def test_form_with_a_file(name):
    code, status, text = curl(name, "reports", "/upload", "--form name=é --form file=@/usr/bin/python3")
    assert (code, status) == (0, 200)
    size = int(host(name).check_output("stat --dereference --format=%s /usr/bin/python3"))
    assert json.loads(text.partition("\r\n\r\n")[2]) == {"name": "é", "size": size}


@pytest.mark.parametrize("port", [None, 80], ids=["instance", "HAProxy"])
def test_export_that_fails_half_way_is_seen_by_the_client(name, port):
    code, status, text = curl(name, "reports", "/export.csv", port=port)
    assert (code, status) == (0, 200)
    assert text.endswith("999,row\n")
    code, status, text = curl(name, "reports", "/export.csv?fails", port=port)
    assert status == 200
    assert "499,row\n" in text
    # 18: partial file.
    assert code == 18, text[-200:]


@pytest.mark.parametrize("letter", [r"\351", r"\303\251"], ids=["latin-1", "UTF-8"])
def test_cookie_beyond_ascii_does_not_log_out(name, letter):
    code, status, text = curl(name, "reports", "/cookies", f"--header \"$(printf 'Cookie: a={letter}; session=abc')\"")
    assert (code, status) == (0, 200)
    assert "('session', 'abc')" in text
    assert text.lower().count("\nset-cookie: ") == 2


def test_redirect_after_a_post(name):
    code, status, text = curl(name, "reports", "/login", "--data user=me")
    assert (code, status) == (0, 303)
    assert "\r\nlocation: /cookies\r\n" in text.lower()
