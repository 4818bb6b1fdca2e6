"""The threads of an instance: who reads and writes for the connections, and who runs the application.

One thread leads. It waits for events, reads and sends, and runs a request that is complete itself, for handing it to another
thread costs as much as a small request. If that waits for something else, a thread that watches takes the lead meanwhile. At
most `limit` requests run the application's code at a time; those that wait for a slow client to take an answer do not count,
nor do those for files, which are answered without that code.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

LOG = logging.getLogger("waitress")
LAZY = 0.002  # seconds after which a leader that waits for something is relieved
LONG = 0.02  # and one that computes, or waits for the processor: another thread would compete with it
# Where one request had to wait, others will: so many are run after the lead has been handed over.
SLOW = 50
QUIET = 50  # looks at an idle leader after which the watching thread sleeps
NAP = 0.5  # seconds
BUSY = 0.4  # seconds that a check waits for an application of one thread; HAProxy's waits 0.8
GRACE = 30.0  # seconds after which who has waited for a client goes on, even where too many run
STUCK = 300.0  # seconds after which such an application is not busy but stuck


class Threads:
    """The threads, as waitress' task dispatcher. What they serve are channels, by the first of their `requests`."""

    def __init__(self, limit: int, health: str, is_file: Callable[[str], bool] | None = None) -> None:
        self.limit, self.health, self.is_file = limit, health, is_file
        self.files: deque[Any] = deque()
        self.waiting: deque[Any] = deque()
        self.checks: deque[tuple[float, Any]] = deque()
        self.running = self.parked = self.resuming = self.threads = self.idle = self.slow = 0
        self.began = 0.0  # when a request of the application began, of several the last one
        self.leader: int | None = None
        self.leader_task = ""  # proc(5)
        self.leads_since = 0.0  # when the leader began to run a request, 0 while it does not
        self.watcher: int | None = None
        self.asleep = self.after_file = False
        self.lock = threading.Lock()
        self.bench, self.watch, self.room = (threading.Condition(self.lock) for _ in range(3))
        self.turn: Callable[[float], None]
        self.wake: Callable[[], None]
        self.ended = threading.Event()

    def serve(self, turn: Callable[[float], None], wake: Callable[[], None]) -> None:
        """Call `turn` with the seconds it may wait for events (`wake` ends that), and run what becomes ready; until `end`."""
        self.turn, self.wake = turn, wake
        self._start()
        # A signal that another thread takes does not end this one's wait, and only this one runs its handler.
        while not self.ended.wait(NAP):
            pass

    def end(self) -> None:
        """Have `serve` return."""
        self.ended.set()

    def shutdown(self, *_: object) -> None:
        """Do nothing: waitress would wait for its own threads."""

    def add_task(self, channel: Any) -> None:  # noqa: ANN401
        """Take a channel whose first request is complete. The leader calls this, or whoever has just served the channel."""
        path = getattr(channel.requests[0], "path", "")  # what cannot be parsed has none
        is_file = self.is_file is not None and path != self.health and self.is_file(path)
        with self.lock:
            # Visitors of that path come through a balancer, which names them.
            if path == self.health and "X_FORWARDED_FOR" not in getattr(channel.requests[0], "headers", ()):
                self.checks.append((time.monotonic() + BUSY, channel))
            elif is_file:
                self.files.append(channel)
                if not self.leads():
                    self.wake()
            else:
                self.waiting.append(channel)

    def quiet(self) -> bool:
        """Say whether nothing runs or waits."""
        with self.lock:
            return not (self.waiting or self.running or self.parked or self.checks or self.files)

    @contextlib.contextmanager
    def waits_for_client(self) -> Iterator[None]:
        """Let others run while the calling thread waits for its client."""
        with self.lock:
            self.parked += 1
            self._leave()
            self._hand_over()
        try:
            yield
        finally:
            with self.lock:
                self.resuming += 1
                # Those that run may wait for a lock that this one holds; with one thread, the app may not be one for two.
                self.room.wait_for(lambda: self.running < self.limit, GRACE if self.limit > 1 else None)
                self.resuming, self.parked, self.running = self.resuming - 1, self.parked - 1, self.running + 1

    def leads(self) -> bool:
        """Say whether the calling thread leads."""
        return self.leader == threading.get_ident()

    def _start(self) -> None:
        self.threads += 1
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self) -> None:
        while self._await_lead():
            turned = 0.0
            while self.leads() and not self.ended.is_set():
                if time.monotonic() - turned < LAZY and (found := self._next()):
                    self._run(*found)
                else:
                    self._turn()
                    turned = time.monotonic()

    def _turn(self) -> None:
        """Wait for events. Whatever one of them brings, the others need a leader."""
        try:
            self.turn(self._patience())
        except Exception:
            LOG.exception("an event could not be handled")
            time.sleep(LONG)

    def _await_lead(self) -> bool:
        """Return once the calling thread leads; False where it is one too many."""
        me, quiet = threading.get_ident(), 0
        with self.lock:
            while self.leader is not None and not self._overdue():
                if self.watcher not in (None, me):
                    if self.threads - self.parked > self.limit + 2:
                        self.threads -= 1
                        return False
                    self.idle += 1
                    self.bench.wait()
                    self.idle -= 1
                    continue
                self.watcher = me
                quiet = 0 if self.leads_since else quiet + 1
                self.asleep = quiet > QUIET
                self.watch.wait(None if self.asleep else LAZY)
            if self.leader is not None:
                self.slow = SLOW
            self.leader, self.leads_since = me, 0.0
            self.leader_task = f"/proc/self/task/{threading.get_native_id()}/stat"
            if self.watcher == me:
                self.watcher = None
                self.bench.notify()
            return True

    def _overdue(self) -> bool:
        """Say whether the leader is to be relieved."""
        since = time.monotonic() - self.leads_since if self.leads_since else 0.0
        return since > LONG or (since > LAZY and self._leader_sleeps())

    def _leader_sleeps(self) -> bool:
        """Say whether the leader waits for something else than the processor (proc(5), /proc/PID/stat, field 3)."""
        with contextlib.suppress(OSError, IndexError), open(self.leader_task, "rb") as file:  # noqa: PTH123 (it is read often)
            return file.read().rpartition(b")")[2].split()[0] != b"R"
        return False

    def _hand_over(self) -> None:
        """Give up the lead, if the calling thread has it."""
        if self.leads():
            self.leader, self.leads_since = None, 0.0
            self._wake_watcher()

    def _wake_watcher(self) -> None:
        self.asleep = False
        if self.watcher is not None:
            self.watch.notify()
        elif self.idle:
            self.bench.notify()
        elif self.threads - self.parked < self.limit + 2:
            self._start()

    def _next(self) -> tuple[Any, bool] | None:
        """Return what may run now, and whether it counts as running."""
        with self.lock:
            if self.checks:
                until, channel = self.checks[0]
                if self.limit > 1 or not self.running:
                    self.checks.popleft()
                    if self.limit == 1:
                        self._enter()
                    # An application of one thread may not be thread-safe, so there a check is a request like others.
                    return channel, self.limit == 1
                if time.monotonic() > until:
                    self.checks.popleft()
                    channel.busy(stuck=time.monotonic() - self.began > STUCK)
                    return channel, False
            # In turns: of either there may be more than can be served.
            if self.waiting and self.running + self.resuming < self.limit and (self.after_file or not self.files):
                self.after_file = False
                self._enter()
                return self.waiting.popleft(), True
            self.after_file = bool(self.files)
            return (self.files.popleft(), False) if self.files else None

    def _patience(self) -> float:
        """Return how many seconds the leader may wait for events."""
        with self.lock:
            checks = self.checks and (self.limit > 1 or not self.running)
            if self.files or checks or (self.waiting and self.running + self.resuming < self.limit):
                return 0.0
            return max(0.0, self.checks[0][0] - time.monotonic()) if self.checks else 1.0

    def _enter(self) -> None:
        """Have one running request more: in the same hold of the lock in which it was taken."""
        self.running += 1
        self.began = time.monotonic()

    def _leave(self) -> None:
        """Have one running request less."""
        self.running -= 1
        if self.resuming:
            self.room.notify()
        if (self.waiting or self.checks) and not self.leads():
            self.wake()

    def _run(self, channel: Any, counts: bool) -> None:  # noqa: ANN401
        """Serve a channel and, where the lead is lost meanwhile, others that wait."""
        while True:
            with self.lock:
                if self.leads():
                    self.leads_since = time.monotonic()
                    if self.slow:
                        self.slow -= 1
                        self._hand_over()
                    elif self.watcher is None or self.asleep:
                        self._wake_watcher()
            try:
                channel.service()
            except BaseException:
                LOG.exception("a request could not be served")
                channel.cancel()
            with self.lock:
                if counts:
                    self._leave()
                if self.leads():
                    self.leads_since = 0.0
                    return
                if not (self.waiting and self.running + self.resuming < self.limit):
                    return
                self._enter()
                channel, counts = self.waiting.popleft(), True
