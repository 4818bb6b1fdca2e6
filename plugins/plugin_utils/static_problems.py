"""What is wrong with the folders of an app whose files are answered without it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.command_problems import STATE as FOLDER

PREFIX = re.compile(r"/|(/(?!\.)[A-Za-z0-9._~-]+)+/?")


def static_problems(app: App) -> Iterator[str]:
    """Yield what is wrong with `static` of a complete app, without a look at its source."""
    seen: list[str] = []
    for prefix, folder in app["static"].items():
        if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
            yield f"static has the prefix {prefix!r}. Fix: a path of the app's URLs, like /static."
            continue
        if not isinstance(folder, str) or not FOLDER.fullmatch(folder):
            yield f"static.{prefix} is {folder!r}. Fix: a folder in the source, like shop/static."
        whole = prefix.rstrip("/") + "/"
        for other in seen:
            if whole.startswith(other) or other.startswith(whole):
                yield (
                    f"static has the prefixes {other.rstrip('/') or '/'} and {prefix}, of which one is in the other. "
                    "Fix: prefixes apart, or one folder for both."
                )
        seen.append(whole)
