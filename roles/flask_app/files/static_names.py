"""Which file names change with what is in the file, so that a browser may keep it for ever and no release has another one.

By their looks, as app.3f2a9c1b.css (Django, webpack, Parcel) or chunk-HS2RWSFO.js (esbuild, Vite), or because the manifest of
the tool that made them has them. A name that is taken for one by mistake is kept by browsers for a year, so the looks are
strict: a date, a word or the end of a UUID are none.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from typing import Any

# Letters as well as digits, up to a full stop with more behind it.
HASH = r"(?=[0-9a-f]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}\.(?=[A-Za-z0-9])"
# What looks like a word and a number, as cafe2024, is none, but after a full stop, and of scripts and styles after a hyphen.
NO_WORD = r"(?=[a-f]+[0-9]+[a-f]|[0-9]+[a-f]+[0-9]|[0-9a-f]{12})"
CODE = r"(?=[0-9a-f]+\.(?:[a-z]+\.)?(?:m?js|css)(?:\.map)?$)"
HEXADECIMAL = re.compile(rf"(?:\.|(?:^|_){NO_WORD}|(?<![0-9a-f]{{4}})-(?:{NO_WORD}|{CODE})){HASH}")
# Names of scripts and styles alone: part numbers look like that as well. Version2 does not.
MIXED = re.compile(
    r"[.-](?=[a-z0-9_-]*[A-Z])(?=[A-Za-z_-]*[0-9])(?![A-Z][a-z]+[0-9]+\.)[A-Za-z0-9_-]{8}\.(?:m?js|css)(?:\.map)?$"
)
# Vite's (build.manifest, since version 5 in a folder of its own) and Django's (ManifestStaticFilesStorage).
MANIFESTS = (".vite/manifest.json", "manifest.json", "staticfiles.json")
LONGEST = 8 << 20  # bytes of a manifest


def looks_hashed(name: str) -> bool:
    """Say whether a path ends in a name with a hash."""
    last = name.rpartition("/")[2]
    return bool(HEXADECIMAL.search(last) or MIXED.search(last))


def is_listed(root: str, name: str) -> bool:
    """Say whether a manifest in a folder has a path below it as the name of a file with a hash."""
    for manifest in MANIFESTS:
        path = f"{root}/{manifest}"
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            continue
        if found.st_size < LONGEST and name in _listed(path, found.st_mtime_ns):
            return True
    return False


@functools.lru_cache(maxsize=64)
def _listed(path: str, when: int) -> frozenset[str]:  # noqa: ARG001 (a key of the cache)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (a text, not a Path)
            return frozenset(_names(json.load(file)))
    except (OSError, ValueError):
        return frozenset()


def _names(manifest: Any) -> Iterator[str]:  # noqa: ANN401 (whatever JSON has)
    """Yield the names with hashes of a manifest. The manifest.json of a web app (W3C) has none."""
    entries = manifest if isinstance(manifest, dict) else {}
    paths = entries.get("paths")
    if isinstance(paths, dict):
        yield from (made for source, made in paths.items() if isinstance(made, str) and made != source)
    for entry in entries.values():
        if isinstance(entry, dict) and isinstance(entry.get("file"), str):
            for made in (entry["file"], *(entry.get("css") or []), *(entry.get("assets") or [])):
                # A build may be told to leave hashes out.
                if isinstance(made, str) and re.search(r"[.-][A-Za-z0-9_-]{8,}\.[A-Za-z0-9]+$", made):
                    yield made
