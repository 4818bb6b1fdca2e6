#!/usr/bin/env python3
"""Ask in ways that an HTTP library would not, some times, and say what came of each.

    python3 once.py early --address=10.213.5.10 --path=/refuse --size=20000000 --times=50 --read=last
    python3 once.py together --address=10.213.5.10 --path=/sleep/75.0 --times=12
    python3 once.py events --address=10.213.5.10 --path=/events/40

`early` uploads to somebody who may answer without having read it all, and reads the answer only after all is sent
(`--read=last`) or as soon as it comes (`--read=first`). `together` sends that many GETs at once. `events` reads
server-sent events, each of which is the time at which it was made. Prints one JSON object a run: how many answers there
were of each status. Needs Python's standard library only, so it runs on any host.
"""

from __future__ import annotations

import argparse
import http.client
import json
import select
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

PIECE = b"a" * 65536


def connect(arguments: argparse.Namespace) -> socket.socket:
    """Return a connection."""
    return socket.create_connection((arguments.address, arguments.port), timeout=arguments.timeout)


def answer_of(connection: socket.socket) -> str:
    """Read an answer, and return its status; where there is none, or half of one, what there was instead."""
    try:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    return str(answer.status)


def get(arguments: argparse.Namespace) -> str:
    """Ask once, and return the status of the answer."""
    with connect(arguments) as connection:
        head = f"GET {arguments.path} HTTP/1.1\r\nHost: {arguments.host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        return answer_of(connection)


def upload(arguments: argparse.Namespace) -> str:
    """Upload once, and return the status of the answer."""
    with connect(arguments) as connection:
        head = f"POST {arguments.path} HTTP/1.1\r\nHost: {arguments.host}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {arguments.size}\r\n\r\n".encode())
        left = arguments.size
        try:
            while left > 0:
                if arguments.read == "first" and select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(PIECE[:left])
                left -= len(PIECE[:left])
        except OSError:
            # Whoever has answered may have closed; the answer is still there to be read, or it is lost.
            pass
        return answer_of(connection)


def events(arguments: argparse.Namespace) -> list[tuple[float, float]]:
    """Return when each event was made and when it came."""
    found = []
    with connect(arguments) as connection, connection.makefile("rb") as lines:
        connection.sendall(
            f"GET {arguments.path} HTTP/1.1\r\nHost: {arguments.host}\r\nConnection: close\r\n\r\n".encode()
        )
        for line in lines:
            if line.startswith(b"data: "):
                found.append((float(line[6:]), time.time()))
    return found


def main() -> int:
    """Ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["early", "events", "together"])
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--path", required=True)
    parser.add_argument("--size", type=int, default=20_000_000)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--read", choices=["first", "last"], default="last")
    arguments = parser.parse_args()
    times = min(arguments.times, 100)
    if arguments.what == "early":
        found: Counter[str] = Counter()
        # Who has waited in vain three times does not go on.
        while sum(found.values()) < times and found["TimeoutError"] < 3:
            found[upload(arguments)] += 1
        print(json.dumps({status: number for status, number in found.items() if number}))
    elif arguments.what == "together":
        with ThreadPoolExecutor(times) as threads:
            print(json.dumps(Counter(threads.map(get, [arguments] * times))))
    else:
        print(json.dumps(events(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
