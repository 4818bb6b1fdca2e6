"""Measure the seed's stack and this project's side by side. Usage: python -m bench [playbooks] [loads], or report.

Writes bench/results.json, of which a part that is not measured stays, docs/benchmarks.md and docs/benchmark.svg;
`report` writes only the latter two anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import costs, host, plot, provision, report
from bench.variants import DEFAULT, VARIANTS

RESULTS = host.BENCH / "results.json"
BEGAN = time.monotonic()


def say(text: str) -> None:
    """Say what has been done, and when."""
    print(f"[bench {time.monotonic() - BEGAN:4.0f} s] {text}", flush=True)


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "model": (
            re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE) or [platform.machine()]
        )[0],
        "load": round(os.getloadavg()[0], 1),
        "debian": host.run("cat /etc/debian_version").strip(),
        "haproxy": host.run("haproxy -v").split()[2],
        "python": host.run("python3 --version").split()[1],
        "commit": host.call(["git", "rev-parse", "--short", "HEAD"]).strip(),
    }


def floor(seconds: int) -> float:
    """Return how many times a second the deployed application can be called without any server."""
    folder = "/opt/flask/bench/instances/1/release"
    environment = f"APP_NUMBER=1 APP_INSTANCE=bench-1 APP_RELEASE=none PYTHONPATH={folder}/app:{folder}/lib"
    return float(host.run(f"{environment} python3 /opt/bench/floor.py {seconds}"))


def loads(rounds: int, seconds: int) -> dict[str, list[Any]]:
    """Return the figures of all rounds: each variant in turn, the floor, the balancer's costs beside the default server."""
    found: dict[str, list[Any]] = {"floor": [], "costs": [], **{variant.key: [] for variant in VARIANTS}}
    for turn in range(rounds):
        for variant in VARIANTS:
            with variant.running():
                found[variant.key].append(variant.figures(seconds))
                say(f"load, round {turn + 1}: {variant.title}: {report.short(found[variant.key][-1])}")
                if variant.key == DEFAULT:
                    found["floor"].append(floor(2))
                    found["costs"].append(costs.round_of(min(seconds, 2)))
                    say(f"load, round {turn + 1}: floor and costs")
    return found


def measure(part: str, rounds: int, seconds: int) -> dict[str, Any]:
    """Return the figures of a part; the host that it leaves is one of site.yml."""
    if part == "playbooks":
        return {"provision": provision.rounds(rounds, say)}
    host.create()
    host.play("site.yml")
    host.prepare()
    say("the seed's stack and ours are installed")
    return {"machine": machine(), "rounds": rounds, "seconds": seconds} | loads(rounds, seconds)


def write_report(results: dict[str, Any]) -> None:
    """Write the page and the plot, and print what was aimed at."""
    (host.PROJECT / "docs" / "benchmarks.md").write_text(report.page(results))
    (host.PROJECT / "docs" / "benchmark.svg").write_text(plot.svg(results))
    print(report.aims(results))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("Usage")[0])
    parser.add_argument(
        "parts", nargs="*", default=["playbooks", "loads"], help="playbooks, loads, or report, which only writes"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--keep", action="store_true", help="leave the host there")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    try:
        for part in arguments.parts if arguments.parts != ["report"] else []:
            results |= measure(part, arguments.rounds, arguments.seconds)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    finally:
        if arguments.parts != ["report"] and not arguments.keep:
            host.remove()
    write_report(results)


if __name__ == "__main__":
    try:
        main()
    except host.BenchError as error:
        sys.exit(f"bench: {error}")
