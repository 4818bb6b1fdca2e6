#!/usr/bin/env python3
"""Try to take ports of this host, again and again, in every way an ordinary user has.

    python3 squat.py --seconds=600 6001 6002 6003

A port that could be taken is let go at once. Prints one JSON object a line: its process id when it begins, and at the
end (or on SIGINT) how often it tried, and which port it got how and when. Needs Python's standard library only.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import json
import os
import signal
import socket
import sys
import time

WAYS = [
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),
    # Both families at once; for IPv6 alone anybody may have any port, and nobody is sent there.
    (socket.AF_INET6, "::"),
    (socket.AF_INET6, "::ffff:127.0.0.1"),
]
OPTIONS = [(), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)]


def takes(port: int, family: socket.AddressFamily, address: str, options: tuple[int, ...]) -> bool:
    """Say whether a port can be taken in one way."""
    with socket.socket(family) as one:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            one.bind((address, port))
            one.listen()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return False
        return True


def main() -> int:
    """Try, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("ports", type=int, nargs="+")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(json.dumps({"pid": os.getpid(), "user": os.geteuid()}), flush=True)
    tried, taken, began = 0, [], time.monotonic()
    try:
        while (now := time.monotonic() - began) < arguments.seconds:
            for port, (family, address), options in itertools.product(arguments.ports, WAYS, OPTIONS):
                tried += 1
                if takes(port, family, address, options):
                    taken.append([port, address, len(options), round(now, 3)])
            # The other users of this machine want to get on as well.
            time.sleep(0.001)
    except KeyboardInterrupt:
        pass
    print(json.dumps({"tried": tried, "seconds": time.monotonic() - began, "times": len(taken), "taken": taken[:20]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
