"""What HAProxy's own parser has against a configuration, in the sandbox that it is going to run in."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_binds import bind_problems, bound_ports
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import foreign
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import SANDBOX, SERVICE
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.listeners import listeners

HAPROXY = Path("/usr/sbin/haproxy")
# The variables of which the lines are in a section; those of backends have names of their own.
EXTRAS = {
    "global": "haproxy_global_extra", "defaults http": "haproxy_defaults_extra", "frontend http_front": "haproxy_frontend_extra",
}  # fmt: skip
OF_THE_SERVICE = ("RuntimeDirectory", "Environment", "LogRateLimit")


def sandbox_settings(drop_in: str) -> list[str]:
    """Return the settings of a drop-in that bound what a process may do, in their order.

    Not those of the service: its folder in /run, which would be removed with the parser's, its environment and log.
    """
    lines = [line.strip() for line in drop_in.splitlines()]
    return [line for line in lines if re.match(r"[A-Z]\w+=", line) and not line.startswith(OF_THE_SERVICE)]


def parser_words(content: str, files: Mapping[Path, str], folder: Path, sandbox: str) -> str:
    """Return what HAProxy's parser has against a configuration inside a sandbox (text of a drop-in); empty for nothing.

    `files` are those that it names and that are not in place yet; the parser finds them elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix=".haproxy.", dir=folder) as aside:
        elsewhere = {str(Path(aside, str(number), path.name)): path for number, path in enumerate(files)}
        for place, path in elsewhere.items():
            write_file(Path(place), files[path], 0o600)
            content = re.sub(rf"(?<![\w./-]){re.escape(str(path))}(?![\w./-])", place, content)
        file = Path(aside, "haproxy.cfg")
        file.write_bytes(content.encode(errors="surrogateescape"))
        settings = [f"--property={line}" for line in sandbox_settings(sandbox)]
        inside = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", *settings]
        done = subprocess.run(
            [*inside, str(HAPROXY), "-c", "-dW", "-f", str(file)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if not done.returncode:
        return ""
    words = (done.stderr + done.stdout).replace(str(file), "haproxy.cfg")
    for place, path in elsewhere.items():
        words = words.replace(place, str(path))
    return words.strip() or f"the parser ended with {done.returncode} in the sandbox of {SERVICE}, without a word"


def places(words: str, content: str, extras: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield whose the lines are that the parser means with `[haproxy.cfg:NUMBER]`, `extras` being {backend: lines}."""
    lines = content.splitlines()
    for number in dict.fromkeys(int(found) for found in re.findall(r"\[haproxy\.cfg:(\d+)\]", words)):
        before = [line for line in lines[:number] if re.match(r"[a-z]", line)]
        section, line = (before or ["?"])[-1], "".join(lines[number - 1 : number]).strip()
        backend = section.removeprefix("backend ")
        if line in extras.get(backend, ()):
            yield (
                f"Line {number}, {line!r}, is in haproxy_extra of {backend}. Fix: what HAProxy says of it, or take it out; "
                "of several apps, -e app=NAME deploys another one meanwhile."
            )
        else:
            where = f", where {EXTRAS[section]} goes" if section in EXTRAS else ""
            yield f"Line {number}, {line!r}, is in the section {section!r}{where}."


def unbindable(content: str) -> str:
    """Say which ports other processes hold, and which addresses are none of this host's: the parser does not look."""
    held = {port: who for port, who in listeners(bound_ports(content)).items() if who.unit != SERVICE}
    found = [f"port {port} is held by {who.command} ({who.unit or who.pid})" for port, who in sorted(held.items())]
    return "\n".join([*found, *bind_problems(content)])


def refusal(
    content: str,
    files: Mapping[Path, str],
    path: Path,
    sandbox: str | None,
    takeover: bool,
    extras: Mapping[str, Collection[str]],
) -> str:
    """Return why a configuration, with the files that it names, cannot replace the one that HAProxy reads; empty where it can.

    `sandbox` is the text of the drop-in that the parser runs in; None for the one that is there. `extras` are the lines
    that users have put into backends, by backend.
    """
    if foreign(path) and not takeover:
        return (
            f"{path} was written by somebody else; it was not touched. "
            "Fix: move what you need of it to haproxy_*_extra, then run again with -e haproxy_takeover=true."
        )
    inside = sandbox or (read_file(SANDBOX) if SANDBOX.exists() else "")
    words = parser_words(content, files, path.parent, inside)
    problem = "\n".join([words, *places(words, content, extras)]) if words else unbindable(content)
    return (
        problem
        and f"HAProxy does not accept the configuration, or could not load it; {path} was not touched.\n{problem}"
    )
