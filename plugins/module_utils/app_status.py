"""What runs of the applications of a host, and which deployments they have."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import ROOT
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import (
    SYSTEMD,
    process_environment,
    run,
    unit_states,
)

PROPERTIES = ("Result", "MemoryCurrent", "NeedDaemonReload", "DropInPaths", "ActiveEnterTimestamp")
OF_OTHERS = ("Result", "InactiveEnterTimestamp", "ActiveEnterTimestamp")
# The unit of an instance that serves: its number tells it from those of processes and timers.
INSTANCE = re.compile(r"flask-(.+)@(\d+)\.service")


def seconds(timestamp: str) -> float | None:
    """Return a time as `systemctl show --timestamp=unix` has it, in seconds of the epoch; None for never."""
    return float(timestamp[1:]) if timestamp.startswith("@") else None


def memory(state: dict[str, str]) -> int | None:
    """Return the bytes that a unit has, of its main process alone where the kernel does not count those of units."""
    if state["MemoryCurrent"].isdigit():
        return int(state["MemoryCurrent"])
    with contextlib.suppress(OSError):
        found = re.search(r"^VmRSS:\s+(\d+) kB", read_file(Path("/proc", state["MainPID"], "status")), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    return None


def open_files(pid: str) -> tuple[int, int] | None:
    """Return how many files a process has open and how many it may have; None for one that does not run."""
    with contextlib.suppress(OSError):
        limit = re.search(r"^Max open files\s+(\d+)", read_file(Path("/proc", pid, "limits")), re.MULTILINE)
        return (len(os.listdir(f"/proc/{pid}/fd")), int(limit[1])) if limit else None  # noqa: PTH208 (a fifth of the time)
    return None


def apps() -> list[str]:
    """Return the names of the applications of this host, by what lies and runs here, whatever any list says.

    Somebody may have removed the folder of one by hand, so drop-ins of its units count as well.
    """
    found = {path.name for path in ROOT.glob("*") if (path / "deployments").is_dir() or (path / "instances").is_dir()}
    found |= {match[1] for path in SYSTEMD.glob("flask-*@*.service.d") if (match := INSTANCE.match(path.name))}
    return sorted(found)


def instances(app: App) -> list[dict[str, Any]]:
    """Return what is known of each instance of an application, see C(flask_status)."""
    numbers = app.numbers()
    states = unit_states([app.unit(number) for number in numbers], *PROPERTIES)
    on = {one["number"]: one for one in app.on(numbers)}
    found = []
    for number in numbers:
        unit = app.unit(number)
        state, live = states[unit], on.get(number, {"deployment": None, "release": None, "since": None})
        address, port = app.listens_at(number) or (None, None)
        theirs = [path for path in state["DropInPaths"].split() if Path(path) != app.drop_in(number)]
        found.append(
            live
            | {
                "number": number,
                "unit": unit,
                "address": address,
                "port": port,
                "state": state["ActiveState"],
                "substate": state["SubState"],
                "result": state["Result"],
                "started": seconds(state["ActiveEnterTimestamp"]),
                "restarts": int(state["NRestarts"]),
                "memory": memory(state),
                "files": open_files(state["MainPID"]),
                "runs": process_environment(state["MainPID"]).get("APP_DEPLOYMENT"),
                "enabled": app.enabled(number),
                "reload_needed": state["NeedDaemonReload"] == "yes",
                "foreign_drop_ins": [path for path in theirs if path.startswith(str(SYSTEMD))],
            }
        )
    return found


def deployments(app: App) -> dict[str, dict[str, Any]]:
    """Return {id: {version, release, bad, source, made_of, written}} of the deployments that are there."""
    found = {}
    for path in app.deployments.glob("*/deployment.json"):
        deployment = path.parent.name
        record = app.record(deployment)
        about = {"version": record.get("version", deployment), "release": record.get("release")}
        about |= {"bad": app.bad(deployment), "source": record.get("source", {}), "written": record.get("written")}
        about["made_of"] = record.get("made_of", about["source"])
        found[deployment] = about
    return found


def other_units() -> list[dict[str, Any]]:
    """Return what else of applications systemd has: services and timers that are no instances."""
    shown = run(
        "systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "flask-*.service", "flask-*.timer"
    )
    names = [line.split()[0] for line in shown.splitlines() if line.strip()]
    states = unit_states([name for name in names if not INSTANCE.fullmatch(name)], *OF_OTHERS)
    ran = timer_times() if any(name.endswith(".timer") for name in names) else {}
    return [
        {
            "unit": unit,
            "state": state["ActiveState"],
            "substate": state["SubState"],
            "result": state.get("Result"),
            # A timer has no process.
            "restarts": int(state.get("NRestarts", 0)),
            "started": seconds(state.get("ActiveEnterTimestamp", "")),
            "last": ran.get(unit, {}).get("last") or seconds(state.get("InactiveEnterTimestamp", "")),
            "next": ran.get(unit, {}).get("next"),
        }
        for unit, state in states.items()
    ]


def timer_times() -> dict[str, dict[str, float]]:
    """Return {timer: {last, next}} in seconds of the epoch, without what never was or is not to come.

    `systemctl show` has these two in words alone, in the time zone of the host, whatever `--timestamp` asks for.
    """
    found = json.loads(run("systemctl", "list-timers", "--all", "--output=json", "flask-*.timer"))
    return {one["unit"]: {key: one[key] / 1e6 for key in ("last", "next") if one.get(key)} for one in found}
