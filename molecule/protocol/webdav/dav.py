"""WsgiDAV, which gives its status while the answer is iterated, on a folder of the instance's state."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wsgidav.wsgidav_app import WsgiDAVApp


def make() -> Callable[..., Iterable[bytes]]:
    """Return the application; it has no path of its own for the health check."""
    folder = Path(os.environ["STATE_DIRECTORY"], "files")
    folder.mkdir(exist_ok=True)
    dav = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder)},
            "simple_dc": {"user_mapping": {"*": {"me": {"password": "secret"}}}},
            "logging": {"enable": False},
            "lock_storage": True,
        }
    )

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/health":
            start_response("200 OK", [("Content-Length", "0")])
            return []
        return dav(environ, start_response)

    return app
