"""What runs of an application beside its instances: processes that always run, and timers.

Each is an instance of the same template unit, called `mail-1` or `nightly` where an instance that serves has a number, so
user, sandbox and environment are the same. A timer has a unit of its own beside it, flask-NAME@nightly.timer. What they
run is in commands.json of a deployment, so a rollback takes it back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import COMMANDS
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.commands import words
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import (
    SYSTEMD,
    process_environment,
    run,
    unit_states,
)

STARTING = 5  # seconds that a process may take beside those that it has to finish
WRITTEN = "# Written by the role flask_app when it is put on a deployment.\n"


@dataclass(frozen=True)
class Units:
    """The units of one process or timer: the drop-in of its service, and its timer, empty for a process."""

    service: str
    timer: str


def timer_path(app: App, process: str) -> Path:
    """Return the unit of a timer."""
    return SYSTEMD / f"flask-{app.name}@{process}.timer"


def _exec_start(command: str) -> str:
    """Return a command as a unit has it (systemd.service(5), "Command lines"): neither `%` nor `$` means anything."""
    escaped = (re.sub(r'([\\"])', r"\\\1", word).replace("%", "%%").replace("$", "$$") for word in words(command))
    return "ExecStart=\nExecStart=" + " ".join(f'"{word}"' for word in escaped) + "\n"


def _service(app: App, deployment: str, host: str, process: str, entry: Mapping[str, Any], lines: str) -> str:
    number = process.rpartition("-")[2]
    return (
        f"{WRITTEN}# Deployment {deployment}\n[Service]\n"
        f"Environment=APP_INSTANCE={host}-{process} APP_NUMBER={number if number.isdigit() else 1} APP_PROCESS={entry['name']}\n"
        f"{_exec_start(entry['command'])}{lines}TimeoutStopSec={entry['stop_timeout']}\n{app.settings(deployment)}"
    )


def _timer(app: App, entry: Mapping[str, Any]) -> str:
    return (
        f"{WRITTEN}[Unit]\nDescription=Timer {entry['name']} of the Flask app {app.name}\nPartOf=flask-{app.name}.target\n\n"
        f"[Timer]\nOnCalendar={entry['calendar']}\nPersistent={'yes' if entry['catch_up'] else 'no'}\nAccuracySec=1s\n\n"
        f"[Install]\nWantedBy=flask-{app.name}.target\n"
    )


def wanted(app: App, deployment: str, commands: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Units]:
    """Return the units of what a deployment runs beside its instances on a host: {host, first}, its name and its place."""
    found = {}
    for entry in commands.get("processes", []):
        for number in range(1, int(entry["instances"]) + 1) if here["first"] or entry["hosts"] == "all" else ():
            process = f"{entry['name']}-{number}"
            # One that ends is not started again at once, as one that serves is: nobody waits in its socket.
            found[process] = Units(_service(app, deployment, here["host"], process, entry, "RestartSec=1\n"), "")
    lines = "Type=oneshot\nRestart=no\nTimeoutStartSec=infinity\n"
    for entry in commands.get("timers", []):
        if here["first"] or entry["hosts"] == "all":
            service = _service(app, deployment, here["host"], entry["name"], entry, lines)
            found[entry["name"]] = Units(service, _timer(app, entry))
    return found


def commands_of(app: App, deployment: str) -> dict[str, Any]:
    """Return what a deployment runs beside its instances; nothing for one that was made before there was any of it."""
    return read_json(app.deployments / deployment / COMMANDS)


def there(app: App) -> list[str]:
    """Return the names of the processes and timers that this host has, from their links and their units."""
    pattern = re.compile(rf"flask-{re.escape(app.name)}@([a-z]\w*(?:-\d+)?)\.(?:service\.d|timer)")
    found = {match[1] for path in SYSTEMD.glob(f"flask-{app.name}@*") if (match := pattern.fullmatch(path.name))}
    found |= {path.name for path in app.instances.glob("[a-z]*")}
    return sorted(found - {"check"})


def _reason(app: App, deployment: str, process: str, units: Units) -> str:
    """Return why a process or timer has to be put on a deployment, empty where it need not."""
    on, timer = app.linked(process), timer_path(app, process)
    if on != deployment:
        return f"was on {on}" if on else "is new"
    if app.drop_ins(process)[0] != units.service or (read_file(timer) if timer.is_file() else "") != units.timer:
        return "has other units"
    unit = timer.name if units.timer else app.unit(process)
    if not app.wants(unit):
        return "is not enabled"
    if units.timer:
        active = run("systemctl", "is-active", unit, check=False).strip()
        return "" if active == "active" else f"is {active}"
    state = unit_states([unit])[unit]
    if state["ActiveState"] != "active":
        return f"is {state['ActiveState']}"
    running = process_environment(state["MainPID"]).get("APP_DEPLOYMENT")
    return "" if running == deployment else f"still runs {running}"


def _stopping(app: App, process: str) -> int:
    """Return how many seconds a process may take to finish, by the units that it has; none where it has none yet."""
    found = re.search(r"^TimeoutStopSec=(\d+)", app.drop_ins(process)[0] or "", re.MULTILINE)
    return int(found[1]) if found else 0


def process_changes(app: App, deployment: str, commands: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be put on a deployment, each with why (`processes`), and what to be removed (`surplus_processes`).

    `stop_seconds` is how long all that may take, one after the other.
    """
    units = wanted(app, deployment, commands, here)
    stale = [
        {"process": process, "reason": reason}
        for process, one in units.items()
        if (reason := _reason(app, deployment, process, one))
    ]
    surplus = [process for process in there(app) if process not in units]
    # What a timer has started goes on, where that stays.
    stopped = [*surplus, *(one["process"] for one in stale if not units[one["process"]].timer)]
    seconds = sum(_stopping(app, process) + STARTING for process in stopped)
    return {"processes": stale, "surplus_processes": surplus, "stop_seconds": seconds}
