"""A deployment of an application: a release, an environment and the settings of the unit under one id."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import COMMANDS, PROVEN
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME, read_file, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.proof import prove
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.staleness import health
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import SYSTEMD, quoted, run

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def full_environment(app: App, params: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a deployment without its id: the user's part, over which ours wins."""
    environment: dict[str, str] = json.loads(params["environment"] or "{}")
    home = app.releases / params["release"]
    ours = {f"APP_{key.upper()}": str(value) for key, value in params["settings"].items()}
    # Not by way of the instance's link: an import late in a process' life must come from the release it was started with.
    ours |= {
        "PYTHONPATH": f"{home}/app:{home}/lib",
        "APP_RELEASE": params["release"],
        # systemd would list the folders of `state_paths` as well.
        "STATE_DIRECTORY": f"/var/lib/flask-{app.name}",
        # Commands of what the app requires.
        "PATH": f"{home}/lib/bin:{environment.get('PATH', DEFAULT_PATH)}",
    }
    # The `flask` command looks for the application there, which it writes as we do.
    return {"FLASK_APP": ours["APP_WSGI"]} | environment | ours


def health_problem(app: App, params: dict[str, Any]) -> str:
    """Say why a changed health path cannot be rolled out: the balancers ask all instances for one path.

    Where what is live answers its own path and not the new one, it would leave the rotation as soon as the balancers ask
    for the new one, and a new instance would not enter it as long as they ask for the old one.
    """
    for instance in params["instances"]:
        live, at = app.linked(instance["number"]), app.listens_at(instance["number"])
        asked = (params["health"], params["health_check"])
        if live and at and (app.health_path(live), app.health_check(live)) != asked:
            path, host = app.health_path(live), instance["health_host"]
            new = health(*at, params["health"], host, params["health_check"])
            if new and not health(*at, path, host, app.health_check(live)):
                return (
                    f"health of {app.name} is {params['health']}, which what is live does not answer ({new}); it answers {path}. "
                    f"No instance was touched. Fix: deploy code that answers both paths with health: {path}, then change it."
                )
    return ""


def same(path: Path, text: str, mode: int) -> bool:
    """Say whether a file has this text and this mode."""
    return path.is_file() and read_file(path) == text and path.stat().st_mode & 0o7777 == mode


def unit_diff(path: Path, text: str) -> dict[str, str]:
    """Return what `--diff` shows for a unit."""
    before = read_file(path) if path.is_file() else ""
    return {"before": before, "after": text, "before_header": str(path), "after_header": str(path)}


class Deployment:
    """A deployment that is to be: its id, its files, and the units of the app."""

    def __init__(self, app: App, params: dict[str, Any]) -> None:
        self.app, self.params = app, params
        self.variables = full_environment(app, params)
        environment = "".join(f"{key}={quoted(value)}\n" for key, value in self.variables.items())
        settings = "".join(f"{line}\n" for line in params["unit_settings"])
        commands = json.dumps(params["commands"], indent=2, sort_keys=True) + "\n"
        digest = hashlib.sha256("\0".join([environment, settings, commands, *params["units"].values()]).encode())
        self.id = digest.hexdigest()[:12]
        self.home = app.deployments / self.id
        self.files = {
            "env": (f"{environment}APP_DEPLOYMENT={quoted(self.id)}\n", 0o600),
            "unit.conf": (settings, 0o644),
            COMMANDS: (commands, 0o644),
        }
        self.units = {SYSTEMD / name: text for name, text in params["units"].items()}
        self.changed_units = [
            path for path, text in self.units.items() if not path.is_file() or read_file(path) != text
        ]
        self.different = [name for name, (text, mode) in self.files.items() if not same(self.home / name, text, mode)]

    def refusal(self) -> str:
        """Return why it is not to be written, empty where nothing speaks against it."""
        reason = self.app.bad(self.id)
        if reason and not self.params["force"]:
            return (
                f"Deployment {self.id} of {self.app.name} was marked bad, {reason}. It is not tried again by itself. "
                f"Fix: change the app or its settings; or, to try it all the same, add `-e flask_app_force=true`."
            )
        return health_problem(self.app, self.params)

    def diff(self) -> list[dict[str, str]]:
        """Return what `--diff` shows."""
        hidden = [{"prepared": f"{self.home / name}: differs; its content is not shown\n"} for name in self.different]
        return [unit_diff(path, self.units[path]) for path in self.changed_units] + hidden

    def write(self) -> None:
        """Write it, and remove what is no longer needed."""
        params, home = self.params, self.home
        for path in self.changed_units:
            write_file(path, self.units[path])
        if self.changed_units:
            run("systemctl", "daemon-reload")
        for name in self.different:
            write_file(home / name, *self.files[name])
        if not (home / "release").is_symlink():
            (home / "release").symlink_to(f"../../releases/{params['release']}")
        record = {"deployment": self.id, "socket": True}
        record |= {key: params[key] for key in ("release", "version", "health", "health_check", "source")}
        there = self.app.record(self.id)
        if not record.items() <= there.items():
            write_file(home / "deployment.json", json.dumps(record | self._origin(there)) + "\n")
            self.app.prune(params["keep"], self.id)

    def _origin(self, there: dict[str, Any]) -> dict[str, Any]:
        """Return when it was first written, and of which source: another one with the same content is the same deployment.

        `there` is its record, empty where it is new.
        """
        made_of = there.get("made_of", there.get("source", self.params["source"]))
        return {"written": there.get("written", time.strftime(TIME)), "made_of": made_of}

    def import_problem(self) -> str:
        """Import its application where that has not been proven, and return what went wrong, empty if nothing."""
        if not self.different and (self.home / PROVEN).exists():
            return ""
        problem = prove(self.app, self.id, self.params["instances"][0], self.params["start_timeout"])
        if problem and self.app.has_another(self.id):
            self.app.mark_bad(self.id, "its application could not be imported")
        elif not problem:
            write_file(self.home / PROVEN, "")
        return problem
