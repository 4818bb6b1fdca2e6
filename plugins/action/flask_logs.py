"""Ask a host for lines of its journal, and go on asking while they are followed."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.site_logs import log_lines

AGAIN = 1.0  # seconds between two questions


class ActionModule(ActionBase):
    """Return the lines, or display them as they come."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module returns; what was displayed is not in it."""
        super().run(tmp, task_vars)
        asked, host = dict(self._task.args), str((task_vars or {}).get("inventory_hostname", ""))
        end, app = time.monotonic() + float(asked.pop("follow", 0)), str(asked.pop("app", ""))
        while True:
            result: dict[str, Any] = self._execute_module(
                "flask_haproxy.deploy.flask_logs", module_args=asked, task_vars=task_vars
            )
            if result.get("failed") or time.monotonic() > end:
                return result
            for line in log_lines({host: result}, app=app):
                self._display.display(line)
            asked["after"] = result["cursor"]
            result["lines"] = []
            time.sleep(AGAIN)
