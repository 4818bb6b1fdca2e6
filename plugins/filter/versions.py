"""Versions of deployments, for templates."""

from __future__ import annotations

from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.versions import (
    flask_release_host,
    flask_rollback,
    flask_version,
)


class FilterModule:
    """Make the functions available under their names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_release_host": flask_release_host,
            "flask_rollback": flask_rollback,
            "flask_version": flask_version,
        }
