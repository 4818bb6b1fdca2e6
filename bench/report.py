"""docs/benchmarks.md and the summary, from bench/results.json. The page's words are in bench/page.md."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.costs import CHANGES
from bench.figures import Sample, Spread, cost, failed, megabytes, milliseconds, rate, ratio, spread, table
from bench.host import BENCH
from bench.provision import STEPS, WAYS
from bench.variants import CONNECTIONS, DEFAULT, VARIANTS

Results = dict[str, Any]
SPENDERS = {
    "instances": "instances",
    "haproxy": "HAProxy",
    "journal": "journald",
    "wrk": "wrk",
    "elsewhere": "elsewhere",
}


class Aim(NamedTuple):
    """What was aimed at: a ratio, and what it may be."""

    name: str
    ratio: Spread
    limit: float
    at_least: bool

    def text(self) -> list[str]:
        """Return the row of the table."""
        met = self.ratio.median >= self.limit if self.at_least else self.ratio.median <= self.limit
        return [
            self.name,
            f"{'≥' if self.at_least else '≤'} {self.limit}",
            self.ratio.text(2),
            "yes" if met else "**no**",
        ]


def each(results: Results, key: str, load: str, figure: Callable[[Sample], float]) -> list[float]:
    """Return a figure of a variant's load, of all rounds."""
    return [figure(turn[load]) for turn in results[key]]


def short(figures: dict[str, Sample]) -> str:
    """Return a round in a few words."""
    return ", ".join(
        f"{name} {rate(sample):,.0f}/s p99 {milliseconds(sample, 'p99'):.1f} ms" for name, sample in figures.items()
    )


def all_aims(results: Results) -> Iterator[Aim]:
    """Yield what was aimed at, with what was measured."""

    def beside_seed(key: str, figure: Callable[[Sample], float], load: str = "32") -> Spread:
        return ratio(each(results, key, load, figure), each(results, "seed", load, figure))

    yield Aim("requests/s, default server : seed", beside_seed(DEFAULT, rate), 2.5, True)
    yield Aim(
        "p99, default server : seed", beside_seed(DEFAULT, lambda sample: milliseconds(sample, "p99")), 0.5, False
    )
    yield Aim(
        "memory, default server : seed", beside_seed(DEFAULT, lambda sample: megabytes(sample, "instances")), 1, False
    )
    yield Aim("requests/s, granian : seed", beside_seed("granian", rate), 4, True)
    for step, limit in (("fresh", 0.3), ("second", 0.25)):
        ours, common = ([turn[step] for turn in results["provision"][way]] for way in ("ours", "common"))
        yield Aim(f"time, `site.yml` : common way, {STEPS[step]}", ratio(ours, common), limit, False)


def aims(results: Results) -> str:
    """Return the table of the aims."""
    return table(["", "aim", "median (range of the rounds)", "met"], (aim.text() for aim in all_aims(results)))


def loads(results: Results) -> str:
    """Return the table of the loads."""
    rows = []
    for load in [*map(str, CONNECTIONS), "direct"]:
        for variant in VARIANTS:
            values = {name: spread(each(results, variant.key, load, figure)) for name, figure in FIGURES.items()}
            where = "one instance, 32" if load == "direct" else load
            rows.append(
                [where, variant.title, *(value.text(0 if name == "rate" else 1) for name, value in values.items())]
            )
    return table(["connections", "", "requests/s", "p50, ms", "p99, ms"], rows)


FIGURES: dict[str, Callable[[Sample], float]] = {
    "rate": rate,
    "p50": lambda sample: milliseconds(sample, "p50"),
    "p99": lambda sample: milliseconds(sample, "p99"),
}


def memory(results: Results) -> str:
    """Return the table of the memory that three instances take after their loads."""
    rows = (
        [variant.title, *(spread(each(results, variant.key, "256", lambda sample, g=group: megabytes(sample, g))).text(1)  # type: ignore[misc]
                          for group in ("instances", "haproxy"))]
        for variant in VARIANTS
    )  # fmt: skip
    return table(["", "three instances, MB", "HAProxy, MB"], rows)


def spent(samples: list[Sample]) -> list[str]:
    """Return what each group took of the processors for a request, in microseconds."""
    return [spread(cost(sample, group) for sample in samples).text() for group in SPENDERS]


def whole(sample: Sample) -> float:
    """Return what all of the groups took for a request, but not what runs elsewhere on the machine."""
    return sum(cost(sample, group) for group in SPENDERS if group != "elsewhere")


def shares(results: Results) -> str:
    """Return the table of what a request costs, at 32 connections."""
    rows = []
    for variant in VARIANTS:
        samples = [turn["32"] for turn in results[variant.key]]
        rows.append([variant.title, *spent(samples)[:-1], spread(map(whole, samples)).text(), spent(samples)[-1]])
    *names, elsewhere = SPENDERS.values()
    return table(["µs a request", *names, "sum", elsewhere], rows)


def balancer(results: Results) -> str:
    """Return the table of what a request costs in HAProxy, by what is taken away from its configuration."""
    rows = []
    for name in CHANGES:
        samples = [turn[name] for turn in results["costs"]]
        rows.append([name, spread(map(rate, samples)).text(), *spent(samples)[:3]])
    return table(["haproxy.cfg", "requests/s", "instances, µs", "HAProxy, µs", "journald, µs"], rows)


def times(results: Results) -> str:
    """Return the table of what the playbooks take."""
    rows = []
    for step, words in STEPS.items():
        seconds = {way: [turn[step] for turn in results["provision"][way]] for way in WAYS}
        found = [spread(seconds[way]).text(1) for way in ("common", "ours")]
        rows.append([words, *found, ratio(seconds["ours"], seconds["common"]).text(2)])
    return table(["seconds", "common way", "`site.yml`", "ratio"], rows)


def page(results: Results) -> str:
    """Return docs/benchmarks.md."""
    ceiling = spread(rate(turn["answers itself"]) for turn in results["costs"])
    bad = {
        variant.title: failed(sample for turn in results[variant.key] for sample in turn.values())
        for variant in VARIANTS
    }
    words = {name: str(value) for name, value in results["machine"].items()} | {
        "rounds": str(results["rounds"]),
        "seconds": f"{results['seconds']}",
        "floor": spread(results["floor"]).text(),
        "ceiling": ceiling.text(),
        "failed": ", ".join(f"{name} {number}" for name, number in bad.items()),
    }
    tables = {made.__name__: made(results).rstrip("\n") for made in (aims, loads, memory, shares, balancer, times)}
    return string.Template((BENCH / "page.md").read_text()).substitute(words | tables)
