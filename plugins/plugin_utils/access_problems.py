"""What is wrong with the keys that say who may use an app, how much, and by which name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.durations import MOST_DAYS, is_duration
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.hostnames import plain_names

# crypt(5), of SHA-256 and SHA-512: a salt, and 43 or 86 characters. With others in its salt, HAProxy would know no password.
SALT = r"[^\s$!*:;\\\x7f-\U0010ffff]{0,16}"
HASH = re.compile(rf"\$(5\$(rounds=\d+\$)?{SALT}\$[A-Za-z0-9./]{{43}}|6\$(rounds=\d+\$)?{SALT}\$[A-Za-z0-9./]{{86}})")
RATE = re.compile(r"[1-9][0-9]{0,8}/[1-9][0-9]{0,4}[smh]")


def access_problems(app: App) -> Iterator[str]:
    """Yield what is wrong with the keys that say who may use an app, and by which name."""
    if app["canonical"] and app["canonical"] not in plain_names(app["hostnames"]):
        yield f"canonical is {app['canonical']!r}. Fix: one of hostnames ({', '.join(plain_names(app['hostnames'])) or 'none'})."
    if app["rate_limit"] and not (
        RATE.fullmatch(app["rate_limit"]) and is_duration(app["rate_limit"].partition("/")[2])
    ):
        yield f"rate_limit is {app['rate_limit']!r}. Fix: requests/time, like 100/10s or 1000/1m, of at most {MOST_DAYS} days."
    for user, password in app["auth"].items():
        if not isinstance(user, str):
            # To YAML, no and 0123 are none.
            yield f"auth has the user {user!r}, no text to YAML. Fix: put the name in quotes."
        elif not re.fullmatch(r"[A-Za-z0-9._@-]+", user):
            yield f"auth has the user {user!r}. Fix: letters, digits and . _ @ -."
        elif not HASH.fullmatch(str(password)):
            yield (
                f"auth.{user} is no whole hash (value not shown). Fix: all that `openssl passwd -5` prints, which begins with $5$; "
                "in quotes that no shell reads."
            )
    for address in app["maintenance"].get("allow") or []:
        if not is_network(address):
            yield f"maintenance.allow has {address!r}. Fix: an address or a network, like 192.0.2.0/24."


def is_network(network: Any) -> bool:  # noqa: ANN401
    """Say whether HAProxy takes it as an address or a network."""
    if not isinstance(network, str) or "%" in network:
        return False
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    # To Python, 0.0.0.255 is 24 bits as well; to HAProxy it is every address that ends in 0.
    mask = network.partition("/")[2]
    return "." not in mask or mask == str(found.netmask)
