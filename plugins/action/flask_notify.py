"""Run on the control node what is to be told of a run: once for each app, after everything else."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from typing import IO, Any

from ansible.plugins.action import ActionBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.notices import notice, reasons_of
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.who import who

LINES = 10  # of what a command that fails has written
LONGEST = 100_000  # bytes of a variable (execve(2) has a limit of 131072)


def as_variable(value: str) -> str:
    """Return a text as far as the kernel takes it, which counts bytes and takes no NUL."""
    return value.replace("\0", "").encode(errors="replace")[:LONGEST].decode(errors="ignore")


def tell(command: str, told: dict[str, str], folder: str, seconds: float) -> str:
    """Run a command, and return what went wrong, empty for nothing. It may hold a secret, so it is not shown."""
    variables = {key: as_variable(value) for key, value in told.items()}
    # Into files: a pipe would be waited for until all that the command has left in the background has ended.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            status = subprocess.run(
                shlex.split(command), cwd=folder, env=os.environ | variables, stdin=subprocess.DEVNULL,
                stdout=output, stderr=errors, check=False, timeout=seconds,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it had not ended after {seconds:g} s"
        except OSError as error:
            return f"it cannot be run: {error.strerror}"
        said = _last_lines(errors) or _last_lines(output)
    return f"it ended with status {status}{': ' if said else ''}{said}" if status else ""


def _last_lines(file: IO[bytes]) -> str:
    file.seek(0)
    return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-LINES:])


class ActionModule(ActionBase):
    """Tell of each app that something was done to; what goes wrong with that is a warning."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"commands", "found", "failed", "action", "finished", "folder", "timeout"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, told}."""
        super().run(tmp, task_vars)
        args, told, warnings = self._task.args, [], []
        by = who()
        for app, command in args["commands"].items():
            found = {host: seen.get(app) or {} for host, seen in args["found"].items()}
            reasons = reasons_of(app, args.get("failed") or [])
            words = notice(app, args["action"], found, reasons, bool(args["finished"]))
            if not words or not command or self._task.check_mode:
                continue
            told.append(app)
            problem = tell(str(command), words | {"NOTIFY_BY": by}, args["folder"], float(args.get("timeout", 60)))
            if problem:
                warnings.append(f"notify_command of {app}: {problem}. What was deployed stays.")
        return {"changed": False, "told": told, **({"warnings": warnings} if warnings else {})}
