"""Host names of apps: as users write them, as requests have them, and those that stand for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_requested(name: Any) -> Any:  # noqa: ANN401 (it is what a user wrote)
    """Return a host name as requests have it: in small letters, without a dot at its end, others than ASCII as xn--….

    What is none stays as it is, and so does a name with one of the four characters that old rules (IDNA 2003, which Python
    has) and browsers (IDNA 2008, RFC 5894, section 7.2) write in different ways.
    """
    if not isinstance(name, str) or set(name) & set("\u00df\u03c2\u200c\u200d"):
        return name
    star = "*." if name.startswith("*.") else ""
    try:
        return star + name.removeprefix("*.").encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        return name


def health_names(app: Mapping[str, Any]) -> list[str]:
    """Return the host names that a health path may be asked for with, the best first; the app may look at it."""
    return [*([app["canonical"]] if app["canonical"] else []), *plain_names(app["hostnames"])]


def plain_names(hostnames: Sequence[str]) -> list[str]:
    """Return the host names without those that stand for many."""
    return [name for name in hostnames if not name.startswith("*.")]
