"""What a request for a file asks for: in which encoding, unless it has not changed, which part of it (RFC 9110)."""

from __future__ import annotations

import re
from typing import BinaryIO

# A weight of nothing refuses an encoding (section 12.4.2).
REFUSED = re.compile(r"q=0(?:\.0{0,3})?", re.IGNORECASE)
# No file is as long as a number of more digits; Python reads none of thousands.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE | re.ASCII)


def accepted(said: str) -> str:
    """Return the names of the encodings that Accept-Encoding takes. `*`, which names none, is sent the file as it is."""
    names = []
    for one in said.split(","):
        name, *parameters = (word.strip() for word in one.split(";"))
        if name != "*" and not any(REFUSED.fullmatch(parameter) for parameter in parameters):
            names.append(name.lower())
    return " ".join(names)


def matches(said: str, etag: str) -> bool:
    """Say whether If-None-Match, a list or an asterisk, has an ETag; a weak one is the same (section 13.1.2)."""
    return said.strip() == "*" or etag in re.findall(r'"[^"]*"', said)


def part_of(said: str, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte that Range asks for, in the wrong order where there are none such.

    None for several parts, and for what is no range: that is to be ignored (section 14.2).
    """
    found = RANGE.fullmatch(said.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1


class Part:
    """The next bytes of a file. That of whitenoise closes the file when nobody has it any more, although somebody has the file."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self.file, self.left = file, left
        self.close = file.close

    def read(self, size: int) -> bytes:
        """Return some of them, none at the end."""
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data
