"""Which files a configuration of HAProxy refers to, and whether they are still as they were loaded."""

import pytest

from tests.conftest import load

referred = load("module_utils/haproxy_referred.py")


@pytest.fixture
def files(tmp_path):
    """Make some files, and return the folder."""
    for name in (
        "site.pem",
        "site.pem.ocsp",
        "ca.pem",
        "503.http",
        "hosts.map",
        "deny.lst",
        "certs/a.pem",
        "certs/b.pem",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "crt.list").write_text(f"# one a line\n\n{tmp_path}/certs/a.pem [alpn h2] www.example.org\nsite.pem\n")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("bind *:443 ssl crt {}/site.pem", ["site.pem", "site.pem.ocsp"]),
        ("bind *:443 ssl crt '{}/certs/' alpn h2", ["certs/a.pem", "certs/b.pem"]),
        ("bind *:443 ssl crt-list {}/crt.list", ["certs/a.pem", "crt.list", "site.pem", "site.pem.ocsp"]),
        ("server a 192.0.2.1:443 ssl verify required ca-file {}/ca.pem", ["ca.pem"]),
        ("errorfile 503 {}/503.http", ["503.http"]),
        ("http-request deny if {{ src -f {}/deny.lst }}", ["deny.lst"]),
        ("use_backend %[req.hdr(host),lower,map({}/hosts.map,hello)]", ["hosts.map"]),
        ("crt-base {}\nbind *:443 ssl crt site.pem", ["site.pem", "site.pem.ocsp"]),
        ("ca-base {}\nserver a 192.0.2.1:443 ca-file ca.pem", ["ca.pem"]),
        # Neither a folder that nobody reads, nor what is not there, nor a comment.
        ("chroot {}\nacl a path_beg /nowhere # {}/ca.pem", []),
        ("description it's {}/ca.pem", ["ca.pem"]),
    ],
)
def test_files_of_a_line(files, line, names):
    found = referred.digests(line.replace("{}", str(files)).replace("{{", "{").replace("}}", "}"))
    assert sorted(found) == sorted(f"{files}/{name}" for name in names)


def test_what_was_changed_since_it_was_loaded(files):
    line = f"bind *:443 ssl crt {files}/site.pem"
    before = referred.digests(line)
    assert referred.changed_since(referred.digests(line), before, 0.0) == []
    (files / "site.pem").write_text("renewed")
    now = referred.digests(line)
    assert referred.changed_since(now, before, 0.0) == [f"{files}/site.pem"]
    # Somebody else has reloaded it since.
    assert referred.changed_since(now, before, (files / "site.pem").stat().st_ctime + 5) == []
