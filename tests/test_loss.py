"""The loss client tells the truth: it reports a loss, a double and a gap where there are some, and none where not."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import loss
from tests.conftest import PROJECT
from tests.support import eventually


class Faulty(BaseHTTPRequestHandler):
    """Answers, writes ids down, and does wrong what `faults` says."""

    protocol_version = "HTTP/1.1"

    def answer(self, status=204):
        self.server.answered += 1
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("X-Instance", "one")
        self.end_headers()

    def do_GET(self):
        if "pause" in self.server.faults and time.monotonic() - self.server.began < 1.0:
            time.sleep(1.0)
        if "503" in self.server.faults and self.server.once("503"):
            return self.answer(503)
        if "cut" in self.server.faults and self.server.once("cut"):
            self.close_connection = True
            return None
        return self.answer()

    def do_POST(self):
        identifier = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "lose" in self.server.faults and self.server.once("lose"):
            times = 0
        elif "double" in self.server.faults and self.server.once("double"):
            times = 2
        else:
            times = 1
        self.server.received += [identifier] * times
        self.answer()

    def log_message(self, *_):
        """Be silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *faults):
        super().__init__(("127.0.0.1", 0), Faulty)
        self.faults, self.received, self.done, self.began = faults, [], set(), time.monotonic()
        self.answered, self.lock = 0, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def once(self, fault):
        with self.lock:
            first = fault not in self.done
            self.done.add(fault)
            return first


def report(*faults, seconds=1.5):
    server = Server(*faults)
    plan = loss.Plan("127.0.0.1", server.server_port, seconds=seconds, rate=100, connections=8, slow_share=0)
    sent, started = loss.send(plan)
    server.shutdown()
    return loss.Report.of(sent, plan.seconds, started, server.received)


def test_nothing_is_reported_where_nothing_is_wrong():
    found = report()
    assert found.sent > 20
    assert (found.failed, found.lost, found.doubled) == (0, 0, 0)
    assert found.answered == found.sent
    assert found.servers == {"one": found.sent}
    assert sum(answered for _, answered, _ in found.timeline) == found.sent


@pytest.mark.parametrize(("fault", "cause"), [("503", "status 503"), ("cut", "RemoteDisconnected")])
def test_failed_request_is_reported(fault, cause):
    found = report(fault)
    assert found.failed == 1
    assert found.causes == {cause: 1}
    assert found.failed_by_method == {"GET": 1}
    assert sum(failed for _, _, failed in found.timeline) == 1


def test_lost_and_doubled_posts_are_reported():
    found = report("lose", "double")
    assert (found.failed, found.lost, found.doubled) == (0, 1, 1)


def test_gap_is_reported():
    requests = [loss.Sent(at, at + 0.01, "GET", kept=False, slow=False) for at in (0.1, 0.2, 1.7, 1.8)]
    assert loss.Report.of(requests, 2.0).longest_gap == 1.5


def test_refused_connection_is_reported():
    server = Server()
    server.shutdown()
    server.server_close()
    sent, _ = loss.send(loss.Plan("127.0.0.1", server.server_port, seconds=0.3, rate=50, connections=4))
    assert sent
    assert {request.cause for request in sent} == {"ConnectionRefusedError"}


def test_interrupted_client_reports_what_it_has():
    server = Server()
    command = [
        sys.executable,
        PROJECT / "tests" / "loss.py",
        "--address=127.0.0.1",
        f"--port={server.server_port}",
        "--seconds=60",
        # One in ten seconds on each of its connections, and none is waited for.
        "--rate=20",
        "--connections=200",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    eventually(lambda: server.answered > 10, what="answers")
    process.send_signal(2)
    found = json.loads(process.communicate(timeout=20)[0])
    assert found["answered"] == len(found["requests"]) > 5
    assert max(request["at"] for request in found["requests"]) < found["seconds"] + 5 < 40


@pytest.mark.parametrize("idle", [0.1, 60.0])
def test_connection_that_was_idle_is_not_used_again(monkeypatch, idle):
    """A server closes what is idle for long; who sends on it nevertheless sees a failure that is nobody's."""
    monkeypatch.setattr(Faulty, "timeout", 0.6)
    monkeypatch.setattr(loss, "IDLE", idle)
    server = Server()
    sent, _ = loss.send(loss.Plan("127.0.0.1", server.server_port, seconds=2, rate=2, connections=2, slow_share=0))
    server.shutdown()
    assert len(sent) > 2
    assert any(request.cause for request in sent) == (idle > 1)
