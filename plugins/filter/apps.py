"""The model of plugin_utils/apps.py for templates."""

from __future__ import annotations

from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import (
    flask_all_out,
    flask_app_balancers,
    flask_apps_complete,
    flask_apps_here,
    flask_apps_on,
    flask_backends,
    flask_bytes,
    flask_ports,
    flask_servers,
    flask_servers_on,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.health import flask_health


class FilterModule:
    """Make the functions available under their names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_all_out": flask_all_out,
            "flask_app_balancers": flask_app_balancers,
            "flask_apps_complete": flask_apps_complete,
            "flask_apps_here": flask_apps_here,
            "flask_apps_on": flask_apps_on,
            "flask_backends": flask_backends,
            "flask_bytes": flask_bytes,
            "flask_health": flask_health,
            "flask_ports": flask_ports,
            "flask_servers": flask_servers,
            "flask_servers_on": flask_servers_on,
        }
