"""Say on the control node what the hosts have answered: the text as it is, whatever shows the rest of the run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.diagnoses import diagnose, doctor_text
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_diagnoses import CRITICAL, WARNING
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_logs import is_of, log_text
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_releases import releases_text, site_releases
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_status import silence, site_status
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.status_text import status_text
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import plural

# Why a report is no success.
CRITICALLY = {"doctor": "There is something critical.", "logs": "No host has answered."}


class ActionModule(ActionBase):
    """Join the answers, and display the report."""

    _requires_connection = False
    _VALID_ARGS = frozenset({"about", "backends", "app_hosts", "balancers", "journals", "request", "app", "format"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, report, status, failed, msg}."""
        super().run(tmp, task_vars)
        about = {"status": status, "doctor": doctor, "releases": releases, "logs": logs}
        found, text, level = about[self._task.args.get("about", "status")](self._task.args)
        if self._task.args.get("format") == "json":
            text = json.dumps(found, indent=2)
        self._display.display(text)
        # Of what only warns, Ansible has no exit status; the callback `story` has.
        failed = {"failed": True, "msg": CRITICALLY[self._task.args["about"]]} if level == CRITICAL else {}
        return {"changed": False, "report": text, "status": level, **failed}


Arguments = Mapping[str, Any]


def status(arguments: Arguments) -> tuple[Any, str, int]:
    """Return what runs where, for programs and for people."""
    site = site_status(arguments["backends"], arguments["app_hosts"], arguments["balancers"])
    return site, status_text(site, time.time()), 0


def doctor(arguments: Arguments) -> tuple[Any, str, int]:
    """Return what is wrong, and the level of the worst of it."""
    backends, app_hosts, balancers = (arguments[name] for name in ("backends", "app_hosts", "balancers"))
    found = diagnose(backends, app_hosts, balancers, time.time())
    instances = sum(len(backend["servers"]) for backend in backends)
    seen = (
        f"{plural(instances, 'instance')} on {plural(len(app_hosts), 'app host')}, {plural(len(balancers), 'balancer')}"
    )
    levels = {WARNING: "warning", CRITICAL: "critical"}
    shown = [one._asdict() | {"level": levels[one.level]} for one in found]
    return shown, doctor_text(found, seen), max((one.level for one in found), default=0)


def releases(arguments: Arguments) -> tuple[Any, str, int]:
    """Return what was deployed, and where a rollback would go."""
    site = site_releases(arguments["app_hosts"], arguments["journals"], arguments["balancers"])
    return site, releases_text(site), 0


def logs(arguments: Arguments) -> tuple[Any, str, int]:
    """Return the lines of all hosts as one log."""
    journals, request, app = arguments["journals"], arguments.get("request") or "", arguments.get("app") or ""
    asked = {host: found for host, found in journals.items() if found}
    silent = [(host, silence(found | {"host": True})) for host, found in asked.items() if "lines" not in found]
    lines = [line | {"host": host} for host, found in asked.items() for line in found.get("lines", [])]
    lines = [line for line in lines if is_of(app, line)]
    level = CRITICAL if silent and len(silent) == len(asked) else 0
    return sorted(lines, key=lambda line: line["time"]), log_text(asked, request, silent, app), level
