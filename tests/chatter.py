"""Somebody in a chat by Socket.IO, with the real client: `tests.support.Script` runs this on a host.

Usage: python3 - ADDRESS HOSTNAME TRANSPORT CLIENTS. Each client says something each 0.1 s, until SIGINT. The first line is
{"pid"}, when all are connected; the second what came of it.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

import socketio


class Client:
    """One of them."""

    def __init__(self, name, hostname, transport):
        self.name, self.over = name, threading.Event()
        self.said, self.heard, self.by, self.connects = [], [], set(), 0
        self.client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
        self.client.on("said", self.hear)
        self.client.on("connect", self.connect)
        self.client.connect(f"http://{hostname}", transports=[transport], wait_timeout=20)
        self.transport = self.client.transport()
        self.thread = threading.Thread(target=self.talk, daemon=True)

    def connect(self):
        self.connects += 1

    def hear(self, what):
        self.heard.append(what["text"])
        self.by.add(what["by"])

    def talk(self):
        while not self.over.wait(0.1):
            text = f"{self.name}-{len(self.said)}"
            try:
                self.client.emit("say", text)
            except socketio.exceptions.SocketIOError:
                # Not connected just now.
                continue
            self.said.append((time.monotonic(), text))


def main(address, hostname, transport, count):
    """Talk, and report."""
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda name, *how, **more: resolve(address if name == hostname else name, *how, **more)
    clients = [Client(str(number), hostname, transport) for number in range(int(count))]
    for one in clients:
        one.thread.start()
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    print(json.dumps({"pid": os.getpid()}), flush=True)
    while not ended.wait(0.2):
        pass
    last = time.monotonic()
    # All are connected again, before and after which all that they say arrives.
    marks = {one.name: len(one.said) for one in clients}
    end = last + 20
    while time.monotonic() < end and not all(
        one.client.connected and len(one.said) > marks[one.name] + 20 for one in clients
    ):
        time.sleep(0.1)
    for one in clients:
        one.over.set()
        one.thread.join()
    # What was said last arrives late on a busy machine; some of it twice, if at all, within a moment.
    tail = {text for one in clients for _, text in one.said[-10:]}
    end = time.monotonic() + 30
    while time.monotonic() < end and not all(tail <= set(one.heard) for one in clients):
        time.sleep(0.1)
    time.sleep(1)
    found = {
        "transports": sorted({one.transport for one in clients}),
        "connected": [one.client.connected for one in clients],
        "connects": [one.connects for one in clients],
        "by": sorted({by for one in clients for by in one.by}),
        "said": sum(len(one.said) for one in clients),
        "heard": [len(set(one.heard)) for one in clients],
        "twice": [len(one.heard) - len(set(one.heard)) for one in clients],
        "tail_missing": [len(tail - set(one.heard)) for one in clients],
    }
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
