"""The files that a configuration of HAProxy refers to: certificates, lists, maps, pages. It reads them when it is loaded."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file

# Words after which a folder stands for what is in it, and words after which a name starts at a base.
FOLDERS = ("crt", "ca-file", "ca-verify-file", "errorfiles", "issuers-chain-path")
BASES = {
    "crt": "crt-base",
    "crt-list": "crt-base",
    "ca-file": "ca-base",
    "ca-verify-file": "ca-base",
    "crl-file": "ca-base",
}
# A path is a word of its own, or an argument as in `map(/etc/haproxy/hosts.map)`.
PATH = re.compile(r"(?:^|[(,=])(/[^\s,()]+)")


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _paths(config: str) -> Iterator[tuple[str, Path]]:
    """Yield (word before it, path) for what may be a path."""
    bases: dict[str, str] = {}
    for line in config.splitlines():
        words = _words(line)
        if len(words) == 2 and words[0] in BASES.values():
            bases[words[0]] = words[1]
        for before, word in pairwise(["", *words]):
            if before in BASES and BASES[before] in bases and not word.startswith("/"):
                yield before, Path(bases[BASES[before]], word)
            for path in PATH.findall(word):
                yield before, Path(path)


def _files(before: str, path: Path) -> Iterator[Path]:
    """Yield the files that a path stands for: with those beside a certificate (.key, .ocsp), those that a list names."""
    if path.is_dir() and before in FOLDERS:
        yield from (file for file in path.iterdir() if file.is_file())
    elif path.is_file():
        yield path
        if before == "crt":
            yield from (file for file in path.parent.glob(f"{path.name}.*") if file.is_file())
        if before == "crt-list":
            for line in read_file(path).splitlines():
                named = Path(path.parent, line.split()[0]) if line.split() else path
                yield from _files("crt", named) if named != path else ()


def digests(config: str) -> dict[str, str]:
    """Return {path: SHA-256} of the files that a configuration refers to and that are there."""
    found = {}
    for before, path in _paths(config):
        with contextlib.suppress(OSError, ValueError):
            for file in _files(before, path):
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def changed_since(now: dict[str, str], recorded: dict[str, str], started: float) -> list[str]:
    """Return the files that are not as they were recorded, and were changed after a worker was started (epoch seconds).

    A worker that somebody else has started since has read them.
    """
    return [
        path
        for path, digest in now.items()
        # /proc has whole seconds, so one of doubt remains.
        if recorded.get(path) != digest and Path(path).stat().st_ctime + 1 >= started
    ]
