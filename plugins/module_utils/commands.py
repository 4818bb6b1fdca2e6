"""Run a command as an instance of an application runs: its user, its sandbox, the environment of a deployment."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import SYSTEMD, HostError

# What makes a server of the unit.
OF_A_SERVER = ("Type=", "ExecStart=", "Restart=", "RestartSec=", "KillMode=", "TimeoutStopSec=")


def words(command: str) -> list[str]:
    """Return a command as the words that the kernel takes, read as a shell reads them, without a shell's own means.

    systemd-run resolves a first word with its own search path, so env(1) looks for it, on the deployment's. Debian has
    no `python`, which users write.
    """
    found = shlex.split(command)
    if not found:
        raise HostError(f"there is no command in {command!r}. Fix: what is to run, like flask routes")
    return ["/usr/bin/env", "--", "/usr/bin/python3" if found[0] == "python" else found[0], *found[1:]]


def sandbox(app: App, deployment: str) -> list[str]:
    """Return the settings of an instance's unit that make up user, sandbox and environment, by name."""
    unit = read_file(SYSTEMD / f"flask-{app.name}@.service").partition("[Service]\n")[2].partition("\n[")[0]
    lines = [
        *unit.replace("/instances/%i/", f"/deployments/{deployment}/").splitlines(),
        *app.settings(deployment).splitlines(),
    ]
    return [line for line in lines if line and not line.startswith(("#", *OF_A_SERVER))]


def command_line(app: App, deployment: str, name: str, command: str, how: Sequence[str]) -> list[str]:
    """Return the command line that runs a command as a unit called `name`, with options of systemd-run(1) that say how."""
    if not (app.deployments / deployment / "env").is_file():
        raise HostError(
            f"{app.name} has no deployment {deployment} on this host. Fix: ansible-playbook flask_haproxy.deploy.site"
        )
    line = ["systemd-run", f"--unit={name}", "--quiet", "--collect", "--wait", "--service-type=exec", *how]
    line += [f"--property={setting}" for setting in sandbox(app, deployment)]
    # systemd puts variables in, which are written with `$`.
    return [*line, "--", *(word.replace("$", "$$") for word in words(command))]


def run_in_sandbox(app: App, deployment: str, name: str, command: str, timeout: int = 0) -> tuple[int, str, str]:
    """Run a command and return its exit status and what it wrote to its output and its errors.

    With a timeout (seconds), it is ended then, which is a status of its own.
    """
    how = ["--pipe", *([f"--property=RuntimeMaxSec={timeout}"] if timeout else [])]
    done = subprocess.run(
        command_line(app, deployment, name, command, how), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def shell(app: App, deployment: str) -> str:
    """Return the command for a shell in a deployment: Flask's where the app has that, otherwise Python's."""
    return "flask shell" if (app.deployments / deployment / "release/lib/bin/flask").exists() else "python"
