"""Run Debian's h2load against an address again and again until SIGINT; sent to the client host, standard library alone.

    python3 h2load.py --address=10.0.0.1 --host=probe.test

By turns on connections of one request `each`, and on `kept` ones. Prints {"pid": …} after the first of both, and at the end
{"each": …, "kept": …}: of all runs of a kind together what h2load says of its requests (total, started, done, succeeded,
failed, errored, timeout), and of their status by its class (2xx and so on).

What meets a GOAWAY on a kept connection was not processed, and is for another connection (RFC 9113, section 6.8), which
h2load does not open: it has what was under way, and all that it still had to send, as failed and errored.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter

LINES = ("requests: ", "status codes: ")
TURNS = {
    "each": ["--requests=40", "--clients=40", "--max-concurrent-streams=1"],
    "kept": ["--requests=200", "--clients=4", "--max-concurrent-streams=4"],
}


def counted(options: argparse.Namespace, turn: list[str]) -> Counter[str]:
    """Return what one run says of its requests, and of their status."""
    command = ["h2load", *turn, f"--connect-to={options.address}:443", f"https://{options.host}/"]
    # A session of its own: SIGINT is not for it.
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True, timeout=60
    ).stdout
    lines = "\n".join(line for line in said.splitlines() if line.startswith(LINES))
    return Counter({name: int(count) for count, name in re.findall(r"(\d+) (\w+)", lines)})


def main() -> None:
    """Run it, and sum up what it says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--host", required=True)
    options = parser.parse_args()
    over: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: over.append(number))
    found = {kind: Counter[str]() for kind in TURNS}
    while not over:
        first = not found["kept"]
        for kind, turn in TURNS.items():
            found[kind].update(counted(options, turn))
            # As fast as it can, it would have the machine for itself.
            time.sleep(0.1)
        if first:
            print(json.dumps({"pid": os.getpid()}), flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
