"""The checks of an inventory for templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import address
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_problems import flask_apps_agreed
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.inventory_problems import flask_problems
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.sources import flask_source


def flask_inventory(folder: str) -> str:
    """Return what the inventory in a folder is called on every machine."""
    return address(Path(folder))


class FilterModule:
    """Make the functions available under their names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_apps_agreed": flask_apps_agreed,
            "flask_inventory": flask_inventory,
            "flask_problems": flask_problems,
            "flask_source": flask_source,
        }
