"""Medians with their spread, and the words for them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Sample = dict[str, Any]


class Spread(NamedTuple):
    """The median of some values, the lowest and the highest."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 0) -> str:
        """Return `median (low–high)`."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


def spread(values: Iterable[float]) -> Spread:
    """Return the spread of at least one value."""
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1])


def rate(sample: Sample) -> float:
    """Return the requests a second of a load."""
    return float(sample["requests"] / sample["microseconds"] * 1e6)


def milliseconds(sample: Sample, percentile: str) -> float:
    """Return a percentile of a load's latency in milliseconds."""
    return float(sample[percentile] / 1000)


def cost(sample: Sample, group: str) -> float:
    """Return the microseconds of processor time that a group took for each request."""
    return float(sample["cpu"][group] / sample["requests"] * 1e6)


def megabytes(sample: Sample, group: str) -> float:
    """Return the memory of a group in MB (PSS)."""
    return float(sample["pss"][group] * 1024 / 1e6)


def failed(samples: Iterable[Sample]) -> int:
    """Return how many requests of some loads got no answer or one that is not 2xx."""
    return sum(int(sample["failed"] + sample["not_2xx"]) for sample in samples)


def ratio(values: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the spread of values divided by others of the same round."""
    return spread(value / other for value, other in zip(values, others, strict=True))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
