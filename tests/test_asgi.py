"""Bodies of requests to ASGI applications: `roles/flask_app/files/asgi_limits.py`, and by uvicorn as it is deployed."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import FILES, PROJECT, install

sys.path.append(str(FILES))

import asgi_limits


async def reader(scope, receive, send):
    """Answer with the number of bytes, or nothing at all where the client has gone."""
    del scope
    got, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        got, more = got + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(got).encode()})


async def stubborn(scope, receive, send):
    """Answer 400 where the body cannot be read, as FastAPI does, and fail."""
    del scope
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": b"bad"})
    raise RuntimeError("gone")


async def early(scope, receive, send):
    """Begin the answer before the body is read."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.body", "body": b"end"})
    del scope


def answer(application, blocks, most, kind="http"):
    """Return the messages that a request with these blocks of a body is answered with."""
    left, sent = list(blocks), []

    async def receive():
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(asgi_limits.limited(application, most)({"type": kind}, receive, send))
    return [message.get("status", message.get("body")) for message in sent]


def test_body_is_counted():
    assert answer(reader, [b"x" * 10] * 10, 100) == [200, b"100"]
    assert answer(reader, [b"x" * 10] * 10, 99) == [413, b""]
    assert answer(reader, [b"x" * 10] * 10, 0) == [200, b"100"]


def test_answer_is_ours_whatever_the_application_does():
    assert answer(stubborn, [b"x" * 10] * 10, 15) == [413, b""]
    # Not once it has begun; it has no more of the body then.
    assert answer(early, [b"x" * 10] * 10, 15) == [200, b"end"]


def test_failure_of_the_application_stays_one():
    async def failing(*_):
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        answer(failing, [], 15)


async def telling(scope, receive, send):
    """Answer with who asks for what."""
    del receive
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    seen = " ".join([scope["client"][0], scope["scheme"], *hosts])
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(seen)).encode())]}
    )
    await send({"type": "http.response.body", "body": seen.encode()})


@pytest.fixture(scope="module")
def uvicorn(tmp_path_factory):
    """Return where uvicorn is, as it is deployed."""
    target = tmp_path_factory.mktemp("uvicorn")
    install(target, "uvicorn.txt")
    return target


@contextlib.contextmanager
def served(uvicorn, application):
    """Serve an application of this file, and give its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    places = os.pathsep.join(map(str, [uvicorn, FILES, PROJECT, *sys.path]))
    start = "import socket, sys, asgi_uvicorn\nfrom tests import test_asgi\n" + (
        f"asgi_uvicorn.serve(test_asgi.{application.__name__}, socket.socket(fileno=int(sys.argv[1])), '')\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", start, str(listening.fileno())], pass_fds=[listening.fileno()],
        env=os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1", "APP_MAX_BODY": "1024"},
    )  # fmt: skip
    try:
        yield listening.getsockname()
    finally:
        server.terminate()
        server.wait(120)


def test_chunked_upload_by_uvicorn(uvicorn):
    found = []
    with served(uvicorn, reader) as address:
        for blocks in (2, 10, 1000):
            with socket.create_connection(address, timeout=20) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                client.sendall((b"200\r\n" + b"x" * 512 + b"\r\n") * blocks + b"0\r\n\r\n")
                found.append(client.recv(12))
    assert found == [b"HTTP/1.1 200", b"HTTP/1.1 413", b"HTTP/1.1 413"]


def test_application_is_told_of_its_client_and_of_the_host_that_was_asked_for(uvicorn):
    said = {
        "": "127.0.0.1 http inner",
        "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Host: inner\r\nX-Forwarded-Proto: https\r\n": "192.0.2.7 https inner",
        # A proxy in front that asks by a name of its own.
        "X-Forwarded-Host: a.test, www.test:8443\r\n": "127.0.0.1 http www.test:8443",
    }
    found = {}
    with served(uvicorn, telling) as address:
        for headers in said:
            with socket.create_connection(address, timeout=20) as client:
                client.sendall(f"GET / HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n{headers}\r\n".encode())
                answer = b"".join(iter(lambda: client.recv(1000), b""))
            found[headers] = answer.decode().partition("\r\n\r\n")[2]
    assert found == said
