"""docs/benchmark.svg from bench/results.json: three groups of bars, readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bench.figures import Spread, megabytes, milliseconds, rate, spread
from bench.provision import STEPS
from bench.variants import VARIANTS

WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 760, 204, 110, 18, 6, 34
STYLE = """
  svg { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .head { font-weight: 600; }
  .ours { fill: #2563eb; } .other { fill: #8b949e; }
  .range { stroke: #1f2328; stroke-width: 1.5; }
  .label { text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    svg { fill: #e6edf3; } .ours { fill: #60a5fa; } .other { fill: #6e7681; } .range { stroke: #e6edf3; }
  }"""


class Bar(NamedTuple):
    """A bar: its label, what it shows, whether it is this project's."""

    label: str
    value: Spread
    ours: bool


class Panel(NamedTuple):
    """Bars with one scale under one heading."""

    heading: str
    digits: int
    bars: Sequence[Bar]


def panels(results: dict[str, Any]) -> Iterable[Panel]:
    """Yield what is drawn."""
    for heading, load, digits, figure in (
        ("Requests a second at 32 connections (more is better)", "32", 0, rate),
        ("99 % of them are answered within, ms (less is better)", "32", 1, lambda sample: milliseconds(sample, "p99")),
        ("Memory of three instances, MB (less is better)", "256", 0, lambda sample: megabytes(sample, "instances")),
    ):
        bars = [
            Bar(variant.title, spread(figure(turn[load]) for turn in results[variant.key]), variant.key != "seed")
            for variant in VARIANTS
        ]
        yield Panel(heading, digits, bars)
    names = {"common": "pip and venv", "ours": "ours: site.yml"}
    yield Panel(
        "Seconds that the playbook takes (less is better)",
        1,
        [
            Bar(f"{names[way]}, {step}", spread(turn[step] for turn in results["provision"][way]), way == "ours")
            for step in STEPS
            for way in ("common", "ours")
        ],
    )


def drawn(panel: Panel, top: float) -> Iterable[str]:
    """Yield the elements of a panel that begins at a height."""
    scale = (WIDTH - LEFT - RIGHT) / max(bar.value.high for bar in panel.bars)
    yield f'<text class="head" x="8" y="{top + 20}">{panel.heading}</text>'
    for number, bar in enumerate(panel.bars):
        y = top + HEAD + number * (BAR + GAP)
        middle, text = y + BAR / 2, y + BAR - 5
        low, high = LEFT + bar.value.low * scale, LEFT + bar.value.high * scale
        yield f'<text class="label" x="{LEFT - 8}" y="{text}">{bar.label}</text>'
        kind = "ours" if bar.ours else "other"
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{bar.value.median * scale:.1f}" height="{BAR}" rx="2"/>'
        yield f'<line class="range" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        yield f'<text x="{high + 8:.1f}" y="{text}">{bar.value.median:,.{panel.digits}f}</text>'


def svg(results: dict[str, Any]) -> str:
    """Return the plot. The thin line over a bar goes from the lowest round to the highest."""
    top, elements = 0.0, list[str]()
    for panel in panels(results):
        elements += drawn(panel, top)
        top += HEAD + len(panel.bars) * (BAR + GAP) + 8
    title = (
        "The seed's stack and this project on one machine: requests a second, latency, memory, time of the playbooks"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img" aria-label="{title}">\n'
        f"<title>{title}</title>\n<style>{STYLE}\n</style>\n" + "\n".join(elements) + "\n</svg>\n"
    )
