"""Canaries, for templates."""

from __future__ import annotations

from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.canaries import (
    flask_canaries_over,
    flask_canary,
    flask_canary_lines,
)


class FilterModule:
    """Make the functions available under their names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_canaries_over": flask_canaries_over,
            "flask_canary": flask_canary,
            "flask_canary_lines": flask_canary_lines,
        }
