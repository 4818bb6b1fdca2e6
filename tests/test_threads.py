"""Who of an instance's threads runs the application: `roles/flask_app/files/wsgi_threads.py`, without a server."""

import random
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from tests.conftest import PROJECT
from tests.support import eventually

sys.path.append(str(PROJECT / "roles" / "flask_app" / "files"))

import wsgi_threads


class Channel:
    """A connection whose request takes as long as the test wants."""

    count, most, lock = 0, 0, threading.Lock()

    def __init__(self, path="/", seconds=0.0, until=None, error=None, **headers):
        self.requests = [SimpleNamespace(path=path, headers=headers) if path else SimpleNamespace()]
        self.seconds, self.until, self.error = seconds, until, error
        self.done, self.said = threading.Event(), ""

    def service(self):
        if self.said:
            self.done.set()
            return
        with Channel.lock:
            Channel.count += 1
            Channel.most = max(Channel.most, Channel.count)
        time.sleep(self.seconds)
        if self.until:
            assert self.until.wait(20)
        with Channel.lock:
            Channel.count -= 1
        if self.error:
            raise self.error
        self.done.set()

    def cancel(self):
        self.said = "cancelled"
        self.done.set()

    def busy(self, stuck):
        self.said = "stuck" if stuck else "busy"


class Loop:
    """What brings requests: stands for the sockets."""

    def __init__(self, limit):
        self.threads = wsgi_threads.Threads(limit, "/health", lambda path: path.startswith("/static/"))
        self.incoming, self.event = [], threading.Event()
        self.turns = 0
        threading.Thread(target=self.threads.serve, args=(self.turn, self.event.set), daemon=True).start()

    def turn(self, timeout):
        self.turns += 1
        if not self.incoming:
            self.event.wait(timeout)
        self.event.clear()
        while self.incoming:
            self.threads.add_task(self.incoming.pop(0))

    def bring(self, *channels):
        self.incoming += channels
        self.event.set()
        return channels


@pytest.fixture
def loop(request):
    Channel.count = Channel.most = 0
    made = Loop(getattr(request, "param", 3))
    yield made
    made.threads.end()
    made.event.set()


def all_done(channels):
    return all(channel.done.wait(20) for channel in channels)


@pytest.mark.parametrize("loop", [1, 3], indirect=True)
def test_no_more_requests_run_than_there_may(loop):
    assert all_done(loop.bring(*(Channel(seconds=0.02) for _ in range(30))))
    assert Channel.most == loop.threads.limit


@pytest.mark.parametrize("loop", [1, 3], indirect=True)
def test_files_are_answered_while_all_threads_are_at_work(loop):
    until = threading.Event()
    busy = loop.bring(*(Channel(until=until) for _ in range(loop.threads.limit + 2)))
    end = time.monotonic() + 20
    while Channel.count < loop.threads.limit:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert all_done(loop.bring(*(Channel("/static/app.css") for _ in range(20))))
    # They have not made room for another request of the application.
    assert loop.threads.running == loop.threads.limit
    assert not loop.threads.quiet()
    until.set()
    assert all_done(busy)


@pytest.mark.parametrize("loop", [1, 3], indirect=True)
def test_files_without_end_keep_nobody_waiting(loop):
    """As of a benchmark of one: the balancers' checks would find the instance dead."""
    over = threading.Event()

    class File(Channel):
        def service(self):
            if not over.is_set():
                loop.threads.add_task(File("/static/app.css"))

    loop.bring(*(File("/static/app.css") for _ in range(20)))
    time.sleep(0.1)
    others = loop.bring(Channel(), Channel("/health"), Channel(), Channel("/health"))
    found = [channel.done.wait(20) for channel in others]
    over.set()
    assert found == [True] * 4


def test_event_that_cannot_be_handled_leaves_a_leader(loop, caplog):
    class Bad:
        @property
        def requests(self):
            raise FileNotFoundError("no such connection")

    loop.bring(Bad())
    assert all_done(loop.bring(Channel(), Channel(loop.threads.health)))
    assert "an event could not be handled" in caplog.text


SIGNAL = """
import signal, sys, threading, time
sys.path.append(sys.argv[1])
import wsgi_threads
threads = wsgi_threads.Threads(2, "/health")
signal.signal(signal.SIGTERM, lambda *_: threads.end())
other = threading.Thread(target=lambda: (time.sleep(0.3), signal.pthread_kill(threading.get_ident(), signal.SIGTERM)))
other.start()
threads.serve(lambda seconds: time.sleep(0.01), lambda: None)
"""


def test_signal_that_another_thread_takes_is_heard():
    """The kernel gives it to any thread that takes signals; the first one, which runs the handler, sleeps."""
    files = str(PROJECT / "roles" / "flask_app" / "files")
    assert subprocess.run([sys.executable, "-c", SIGNAL, files], timeout=20).returncode == 0


LOCK = threading.Lock


class HeldUp:
    """A lock whose holder loses the processor just after it has let go, as on a busy machine."""

    def __init__(self):
        self.lock = LOCK()
        self.acquire, self.release = self.lock.acquire, self.lock.release

    def __enter__(self):
        self.acquire()

    def __exit__(self, *error):
        self.release()
        if random.random() < 0.3:
            time.sleep(0.001)


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_no_more_requests_run_than_there_may_on_a_busy_machine(monkeypatch, limit):
    Channel.count = Channel.most = 0
    with monkeypatch.context() as patched:
        patched.setattr(wsgi_threads.threading, "Lock", HeldUp)
        loop = Loop(limit)
    assert all_done(loop.bring(*(Channel(seconds=random.random() * 0.01) for _ in range(200))))
    assert Channel.most == limit
    loop.threads.end()
    loop.event.set()


