"""Import an application once, as its unit would."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import RUNTIME, HostError, journal, run


def prove(app: App, deployment: str, instance: dict[str, Any], seconds: int) -> str:
    """Import the application as the unit would, in the unit's sandbox; return what went wrong, empty if nothing.

    Raises HostError where that is no fault of the application, or takes longer than it has, `seconds`.
    """
    drop_in = RUNTIME / f"{app.unit('check')}.d" / "check.conf"
    write_file(
        drop_in,
        # It listens nowhere.
        app.expected_drop_in(deployment, instance, unit="# No socket.\n")
        + f"Type=oneshot\nRestart=no\nTimeoutStartSec={seconds}\nExecStart=\n"
        + "ExecStart=/usr/bin/python3 -m wsgi_check ${APP_WSGI}\n",
    )
    app.point("check", deployment)
    since = time.time()
    try:
        run("systemctl", "daemon-reload")
        done = subprocess.run(
            ["systemctl", "start", app.unit("check")],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        return _failure(app.unit("check"), done.stderr, since, seconds) if done.returncode else ""
    finally:
        subprocess.run(["systemctl", "reset-failed", app.unit("check")], capture_output=True, check=False)
        app.point("check", None)
        drop_in.unlink()
        drop_in.parent.rmdir()
        run("systemctl", "daemon-reload")


def _failure(unit: str, words: str, since: float, seconds: int) -> str:
    """Return what the application said."""
    if run("systemctl", "show", "--property=Result", "--value", unit).strip() == "timeout":
        raise HostError(
            f"its import was not done after {seconds} s, which is the start_timeout of the app. "
            "Fix: a longer start_timeout, or less to do while it is imported"
        )
    said = journal(unit, since)
    if not said:
        # The unit did not come as far as the application, which is then not to blame.
        raise HostError(f"{unit} could not be started: {words.strip()}")
    return said
