#!/usr/bin/env python3
"""Requests over HTTP/2 as browsers send them, until SIGINT: several at a time on kept connections, and none twice.

    python3 h2.py --address 10.213.1.10 --host probe.test --authority root.pem

Prints its process id when the first answer is there, and at its end a JSON object: the requests that were `answered`, the
`failures`, and how many `streams` went over how many `connections`. After a GOAWAY (RFC 9113, section 6.8) what the server
has not taken goes over a new connection, and no new request over the old one. Needs python3-h2 (`h2`, hyper's state machine).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import ssl
import threading
import time
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

AT_A_TIME, PAUSE = 4, 0.05
# Of RFC 9113: the head of a frame (section 4.1), and the type of a GOAWAY (section 6.8).
HEAD, GOAWAY = 9, 7


class Client(threading.Thread):
    """One browser: a few requests at a time, the next ones when they are answered, over one connection as long as that lasts."""

    def __init__(self, options: argparse.Namespace, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.options, self.over = options, over
        self.answered = self.connections = self.streams = 0
        self.failures: list[str] = []
        self.unread = b""
        self.context = ssl.create_default_context(cafile=options.authority)
        self.context.set_alpn_protocols(["h2"])

    def run(self) -> None:
        """Send until it is over."""
        waiting = 0
        while not self.over.is_set() or waiting:
            try:
                waiting = self.connection(waiting)
            except (OSError, h2.exceptions.ProtocolError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                waiting = 0

    def connection(self, waiting: int) -> int:
        """Use one connection until the server ends it; return how many requests it has not taken."""
        plain = socket.create_connection((self.options.address, 443), timeout=10)
        with self.context.wrap_socket(plain, server_hostname=self.options.host) as secure:
            self.connections += 1
            state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
            state.initiate_connection()
            open_streams: set[int] = set()
            left, last, self.unread = waiting, None, b""
            while True:
                if last is None and not open_streams:
                    if self.over.is_set() and not left:
                        return 0
                    for _ in range(left or AT_A_TIME):
                        open_streams.add(self.send(state))
                    left = 0
                secure.sendall(state.data_to_send())
                if last is not None and not open_streams:
                    return left
                found, goaway = self.events(secure, state)
                if goaway is not None:
                    last = goaway if last is None else min(last, goaway)
                    refused = {stream for stream in open_streams if stream > last}
                    left += len(refused)
                    open_streams -= refused
                for event in found:
                    if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                        if isinstance(event, h2.events.StreamReset) and event.stream_id in open_streams:
                            self.failures.append(f"reset with {event.error_code}")
                        elif event.stream_id in open_streams:
                            self.answered += 1
                        open_streams.discard(event.stream_id)
                if not open_streams:
                    time.sleep(PAUSE)

    def send(self, state: Any) -> int:
        """Send a request and return its stream."""
        stream = int(state.get_next_available_stream_id())
        names = {":method": "GET", ":scheme": "https", ":authority": self.options.host, ":path": "/"}
        state.send_headers(stream, list(names.items()), end_stream=True)
        self.streams += 1
        return stream

    def events(self, secure: ssl.SSLSocket, state: Any) -> tuple[list[Any], int | None]:
        """Wait for what comes, and return it with the last stream that a GOAWAY says is taken.

        The library would take no answer any more after that, so it does not see it.
        """
        data = secure.recv(65536)
        if not data:
            raise OSError("the connection was closed with requests on it")
        self.unread += data
        frames, last = b"", None
        while len(self.unread) >= HEAD and len(self.unread) >= (size := HEAD + int.from_bytes(self.unread[:3], "big")):
            frame, self.unread = self.unread[:size], self.unread[size:]
            if frame[3] == GOAWAY:
                last = int.from_bytes(frame[HEAD : HEAD + 4], "big") & 0x7FFFFFFF
            else:
                frames += frame
        found = state.receive_data(frames)
        for event in found:
            if isinstance(event, h2.events.DataReceived):
                state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.ResponseReceived) and (status := dict(event.headers)[":status"]) != "200":
                self.failures.append(f"status {status}")
        return list(found), last


def main() -> None:
    """Send, account, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("address", "host", "authority"):
        parser.add_argument(f"--{name}", required=True)
    over = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: over.set())
    clients = [Client(parser.parse_args(), over) for _ in range(4)]
    for client in clients:
        client.start()
    while not all(client.answered for client in clients):
        time.sleep(0.05)
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for client in clients:
        client.join()
    found: dict[str, Any] = {
        key: sum(getattr(client, key) for client in clients) for key in ("answered", "connections", "streams")
    }
    print(json.dumps(found | {"failures": [one for client in clients for one in client.failures]}))


if __name__ == "__main__":
    main()
