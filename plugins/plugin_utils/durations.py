"""Times as HAProxy has them, like 500ms."""

from __future__ import annotations

import re

# HAProxy's manual, section 2.5: a time without a unit is in milliseconds, which nobody means.
DURATION = re.compile(r"[1-9][0-9]*(us|ms|s|m|h|d)")
# It counts milliseconds in 31 bits, and takes nothing longer.
MOST_DAYS = 24
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Return a time of HAProxy's kind in seconds; 0 for what is none."""
    found = DURATION.fullmatch(duration)
    return int(duration.removesuffix(found[1])) * UNITS[found[1]] if found else 0.0


def is_duration(duration: str) -> bool:
    """Say whether HAProxy takes a text as a time."""
    return 0 < seconds(duration) <= MOST_DAYS * UNITS["d"]
