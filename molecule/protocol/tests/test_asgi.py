"""An ASGI application through HAProxy: requests, WebSockets, who the client is, and an end that loses nothing."""

import base64
import json
import os
import socket
import subprocess

import pytest
from test_applications import curl

from tests.support import address_of, command_on, eventually, host, hosts_of


@pytest.fixture(params=hosts_of("app_servers"))
def name(request):
    return request.param


class WebSocket:
    """The client's side of a WebSocket (RFC 6455), for short texts."""

    def __init__(self, address, hostname, path):
        self.connection = socket.create_connection((address, 80), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.file = self.connection.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() != b"\r\n":
            pass

    def say(self, text):
        mask = os.urandom(4)
        masked = bytes(letter ^ mask[at % 4] for at, letter in enumerate(text.encode()))
        self.connection.sendall(bytes([0x81, 0x80 | len(masked)]) + mask + masked)

    def hear(self):
        """Return (opcode, payload) of the next frame."""
        first, length = self.file.read(2)
        return first & 0x0F, self.file.read(length)

    def ends(self):
        """Wait for the end of the connection, and say whether it came; a server may wait for an answer to its close."""
        self.connection.settimeout(90)
        try:
            while self.file.read(1):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


def test_app_sees_the_client_as_it_is(name):
    code, status, text = curl(
        name, "talk", "/", "--header 'X-Forwarded-For: 192.0.2.66'", "--header 'X-Forwarded-Proto: https'", port=80
    )
    assert (code, status) == (0, 200)
    found = json.loads(text.partition("\r\n\r\n")[2])
    # From the host itself, at its own address; what the client says of itself is replaced.
    assert found == {"address": address_of(name), "scheme": "http", "host": "talk.test", "url": "http://talk.test/"}


def test_links_are_right_in_a_folder_of_the_url_space(name):
    for app, folder in (("talk", ""), ("room", "/room")):
        code, status, text = curl(name, app, f"{folder}/link", port=80)
        assert (code, status) == (0, 200)
        found = json.loads(text.partition("\r\n\r\n")[2])
        assert found == {"root": folder, "path": "/link", "link": f"http://{app}.test{folder}/link"}
    echo = WebSocket(address_of(name), "room.test", "/room/echo")
    assert echo.status == 101
    echo.say("one")
    assert echo.hear()[1].endswith(b"ws one")


def test_files_are_answered_without_the_app(name):
    path = "/room/files/app.3f2a9c1b.css"
    code, status, text = curl(name, "room", path, port=80)
    head, _, body = text.partition("\r\n\r\n")
    assert (code, status, body) == (0, 200, "body { color: #3f2a9c }\n")
    assert "cache-control: max-age=31536000, immutable" in head.lower()
    etag = next(line.split()[1] for line in head.splitlines() if line.lower().startswith("etag:"))
    assert curl(name, "room", path, f"--header 'If-None-Match: {etag}'", port=80)[1] == 304
    code, status, text = curl(name, "room", path, "--header 'Range: bytes=0-3'", port=80)
    assert (code, status, text[-8:]) == (0, 206, "\r\n\r\nbody")
    code, status, text = curl(name, "room", path, "--head", port=80)
    assert (code, status, text.partition("\r\n\r\n")[2]) == (0, 200, "")
    for hidden in ("/room/files/..%2ftalk.py", "/room/files/.x", "/room/files/none.css"):
        assert curl(name, "room", hidden, "--path-as-is", port=80)[1] == 404


def test_body_over_the_limit_is_refused(name):
    upload = "head --bytes={} /dev/zero | curl --silent --data-binary @- --header 'Host: talk.test' {}http://127.0.0.1/upload"
    assert json.loads(host(name).check_output(upload.format(2**20, ""))) == {"bytes": 2**20}
    # HAProxy answers for an ASGI server and closes: a client that still sends may meet a reset before it has read why
    # (55 and 56 of curl). It is refused each time, and told mostly.
    found = [
        host(name).run(upload.format(2**20 + 1, "--output /dev/null --write-out '%{http_code}' ")) for _ in range(8)
    ]
    assert {(done.rc, done.stdout) for done in found if done.rc not in (55, 56)} == {(0, "413")}
    assert "200" not in {done.stdout for done in found}


def test_websocket_lives_until_its_instance_ends(name):
    talk = WebSocket(address_of(name), "talk.test", "/echo")
    assert talk.status == 101
    for text in ("one", "two"):
        talk.say(text)
        opcode, payload = talk.hear()
        address, scheme, said = payload.decode().split()
        assert (opcode, scheme, said) == (1, "ws", text)
        assert address != address_of(name)
    # A request that is under way is answered, the WebSocket ends, and the next one is served.
    sleep = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header", "Host: talk.test"]
    slow = subprocess.Popen(command_on(name, *sleep, "http://127.0.0.1/sleep/3.0"), stdout=subprocess.PIPE, text=True)
    scur = "curl --silent 'http://127.0.0.1:8404/;csv' | awk -F, '$1 == \"talk\" && $2 == \"BACKEND\" {print $5}'"
    eventually(lambda: host(name).check_output(scur) == "2", what="both under way")
    host(name).check_output("systemctl restart flask-talk@1.service")
    assert slow.communicate(timeout=30)[0] == "204"
    assert talk.ends()
    assert WebSocket(address_of(name), "talk.test", "/echo").status == 101
