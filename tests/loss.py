#!/usr/bin/env python3
"""Send requests at a given rate and account for every single one.

    python3 loss.py --address 10.213.1.10 --host probe.test --seconds 20 --rate 200

Half of the connections are kept alive, half are new for each request; GET and POST alternate; some requests take a
while. Nothing is retried, so what fails is seen. A POST carries an id that the application writes down; `Report.of`
compares the two, so that a lost one and a doubled one are seen as well. Prints one JSON object; see `Report`. Needs
Python's standard library only, so it runs on any host; a library would hide when it opens a connection or tries again.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import signal
import ssl
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

# Seconds after which a kept connection is not used any more, as clients that keep connections do: below HAProxy's `timeout
# http-request`, after which it closes one. A request that crosses with that end is one that nobody has taken.
IDLE = 5.0


@dataclass
class Sent:
    """One request: when it was sent and answered (seconds since the start), how, and what became of it."""

    at: float
    done: float
    method: str
    kept: bool
    slow: bool
    cause: str = ""
    id: str = ""
    server: str = ""
    client: int = 0


@dataclass
class Plan:
    """What is sent where. `rate` is in requests a second over all `connections`; `slow_share` is from 0 to 1.

    `kept_share` and `post_share` are 0, 0.5 or 1: no connection is kept, every other, all; no POST is sent, and so on.
    With `cookies` (1), each of them is a client that sends the last cookie it was given.
    """

    address: str
    port: int = 80
    host: str = "localhost"
    seconds: float = 10.0
    rate: float = 200.0
    connections: int = 16
    timeout: float = 5.0
    slow: float = 0.3
    slow_share: float = 0.05
    get: str = "/"
    post: str = "/received"
    slow_path: str = "/sleep/{seconds}"
    kept_share: float = 0.5
    post_share: float = 0.5
    cookies: int = 0
    # With TLS, where a file names the authority that the certificate of `host` has to be of.
    authority: str = ""


@dataclass
class Report:
    """What came of a plan. Times are in seconds; `failures` are the requests that failed, with their cause."""

    sent: int
    answered: int
    failed: int
    failed_by_method: dict[str, int]
    causes: dict[str, int]
    longest_gap: float
    p50: float
    p99: float
    worst: float
    rate: float
    lost: int | None = None
    doubled: int | None = None
    servers: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[list[int]] = field(default_factory=list)
    started: float = 0.0

    @classmethod
    def of(
        cls, requests: list[Sent], seconds: float, started: float = 0.0, received: list[str] | None = None
    ) -> Report:
        """Account for some requests; `received` are the ids of the POSTs that the application wrote down."""
        answered = [request for request in requests if not request.cause]
        failed = [request for request in requests if request.cause]
        quick = sorted(request.done - request.at for request in answered if not request.slow)
        times = sorted([0.0, *(request.done for request in answered), seconds])
        seen = Counter(received or [])
        posts = [request for request in answered if request.method == "POST" and request.id]
        buckets: dict[int, list[int]] = {}
        for request in requests:
            bucket = buckets.setdefault(int(request.done), [int(request.done), 0, 0])
            bucket[2 if request.cause else 1] += 1
        return cls(
            sent=len(requests),
            answered=len(answered),
            failed=len(failed),
            failed_by_method=dict(Counter(request.method for request in failed)),
            causes=dict(Counter(request.cause for request in failed)),
            longest_gap=round(max((b - a for a, b in itertools.pairwise(times)), default=seconds), 3),
            p50=round(quick[len(quick) // 2], 4) if quick else 0.0,
            p99=round(quick[len(quick) * 99 // 100], 4) if quick else 0.0,
            worst=round(quick[-1], 4) if quick else 0.0,
            rate=round(len(answered) / seconds, 1),
            lost=None if received is None else sum(1 for request in posts if not seen[request.id]),
            doubled=None if received is None else sum(1 for request in requests if request.id and seen[request.id] > 1),
            servers=dict(Counter(request.server for request in answered if request.server)),
            failures=[asdict(request) for request in failed[:50]],
            timeline=[buckets[second] for second in sorted(buckets)],
            started=started,
        )


class TLSConnection(http.client.HTTPConnection):
    """A connection to an address that has to show a certificate for a name."""

    context: ClassVar[ssl.SSLContext]
    hostname: ClassVar[str]

    def connect(self) -> None:
        """Connect, and look at the certificate."""
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.hostname)


class Connection(threading.Thread):
    """One of the plan's connections: sends its share of the rate, on a schedule that a slow answer does not shift."""

    def __init__(self, plan: Plan, number: int, start: float, sent: list[Sent], over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.plan, self.number, self.start_time, self.sent = plan, number, start, sent
        self.kept = number % 2 / 2 < plan.kept_share
        self.connection: http.client.HTTPConnection | None = None
        self.used = 0.0
        self.over = over
        self.cookie = ""

    def run(self) -> None:
        """Send until the time is over."""
        interval = self.plan.connections / self.plan.rate
        due = self.start_time + interval * self.number / self.plan.connections
        count = self.number // 2
        while due < self.start_time + self.plan.seconds:
            if self.over.wait(max(0.0, due - time.monotonic())):
                break
            self.sent.append(self.one(count))
            count += 1
            # A connection that was held up goes on at once, but it does not catch up: the rate is a ceiling.
            due = max(due + interval, time.monotonic())

    def one(self, count: int) -> Sent:
        """Send one request and return what became of it."""
        every = round(1 / self.plan.slow_share) if self.plan.slow_share else 0
        slow = bool(every) and count % every == 0
        method = "POST" if not slow and count % 2 / 2 < self.plan.post_share else "GET"
        path = (
            self.plan.slow_path.format(seconds=self.plan.slow)
            if slow
            else self.plan.post
            if method == "POST"
            else self.plan.get
        )
        identifier = uuid.uuid4().hex if method == "POST" else ""
        request = Sent(
            time.monotonic() - self.start_time, 0.0, method, self.kept, slow, id=identifier, client=self.number
        )
        if time.monotonic() - self.used > IDLE:
            self.close()
        try:
            if self.connection is None:
                self.connection = (TLSConnection if self.plan.authority else http.client.HTTPConnection)(
                    self.plan.address, self.plan.port, timeout=self.plan.timeout
                )
            headers = {"Host": self.plan.host} | ({} if self.kept else {"Connection": "close"})
            if self.cookie:
                headers["Cookie"] = self.cookie
            self.connection.request(method, path, body=identifier or None, headers=headers)
            answer = self.connection.getresponse()
            answer.read()
            request.server = answer.headers.get("X-Instance", "")
            if self.plan.cookies and (given := answer.headers.get("Set-Cookie")):
                self.cookie = given.partition(";")[0]
            if answer.status >= 400:
                request.cause = f"status {answer.status}"
            if not self.kept or answer.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            request.cause = type(error).__name__
            self.close()
        self.used = time.monotonic()
        request.done = self.used - self.start_time
        return request

    def close(self) -> None:
        """Forget the connection."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def send(plan: Plan) -> tuple[list[Sent], float]:
    """Carry a plan out and return its requests and the time of its start (seconds of the epoch).

    SIGINT ends it early; `plan.seconds` is then what it came to.
    """
    sent: list[Sent] = []
    if plan.authority:
        TLSConnection.context, TLSConnection.hostname = ssl.create_default_context(cafile=plan.authority), plan.host
    start, epoch = time.monotonic() + 0.1, time.time() + 0.1
    over = threading.Event()
    connections = [Connection(plan, number, start, sent, over) for number in range(plan.connections)]
    for connection in connections:
        connection.start()
    try:
        for connection in connections:
            connection.join()
    except KeyboardInterrupt:
        plan.seconds = time.monotonic() - start
        over.set()
        for connection in connections:
            connection.join(timeout=2 * plan.timeout)
    return sent, epoch


def main() -> int:
    """Send, account, print. The exit status is 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, value in asdict(Plan("")).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, required=name == "address")
    arguments = vars(parser.parse_args())
    plan = Plan(**arguments)
    # A shell's background processes are started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sent, started = send(plan)
    # Who wants it to end when it has ended gets the whole report as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The ids of all POSTs go along, for whoever can ask the application which of them it has seen.
    report = asdict(Report.of(sent, plan.seconds, started))
    print(json.dumps(report | {"seconds": plan.seconds, "requests": [asdict(request) for request in sent]}))
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
