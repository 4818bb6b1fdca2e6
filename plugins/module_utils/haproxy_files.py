"""Files of a balancer: whose haproxy.cfg it is, and which servers are out by hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run

CONFIG = Path("/etc/haproxy/haproxy.cfg")
# {"backend/server": {"who": …, "since": …}}
DRAINED = Path("/etc/haproxy/drained.json")
# What is loaded: {"backends": […], "files": {path: SHA-256}}, and "servers", all that there ever were, `backend/server`.
LOADED = Path("/etc/haproxy/loaded.json")
# Those that the role keeps; nobody else is to put any there.
CERTIFICATES = Path("/etc/haproxy/certificates")
# A line for each backend that is in maintenance: its name, and `on`.
MAINTENANCE = Path("/etc/haproxy/maintenance.map")
# Pages that are shown meanwhile, by the names of their backends.
PAGES = Path("/etc/haproxy/maintenance")
# {name: {path, names, …}}: what certbot keeps for HAProxy, as it was asked for.
ACME = Path("/etc/haproxy/acme.json")
OURS = "Written by the role haproxy;"
SEAL = "# SHA-256 of the lines above, as they were written: "


def foreign(path: Path) -> bool:
    """Say whether a file is neither ours nor as the package brought it (dpkg keeps the checksum of its conffiles)."""
    if not path.is_file() or OURS in read_file(path):
        return False
    shown = run("dpkg-query", "--show", "--showformat=${Conffiles}", "haproxy", check=False)
    packaged = dict(line.split()[:2] for line in shown.splitlines() if line.strip())
    return packaged.get(str(path)) != hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def drained() -> dict[str, dict[str, str]]:
    """Return the servers that are out by hand, with who took them out and when."""
    return read_json(DRAINED)


def known_backends(config: str) -> list[dict[str, Any]]:
    """Return the backends that are there: what is recorded of them, else the names that a configuration has."""
    names = re.findall(r"^backend\s+(\S+)", config, re.MULTILINE)
    return list(read_json(LOADED).get("backends", [{"name": name} for name in names]))


def known_servers() -> list[str]:
    """Return the servers that are or once were in the configuration, `backend/server`, as far as it was recorded."""
    return list(read_json(LOADED).get("servers", []))


def standing_in(texts: Mapping[str, str], acme: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return {path: text} of the files in `texts` that are not there yet.

    For a certificate that is to be issued (`acme`, {name: {path, names}}), that is one which has been issued for the same
    names, of an app that was called otherwise or is gone; where there is none, what `texts` has.
    """
    names = {one["path"]: set(one["names"]) for one in acme.values()}
    older = [one for one in read_json(ACME).values() if "failed" not in one and Path(one["path"]).is_file()]
    found = {path: text for path, text in texts.items() if not Path(path).exists()}
    for path in found.keys() & names.keys():
        same = next((Path(one["path"]) for one in older if names[path] <= set(one["names"])), None)
        found[path] = read_file(same) if same else found[path]
    return found


def with_drained(config: str, out: Collection[str], back: Collection[str] = ()) -> str:
    """Return a configuration in which the servers that are out by hand are `disabled`, and those that are back no longer.

    Others stay as they are written: somebody may have a server of their own `disabled`.
    """
    lines, backend = [], ""
    for line in config.splitlines():
        section = re.match(r"(?:backend|listen)\s+(\S+)", line)
        if section:
            backend = section[1]
        server = re.match(r"\s+server\s+(\S+)\s", line)
        name = f"{backend}/{server[1]}" if server else ""
        if name in out or name in back:
            line = line.removesuffix(" disabled") + (" disabled" if name in out else "")
        lines.append(line)
    return "\n".join(lines) + "\n"


def sealed(config: str) -> str:
    """Return a configuration with its checksum as its last line, by which a change by hand is known."""
    body = "".join(line for line in config.splitlines(keepends=True) if not line.startswith(SEAL))
    return f"{body}{SEAL}{_digest(body)}\n"


def altered(config: str) -> bool:
    """Say whether a sealed configuration is not as it was written; one without a seal may be of an older release."""
    body, seal, digest = config.rpartition(SEAL)
    return bool(seal) and digest != f"{_digest(body)}\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
