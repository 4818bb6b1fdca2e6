"""An instance as it is deployed, waitress and all, on a socket of its own, where that is hard on it."""

import gzip
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import FILES, install
from tests.support import eventually

APPLICATION = '''
import gzip, io, os, tempfile, threading, time

let_go = threading.Event()


class Slow(io.FileIO):
    """A disk of 10 MB a second."""

    def read(self, size=-1):
        time.sleep(size / 10e6)
        return super().read(size)


def app(environ, start_response):
    path, wrap = environ["PATH_INFO"], environ["wsgi.file_wrapper"]
    environ["wsgi.input"].read()
    if path == "/wait":
        open(os.environ["LARGE"] + ".waits", "w").close()
        let_go.wait(20)
    if path == "/let_go":
        let_go.set()
    if path == "/large_head":
        start_response("200 OK", [(f"X-{number}", "x" * 200) for number in range(int(environ["QUERY_STRING"]))])
        return [b"h"]
    if path == "/second":
        time.sleep(4)
    if path == "/fail":
        raise ValueError("it fails")
    if path == "/bare_head":
        start_response("200 OK", [])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else b"body"]
    if path == "/iterator":
        start_response("200 OK", iter([("Content-Type", "text/csv"), ("X-One", "1")]))
        return [b"a"]
    if path == "/compute":
        end = time.monotonic() + 0.015
        while time.monotonic() < end:
            pass
    start_response("200 OK", [("Content-Length", "1000")] if path == "/part" else [])
    if path == "/part":
        return wrap(io.BytesIO(bytes(100_000)), 8192)
    if path == "/unpacked":
        return wrap(gzip.open(os.environ["LARGE"] + ".gz"))
    if path == "/temporary":
        made = tempfile.NamedTemporaryFile()
        made.write(b"made")
        made.seek(1)
        return wrap(made)
    if path in ("/file", "/slow"):
        return wrap((Slow if path == "/slow" else open)(os.environ["LARGE"], "rb"), 8192)
    return [str(os.getpid()).encode()]
'''
START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
import wsgi_serve
wsgi_serve.main("hard:app")
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return where the server is, and the application."""
    folder = tmp_path_factory.mktemp("waitress")
    install(folder, "waitress.txt")
    (folder / "hard.py").write_text(APPLICATION)
    return os.pathsep.join(map(str, [folder, FILES]))


class Instance:
    """One process; the socket stays for the next one, as systemd's does."""

    def __init__(self, places, large, **settings):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.large, self.places, self.settings = large, places, settings
        self.start()

    def start(self):
        settings = {
            "SERVER": "waitress",
            "THREADS": "2",
            "MAX_BODY": "0",
            "HEALTH": "/%68ealth",
            "HEALTH_STATUS": "200-299",
            "SCRIPT_NAME": "",
            "STATIC": "",
        }
        environment = {
            f"APP_{name}": value for name, value in (settings | {"STOP_TIMEOUT": "20"} | self.settings).items()
        }
        environment |= {"LISTEN_FDS": "1", "PYTHONPATH": self.places, "LARGE": str(self.large)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(self.socket.fileno())],
            pass_fds=[self.socket.fileno()], env=os.environ | environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert b" 200 " in self.ask("/")

    def connect(self):
        return socket.create_connection(self.socket.getsockname(), timeout=20)

    def ask(self, path, method="GET", headers="", body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n"
        with self.connect() as connection:
            connection.sendall(head.encode() + body)
            return b"".join(iter(lambda: connection.recv(1 << 20), b""))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def instance(places, tmp_path, request):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(50_000_000)
    made = Instance(places, large, **getattr(request, "param", {}))
    yield made
    made.process.kill()
    made.process.communicate()
    made.socket.close()


def test_answer_of_the_server_itself_to_head_has_no_body(instance):
    head, _, body = instance.ask("/fail", "HEAD").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500")
    assert b"\r\nContent-Length: 108\r\n" in head
    assert body == b""
    assert len(instance.ask("/fail").partition(b"\r\n\r\n")[2]) == 108


def test_head_of_an_application_that_leaves_the_body_out_says_no_length(instance):
    assert b"\r\nContent-Length: 4\r\n" in instance.ask("/bare_head")
    answer = instance.ask("/bare_head", "HEAD")
    assert b"Content-Length" not in answer
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 1\r\n" in instance.ask("/iterator", "HEAD")


def test_head_that_a_balancer_does_not_pass_on_is_said(instance):
    assert all(instance.ask(f"/large_head?{count}").endswith(b"h") for count in (60, 90))
    said = [line for line in instance.end().splitlines() if "the balancer may say 502" in line]
    assert len(said) == 1
    assert "the answer to /large_head?90 has a head of 18" in said[0]


def test_headers_may_be_an_iterator(instance):
    answer = instance.ask("/iterator")
    assert b"\r\nContent-Type: text/csv\r\n" in answer
    assert b"\r\nX-One: 1\r\n" in answer


@pytest.mark.parametrize("instance", [{"MAX_BODY": "100"}], indirect=True)
@pytest.mark.parametrize("size", [1, 10, 100])
def test_limit_of_a_body_is_of_what_it_says_not_of_its_chunks(instance, size):
    def asked(count):
        chunks = (b"%x\r\n%b\r\n" % (size, bytes(size))) * (count // size) + b"0\r\n\r\n"
        return instance.ask("/", "POST", "Transfer-Encoding: chunked\r\n", chunks)

    assert asked(100).startswith(b"HTTP/1.1 200")
    for answer in (asked(100 + size), instance.ask("/", "POST", "Content-Length: 101\r\n", bytes(101))):
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"\r\n\r\nThe body of the request has more than 100 bytes." in answer


def test_endless_trailer_is_refused(instance):
    lines = b"X-Trailer: 1\r\n" * 10_000
    answer = instance.ask("/", "POST", "Transfer-Encoding: chunked\r\n", b"0\r\n" + lines)
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "what", ["GET http://[x/ HTTP/1.1\r\n", f"POST / HTTP/1.1\r\nContent-Length: {'1' * 5000}\r\n"]
)
def test_what_python_cannot_read_is_answered_too(instance, what):
    with instance.connect() as connection:
        connection.sendall(f"{what}Host: test\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert "Traceback" not in instance.end()


def processor_time(process):
    """Return the seconds of processors that a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_check_is_answered_while_all_threads_are_at_work(instance):
    """However its path is written."""
    waiting = [threading.Thread(target=instance.ask, args=["/wait"]) for _ in range(6)]
    for one in waiting:
        one.start()
    time.sleep(0.5)
    assert instance.ask("/health").startswith(b"HTTP/1.1 200")
    assert all(one.is_alive() for one in waiting)
    # The application has no thread left for what would let them go.
    instance.process.kill()
    for one in waiting:
        one.join(20)


@pytest.mark.parametrize("instance", [{"THREADS": "1", "HEALTH": "/"}], indirect=True)
def test_visitor_of_the_path_of_the_check_is_answered_by_the_application(instance):
    """It may be the first page of the site."""
    with instance.connect() as busy:
        busy.sendall(b"GET /second HTTP/1.1\r\nHost: test\r\n\r\n")
        time.sleep(0.2)
        checked = threading.Thread(target=lambda: found.append(instance.ask("/")))
        found: list[bytes] = []
        checked.start()
        pid = b"\r\n\r\n%d" % instance.process.pid
        assert instance.ask("/", headers="X-Forwarded-For: 192.0.2.1\r\n").endswith(pid)
        checked.join()
    assert b"\r\n\r\nOK\r\n\r\nThe application is at work." in found[0]


@pytest.mark.parametrize("instance", [{"THREADS": "1", "HEALTH_STATUS": "204,302"}], indirect=True)
def test_check_of_an_application_of_one_thread_gets_the_status_that_it_expects(instance):
    with instance.connect() as waiting:
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(Path(f"{instance.large}.waits").exists, what="the application at work")
        assert instance.ask("/health").startswith(b"HTTP/1.1 204 ")


def test_file_that_shrinks_ends_its_answer(instance):
    with instance.connect() as connection:
        connection.sendall(b"GET /file HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        os.truncate(instance.large, 1000)
        got = 0
        while more := len(connection.recv(1 << 20)):
            got += more
    assert got < 50_000_000


def test_others_are_answered_beside_one_who_takes_a_file_as_fast_as_it_is_read(instance):
    first, got = threading.Event(), []

    def take():
        with instance.connect() as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            # Until the thread that answers has left the rest to who leads.
            time.sleep(1)
            while more := len(connection.recv(1 << 20)):
                got.append(more)
                if sum(got) > 10_000_000:
                    first.set()

    taking = threading.Thread(target=take)
    taking.start()
    assert first.wait(20)
    answers = [instance.ask(path) for path in ("/health", "/")]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    # They have not waited for its end, two seconds later.
    assert taking.is_alive()
    taking.join(120)
    assert sum(got) > 50_000_000


def test_instance_that_may_open_no_more_files_does_not_spin(instance):
    resource.prlimit(instance.process.pid, resource.RLIMIT_NOFILE, (40, 40))
    connections = [instance.connect() for _ in range(60)]
    time.sleep(2.5)
    for connection in connections:
        connection.close()
    assert b" 200 " in instance.ask("/")
    # One traceback for each second in which it has tried.
    assert 0 < instance.end().count("Too many open files") < 10


def test_file_that_is_unpacked_is_unpacked_once(instance):
    with gzip.open(f"{instance.large}.gz", "wb", 1) as file:
        file.write(os.urandom(1 << 20) * 30)
    began = processor_time(instance.process.pid)
    assert len(instance.ask("/unpacked")) > 30 << 20
    assert processor_time(instance.process.pid) - began < 1.5
    assert instance.ask("/temporary").endswith(b"\r\n\r\nade")


def test_part_of_what_is_no_file_is_what_was_announced(instance):
    assert len(instance.ask("/part").partition(b"\r\n\r\n")[2]) == 1000
    assert "more than" not in instance.end()


def test_request_on_a_kept_connection_is_read_before_that_is_closed(instance):
    """At a stop. Who sends a POST on a connection that is closed then cannot know whether it was done."""
    for _ in range(8):
        with instance.connect() as kept, instance.connect() as other:
            kept.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert kept.recv(1000).startswith(b"HTTP/1.1 200")
            # Who leads does not read meanwhile.
            other.sendall(b"GET /compute HTTP/1.1\r\nHost: test\r\n\r\n")
            time.sleep(0.005)
            kept.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody")
            instance.process.send_signal(signal.SIGTERM)
            assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        instance.process.communicate(timeout=30)
        instance.start()


def test_stop_waits_for_a_slow_request_and_answers_others(instance):
    slow = threading.Thread(target=instance.ask, args=["/wait"])
    slow.start()
    eventually(Path(f"{instance.large}.waits").exists, what="the application at work")
    old = str(instance.process.pid).encode()
    instance.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert [instance.ask("/").endswith(old) for _ in range(5)] == [True] * 5
    assert slow.is_alive()
    instance.ask("/let_go")
    instance.process.communicate(timeout=30)
    assert instance.process.returncode == 0
    slow.join(20)
