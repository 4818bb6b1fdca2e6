"""The client of the protocol checks sees what is there: answers that are whole, cut, or shifted."""

import re
import socket
import threading

import pytest

from tests import protocol
from tests.conftest import PROJECT


def served(data: bytes) -> protocol.Connection:
    """Return a connection on which some bytes come, and the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = protocol.Connection(*listening.getsockname())
        peer, _ = listening.accept()

    def serve() -> None:
        with peer:
            peer.sendall(data)

    threading.Thread(target=serve).start()
    return connection


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "closed"),
        (HEAD + b"Content-Length: 2\r\n\r\nok", "200 ok"),
        (HEAD + b"Content-Length: 3\r\n\r\nok", "200 ok, cut"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "200 ok, cut"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "200 ok, cut"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok", "200 ok, cut"),
        (HEAD + b"\r\nok", "200 ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", "200 ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
    ],
)
def test_answer(data, expected):
    with served(data) as connection:
        assert str(connection.answer()) == expected


def test_body_where_none_may_be_shifts_the_next_answer():
    answer = HEAD + b"Content-Length: 2\r\n\r\nok"
    with served(answer * 2) as connection:
        assert str(connection.answer(to_head=True)) == "200"
        with pytest.raises(ValueError, match="no status line: 'okHTTP"):
            connection.answer()


def test_check_that_fails_to_see_is_not_right():
    nobody = protocol.Server("127.0.0.1", 9)
    wrong = [name for name, check in protocol.CHECKS.items() if not check.unit and check.run(nobody)["ok"]]
    assert wrong == []


def test_table_in_the_docs_is_of_these_checks():
    rows = re.findall(r"^\| ([^|]*) \| (?!rule|---)", (PROJECT / "docs" / "servers.md").read_text(), re.MULTILINE)
    assert rows == [ascii(name)[1:-1].replace("|", "\\|") for name in protocol.CHECKS], "make docs/servers.md anew"