def test_quick_requests_are_all_answered(loop):
    for _ in range(20):
        assert all_done(loop.bring(*(Channel() for _ in range(50))))


def test_a_request_that_takes_long_does_not_keep_others_waiting(loop):
    until = threading.Event()
    slow = loop.bring(*(Channel(until=until) for _ in range(2)))
    assert all_done(loop.bring(*(Channel() for _ in range(20))))
    assert not any(channel.done.is_set() for channel in slow)
    until.set()
    assert all_done(slow)


def test_check_is_answered_while_all_threads_are_busy(loop):
    until = threading.Event()
    busy = loop.bring(*(Channel(until=until) for _ in range(6)))
    checks = loop.bring(*(Channel("/health") for _ in range(5)))
    assert all_done(checks)
    assert {check.said for check in checks} == {""}, "it was not the application that answered"
    until.set()
    assert all_done(busy)


def test_visitors_of_the_path_of_the_check_run_with_the_others(loop):
    asked = [Channel("/health", seconds=0.01, X_FORWARDED_FOR="192.0.2.1") for _ in range(30)]
    others = [Channel(seconds=0.01) for _ in range(30)]
    assert all_done(loop.bring(*asked, *others))
    assert Channel.most == loop.threads.limit


@pytest.mark.parametrize("loop", [1], indirect=True)
def test_check_of_an_application_of_one_thread_says_busy_and_does_not_run_beside(loop):
    until = threading.Event()
    (busy,) = loop.bring(Channel(until=until))
    while not Channel.count:
        time.sleep(0.01)
    (check,) = loop.bring(Channel("/health"))
    assert all_done([check])
    assert (check.said, Channel.most) == ("busy", 1)
    loop.threads.began -= wsgi_threads.STUCK
    (check,) = loop.bring(Channel("/health"))
    assert all_done([check])
    assert check.said == "stuck"
    until.set()
    assert all_done([busy, *loop.bring(Channel("/health"))])


def test_who_waits_for_a_client_holds_no_thread(loop):
    flushed, parked = threading.Event(), []

    class Slow(Channel):
        def service(self):
            with loop.threads.waits_for_client():
                parked.append(self)
                assert flushed.wait(20)
            super().service()

    slow = loop.bring(*(Slow() for _ in range(40)))
    assert all_done(loop.bring(*(Channel(seconds=0.01) for _ in range(12))))
    eventually(lambda: len(parked) == 40, what="all of the slow ones")
    assert not loop.threads.quiet()
    flushed.set()
    assert all_done(slow)
    assert Channel.most <= loop.threads.limit


@pytest.mark.parametrize("loop", [1], indirect=True)
def test_with_one_thread_two_never_run(loop, monkeypatch):
    monkeypatch.setattr(wsgi_threads, "GRACE", 0.1)
    flushed, parked, busy, release = (threading.Event() for _ in range(4))
    ended = []

    class Parked(Channel):
        def service(self):
            with loop.threads.waits_for_client():
                parked.set()
                assert flushed.wait(20)
            ended.append("parked")
            self.done.set()

    class Busy(Channel):
        def service(self):
            busy.set()
            assert release.wait(20)
            ended.append("busy")
            self.done.set()

    first = loop.bring(Parked())
    assert parked.wait(20)
    other = loop.bring(Busy())
    assert busy.wait(20)
    flushed.set()
    time.sleep(0.6)
    assert ended == []
    release.set()
    assert all_done([*first, *other])
    assert ended == ["busy", "parked"]


@pytest.mark.parametrize("loop", [2, 3], indirect=True)
def test_who_waits_for_a_client_with_a_lock_goes_on_beside_those_that_wait_for_it(loop, monkeypatch):
    monkeypatch.setattr(wsgi_threads, "GRACE", 0.5)
    flushed, parked, lock = threading.Event(), threading.Event(), LOCK()

    class Locked(Channel):
        def service(self):
            with lock:
                if self.until:
                    with loop.threads.waits_for_client():
                        parked.set()
                        assert self.until.wait(20)
            self.done.set()

    first = loop.bring(Locked(until=flushed))
    assert parked.wait(20)
    others = loop.bring(*(Locked() for _ in range(4)))
    time.sleep(0.2)
    flushed.set()
    assert all(channel.done.wait(20) for channel in (*first, *others))


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(3), KeyboardInterrupt()])
def test_error_ends_no_thread(loop, error):
    failed = loop.bring(*(Channel(error=error) for _ in range(10)))
    assert all_done(failed)
    assert all_done(loop.bring(*(Channel() for _ in range(10))))
    assert {channel.said for channel in failed} == {"cancelled"}


def test_a_request_without_a_path_is_served(loop):
    assert all_done(loop.bring(Channel(path=None)))


def test_threads_do_not_spin_and_do_not_grow(loop):
    for _ in range(5):
        assert all_done(loop.bring(*(Channel(seconds=0.01) for _ in range(30))))
    assert loop.threads.threads <= loop.threads.limit + 2
    eventually(lambda: loop.threads.asleep, what="threads that sleep")
    turns = loop.turns
    time.sleep(0.5)
    assert loop.turns - turns <= 2, "the leader does not wait"
    assert loop.threads.asleep
    assert all_done(loop.bring(Channel()))
