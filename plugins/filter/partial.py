"""What a run leaves as it is, and says of it, for templates."""

from __future__ import annotations

from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.partial import (
    flask_backends_kept,
    flask_failures,
    flask_former_balancers,
    flask_going_problems,
    flask_left,
    flask_left_words,
    flask_reason,
    flask_removal_problem,
    flask_route_problems,
    flask_unasked,
    flask_unlisted,
)


class FilterModule:
    """Make the functions available under their names."""

    def filters(self) -> dict[str, Any]:
        """Return {name of the filter: function}."""
        return {
            "flask_backends_kept": flask_backends_kept,
            "flask_failures": flask_failures,
            "flask_former_balancers": flask_former_balancers,
            "flask_going_problems": flask_going_problems,
            "flask_left": flask_left,
            "flask_left_words": flask_left_words,
            "flask_reason": flask_reason,
            "flask_removal_problem": flask_removal_problem,
            "flask_route_problems": flask_route_problems,
            "flask_unasked": flask_unasked,
            "flask_unlisted": flask_unlisted,
        }
