"""Tables, times and counts for a terminal."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

WIDTH = 100


def table(rows: Sequence[Sequence[str]], right: Collection[str] = (), elastic: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table whose first row is its heading; columns named in `right` are aligned there.

    Where it is wider than WIDTH, the gaps shrink first, then the columns in `elastic`, whose words are cut. Of the first
    column, which has names, the ends stay, which tell them apart.
    """
    heading, widths = rows[0], [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    over = sum(widths) + len(gap) * (len(widths) - 1) - WIDTH
    for name in elastic:
        place = heading.index(name)
        cut = max(0, min(over, widths[place] - max(8, len(name))))
        widths[place] -= cut
        over -= cut
    lines = []
    for row in rows:
        cells = [short(cell, width, place == 0) for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
        aligned = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(cells, widths, heading, strict=True)
        ]
        lines.append(gap.join(aligned).rstrip())
    return lines


def short(text: str, width: int, keep_end: bool = False) -> str:
    """Return a text that has at most a width."""
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if keep_end else f"{text[: width - 1]}…"


def age(seconds: float | None) -> str:
    """Return a time in its largest unit."""
    if seconds is None:
        return ""
    for unit, length in (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def moment(when: float | None) -> str:
    """Return a time (seconds of the epoch) as the clock of this machine has it."""
    return "never" if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def size(count: int | None) -> str:
    """Return bytes, base 1024."""
    if count is None:
        return ""
    for unit, length in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if count >= length:
            return f"{count / length:.1f}{unit}" if count < 10 * length else f"{count // length}{unit}"
    return str(count)


def counted(count: int) -> str:
    """Return a count in at most five characters, rounded down."""
    for unit, length in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 100 * length:
            return f"{count // length}{unit}"
    return str(count)


def plural(count: int, word: str) -> str:
    """Return a count with its word."""
    return f"{count} {word}{'' if count == 1 else 's'}"
