"""How long it takes: a fresh host, a second run, a deploy; site.yml against the common way."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench import host

# Each with the fresh host that it begins with.
WAYS = {"common": "bench/common/site.yml", "ours": "site.yml"}
# What a round measures, in this order.
STEPS = {
    "fresh": "a fresh host",
    "second": "a second run, nothing to do",
    "deploy": "a deploy: the code has changed",
}


def round_of(way: str, folder: Path) -> dict[str, float]:
    """Return the seconds of each step on a host of its own, whose control node has built nothing before."""
    host.remove()
    host.create()
    # Neither releases nor wheels nor modules from an earlier round: the host of the common way has none either.
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        cold = {"UV_CACHE_DIR": f"{cache}/uv", "XDG_CACHE_HOME": cache}
        first, second = host.other_source(folder, 1), host.other_source(folder, 2)
        try:
            took = {
                step: host.play(WAYS[way], "-e", f"bench_source={source}", environment=cold)
                for step, source in zip(STEPS, (first, first, second), strict=True)
            }
        finally:
            shutil.rmtree(first)
            shutil.rmtree(second)
    if host.run("curl -sf http://127.0.0.1:80/").strip() not in {f"Hello from Flask App {n}!" for n in (1, 2, 3)}:
        raise host.BenchError(f"{WAYS[way]} left a host that does not answer")
    return took


def rounds(number: int, say: host.Say) -> dict[str, list[dict[str, float]]]:
    """Return the seconds of each round of each way, one way after the other in each round."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(dir=host.PROJECT / ".cache") as folder:
        for turn in range(number):
            for way in WAYS:
                found[way].append(round_of(way, Path(folder)))
                say(f"provisioning, round {turn + 1}: {way} {found[way][-1]}")
    return found
