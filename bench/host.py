"""The host that is measured: made and removed, commands and loads on it, playbooks that run on it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
BENCH = PROJECT / "bench"
CONTAINER = "flask-bench-bench"
GROUPS = {
    "haproxy": ["haproxy.service", "seed-haproxy"],
    "instances": ["flask-bench@", "seed-app@"],
    "journal": ["systemd-journald"],
}


Say = Callable[[str], None]


class BenchError(Exception):
    """A command that had to succeed did not; the text is what it said."""


def call(command: Sequence[str], **options: Any) -> str:  # noqa: ANN401
    """Run a command in the project's folder and return what it prints."""
    done = subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True, **options)
    if done.returncode:
        raise BenchError(
            f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return done.stdout


def podman(*arguments: str) -> str:
    """Run podman as root."""
    return call([*([] if os.geteuid() == 0 else ["sudo"]), "podman", *arguments])


def play(playbook: str, *arguments: str, environment: dict[str, str] | None = None) -> float:
    """Run a playbook on the host and return the seconds that it took."""
    began = time.monotonic()
    command = ["ansible-playbook", "-i", "bench/inventory", playbook, *arguments]
    call(command, env=os.environ | (environment or {}))
    return time.monotonic() - began


def run(script: str) -> str:
    """Run a shell script as root on the host."""
    return podman("exec", CONTAINER, "bash", "-euo", "pipefail", "-c", script)


def put(text: str, path: str) -> None:
    """Write a file on the host."""
    with tempfile.NamedTemporaryFile("w", dir=PROJECT / ".cache") as file:
        file.write(text)
        file.flush()
        Path(file.name).chmod(0o644)
        podman("cp", file.name, f"{CONTAINER}:{path}")


def create() -> None:
    """Make the host, and let its pip reach what pip on this machine reaches."""
    play("molecule/shared/create.yml")
    put(Path(certificates()).read_text(), "/etc/ssl/certs/ca-certificates.crt")
    put(pip_settings(call([sys.executable, "-m", "pip", "config", "list"])), "/etc/pip.conf")


def remove() -> None:
    """Remove the host."""
    play("molecule/shared/destroy.yml")


def certificates() -> str:
    """Return the file of the certificates that this machine trusts."""
    return os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"


def pip_settings(listed: str) -> str:
    """Return a pip.conf with what `pip config list` says of the index and the way there, as far as it is no file here."""
    said = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    settings = {"cert": "/etc/ssl/certs/ca-certificates.crt", "disable-pip-version-check": "1"}
    for key in ("index-url", "proxy", "trusted-host"):
        for section in ("global", "install", ":env:"):
            value = said.get(f"{section}.{key}", "").strip("'\"")
            if value and not value.startswith(("file:", "/")):
                settings[key] = value
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def prepare() -> None:
    """Put on the host what it is measured with, and the seed's stack."""
    run("mkdir -p /opt/bench")
    for name in ("on_host.py", "floor.py", "report.lua", "seed"):
        podman("cp", str(BENCH / name), f"{CONTAINER}:/opt/bench/")
    podman("cp", str(PROJECT / "files" / "hello" / "requirements.txt"), f"{CONTAINER}:/opt/bench/")
    play("bench/seed.yml")


def load(port: int, connections: int, seconds: int) -> dict[str, Any]:
    """Load a port of the host from the host itself; return what bench/on_host.py says."""
    request = {"url": f"http://127.0.0.1:{port}/", "connections": connections, "seconds": seconds, "groups": GROUPS}
    answer: dict[str, Any] = json.loads(run(f"python3 /opt/bench/on_host.py {shlex.quote(json.dumps(request))}"))
    return answer


def other_source(folder: Path, number: int) -> Path:
    """Return a copy of the application with a change in its code."""
    copy = folder / f"hello{number}"
    shutil.copytree(PROJECT / "files" / "hello", copy, ignore=shutil.ignore_patterns("__pycache__"))
    app = copy / "app.py"
    app.write_text(app.read_text() + f"\nCHANGE = {number}\n")
    return copy
