"""What systemd has against settings of a unit and the times of timers.

It starts a unit without the settings that it does not take, and no timer without a time.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run

SYSTEMD_ITSELF = Path("/usr/lib/systemd/systemd")


def setting_problems(apps: dict[str, list[str]], home: Path) -> Iterator[str]:
    """Yield the settings of apps' units that systemd would ignore. What a deployment has already, systemd has taken."""
    for name, lines in apps.items():
        text = "".join(f"{line}\n" for line in lines)
        # The folders of its state have names that systemd takes; those of most apps are all that their units have of their own.
        own = [line for line in lines if not line.startswith("StateDirectory=")]
        if not own or any(read_file(path) == text for path in home.glob(f"{name}/deployments/*/unit.conf")):
            continue
        for line, words in ignored(own):
            key, _, value = line.partition("=")
            place = {"MemoryMax": "memory_max"}.get(key, f"sandbox.{key}")
            meant = nearest(key) if words.startswith("Unknown key") else ""
            fix = (
                f"{meant}, if that is meant" if meant else f"what systemd.directives(7) has for {key}, or leave it out"
            )
            yield f"{place} of {name} is {value!r}, which systemd would ignore: {words}. Fix: {fix}."


def calendar_problems(apps: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the times of apps' timers, {app: {timer: time}}, that systemd does not take: their units would not start."""
    for app, timers in apps.items():
        for timer, calendar in timers.items():
            command = ["systemd-analyze", "calendar", "--", calendar]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                yield (
                    f"timers.{timer}.calendar of {app} is {calendar!r}, which systemd does not take. "
                    "Fix: a time of systemd.time(7), like 03:00; `systemd-analyze calendar` tries one."
                )


def ignored(settings: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (line, systemd's words) for each line of a section [Service] that this host's systemd would ignore.

    `systemd-analyze verify` says so of a file and its line; what else it says is of other units.
    """
    text = ["[Service]", "ExecStart=/usr/bin/true", *settings]
    with tempfile.TemporaryDirectory(prefix="flask-") as folder:
        unit = Path(folder, "flask-settings.service")
        unit.write_text("\n".join(text) + "\n", encoding="utf-8")
        command = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        yield from words_on(text, str(unit), done.stderr)


def words_on(text: Sequence[str], unit: str, said: str) -> Iterator[tuple[str, str]]:
    """Yield (line, words) for what is said of the lines of a unit."""
    for number, words in re.findall(rf"^{re.escape(unit)}:(\d+): (.*)$", said, re.MULTILINE):
        yield text[int(number) - 1], words.removesuffix(".")


def known_settings() -> list[str]:
    """Return the names of the settings that the section [Service] may have on this host."""
    shown = run(str(SYSTEMD_ITSELF), "--dump-configuration-items", check=False)
    section = shown.partition("[Service]\n")[2].partition("\n[")[0]
    return re.findall(r"^(\w+)=", section, re.MULTILINE)


def nearest(name: str) -> str:
    """Return the setting that was probably meant, empty where none is near."""
    return next(iter(difflib.get_close_matches(name, known_settings(), n=1, cutoff=0.8)), "")
