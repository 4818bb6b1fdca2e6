"""Whether the servers of a balancer get requests (management guide, section 9.1, `show stat`)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_answers import Health
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import POLL, Balancer

# After a reload, a server counts as UP until its first check: that comes within a second, and where it hangs, a second one.
FIRST_CHECK = 3.0


def down(balancer: Balancer, keys: Iterable[tuple[str, str]], timeout: float) -> dict[tuple[str, str], Health]:
    """Return those of some servers, as (backend, server), that are DOWN, and not UP within `timeout` seconds.

    One that is drained, out by hand or not checked is not; nor is one that the balancer does not have.
    """
    wanted, began = set(keys), time.monotonic()
    while True:
        found = {
            key: health
            for worker in balancer.processes().workers
            for key, health in balancer.health(worker).items()
            if key in wanted
        }
        waited = time.monotonic() - began
        if waited > timeout or not any(one.down or (one.unchecked and waited < FIRST_CHECK) for one in found.values()):
            return {key: one for key, one in found.items() if one.down}
        time.sleep(POLL)
