"""Lines of the journal, as programs take them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, run

FIELDS = "MESSAGE,_SYSTEMD_UNIT,UNIT,SYSLOG_IDENTIFIER,PRIORITY"


class Question(NamedTuple):
    """Which lines are asked for: of which units (patterns) and identifiers, since when, with which words, how many."""

    units: Sequence[str]
    identifiers: Sequence[str]
    since: str
    words: str = ""
    after: str = ""  # a cursor
    lines: int = 1000

    def command(self, known: Sequence[str]) -> list[str]:
        """Return what asks for them (journalctl(1)), `known` being the units that the journal has lines of.

        Not by --unit and --identifier, which both would have to be true of a line. What systemd itself says of a unit
        counts as the unit's; anybody may write under whatever identifier, so only root's lines are believed.
        """
        units = sorted(unit for unit in known if any(fnmatchcase(unit, pattern) for pattern in self.units))
        terms = [[f"_SYSTEMD_UNIT={unit}"] for unit in units] + [["_PID=1", f"UNIT={unit}"] for unit in units]
        terms += [["_UID=0", f"SYSLOG_IDENTIFIER={name}"] for name in self.identifiers]
        # Lines that came at a time have one time, so their order is the journal's; --grep would turn it round with --lines.
        last = [f"--since={self.since}", f"--lines={self.lines}", "--reverse"]
        options = [f"--after-cursor={self.after}"] if self.after else last
        options += [f"--grep={re.escape(self.words)}", "--case-sensitive=true"] if self.words else []
        options += ["--all", "--quiet", "--output=json", f"--output-fields={FIELDS}"]
        matches = [word for term in terms or [["_UID=0", "UNIT=none"]] for word in ["+", *term]]
        return ["journalctl", *options, *matches[1:]]


def _text(value: Any) -> str:  # noqa: ANN401 (it is what JSON has)
    """Return a field as text: what is no UTF-8 comes as bytes, and of a field that an entry has twice, all come in a list."""
    if not isinstance(value, list):
        return value or ""
    if all(isinstance(one, int) for one in value):
        return bytes(value).decode(errors="replace")
    return "\n".join(_text(one) for one in value)


def parse(text: str, reverse: bool) -> tuple[list[dict[str, Any]], str]:
    """Read `journalctl --output=json`: ([{time, unit, text}], the cursor of the last line), seconds of the epoch."""
    found = []
    # Not what else ends a line for Python, as U+2028, which may be in a message.
    for line in text.split("\n")[:: -1 if reverse else 1]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        unit = _text(entry.get("UNIT")) or _text(entry.get("_SYSTEMD_UNIT"))
        if entry.get("SYSLOG_IDENTIFIER") == "flask-deploy":
            unit = "flask-deploy"
        about = {"time": int(entry["__REALTIME_TIMESTAMP"]) / 1e6, "unit": unit, "text": _text(entry.get("MESSAGE"))}
        found.append((about, entry["__CURSOR"]))
    return [about for about, _ in found], found[-1][1] if found else ""


def ask(question: Question) -> tuple[list[dict[str, Any]], str]:
    """Return the lines and the cursor to go on after. HostError where journalctl does not understand the question."""
    known = run("journalctl", "--field=_SYSTEMD_UNIT", check=False).split() if question.units else []
    done = subprocess.run(question.command(known), capture_output=True, encoding="utf-8", errors="replace", check=False)
    # It ends with 1 as well where --grep finds nothing, but then without a word.
    if done.returncode and done.stderr.strip():
        raise HostError(
            f"journalctl refused since: {question.since}: {done.stderr.strip()}. Fix: like -10min, today or 14:00"
        )
    lines, cursor = parse(done.stdout, reverse=not question.after)
    if not (cursor or question.after):
        # Where nothing was found yet, whoever goes on does so from here.
        last = run("journalctl", "--lines=1", "--quiet", "--output=json", f"--output-fields={FIELDS}", check=False)
        cursor = parse(last, reverse=False)[1]
    return lines, cursor
