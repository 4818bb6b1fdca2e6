"""What a balancer is, beside what it is to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_canary import (
    canaries,
    carry_counts,
    with_canaries,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import (
    CERTIFICATES,
    CONFIG,
    LOADED,
    MAINTENANCE,
    PAGES,
    SEAL,
    altered,
    drained,
    sealed,
    standing_in,
    with_drained,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import MASTER_SOCKET, processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_parser import HAPROXY, refusal
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_referred import changed_since, digests
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_servers import Balancer
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import (
    apply,
    loaded,
    main_pid,
    restart_needed,
    started_at,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "content": {"type": "str"},
    "backends": {"type": "list", "elements": "dict"},
    # Keys of certificates are in them.
    "files": {"type": "dict", "no_log": True},
    "stand_ins": {"type": "dict", "no_log": True},
    "acme": {"type": "dict"},
    "path": {"type": "path", "default": str(CONFIG)},
    "takeover": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": False},
}
NOT_VALIDATED = "HAProxy is not installed here yet, so the configuration was not validated."


class Wanted:
    """A configuration that is to be, from the options that C(haproxy_info) and C(haproxy_config) share.

    The servers that are out by hand are disabled in it, beside those that are so by their own line, and canaries have the
    weights that give them their share. `beside` are files that it names and that differ, with what they are to hold;
    nobody but root reads them.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.path = Path(params.get("path", CONFIG))
        self.old = read_file(self.path) if self.path.is_file() else None
        # Without the weights of canaries, which end a line.
        content = with_canaries((params.get("content") or self.old or "").rstrip("\n"), {})
        self.content = with_canaries(with_drained(content, drained(), params.get("back") or []), canaries())
        # What somebody changed by hand is still known for it when a drain has gone over it.
        if params.get("content") or (self.old and SEAL in self.old and not altered(self.old)):
            self.content = sealed(self.content)
        stand_ins = standing_in(params.get("stand_ins") or {}, params.get("acme") or {})
        asked = {Path(path): str(text) for path, text in (stand_ins | (params.get("files") or {})).items()}
        self.before = {path: read_file(path) if path.is_file() else None for path in asked}
        self.beside = {path: text for path, text in asked.items() if self.before[path] != text}
        self.differs = self.content != self.old or bool(self.beside)
        self.files = self._read()
        self.installed = HAPROXY.exists()

    def refusal(self) -> str:
        """Return why HAProxy cannot have it, empty where it can."""
        takeover, backends = self.params.get("takeover", False), self.params.get("backends") or []
        extras = {backend["name"]: backend.get("extra") or [] for backend in backends}
        return refusal(self.content, self.beside, self.path, self.params.get("sandbox"), takeover, extras)

    def restarts(self) -> bool:
        """Say whether HAProxy is to be restarted for it: the unit has changed, and somebody has chosen the time."""
        return self.params.get("restart", False) and restart_needed()

    def pending(self) -> bool:
        """Say whether there is something to do: to write, to restart, or to load what an interrupted run has written.

        Or to load a file anew that the configuration refers to, as a certificate that was renewed.
        """
        return self.differs or self.restarts() or (bool(main_pid()) and not loaded(self.path)) or bool(self.renewed())

    def load(self, restart: bool) -> tuple[str, str]:
        """Write and load it; return what was done to the service and what went wrong, after which the old one is back."""
        carry_counts()
        self._write(self.content, self.beside)
        # Before it is loaded: what changes while it is loaded is noticed by the next run.
        self.files = self._read()
        action, problem = apply(restart)
        if not problem:
            self.record()
            return action, ""
        if self.old is None or not self.differs:
            return action, f"{self.path} is valid but could not be loaded: {problem}"
        self._write(self.old, {path: self.before[path] for path in self.beside})
        again = apply(restart=False)[1]
        return action, (
            f"The new {self.path} is valid but could not be loaded, so the old one is back"
            f"{f' (and was not loaded either: {again})' if again else ' and loaded'}.\n{problem}"
        )

    def prune(self) -> None:
        """Remove the certificates and pages that a new configuration no longer has; what somebody's own lines name stays."""
        needed = {*map(str, self.before), *(self.params.get("stand_ins") or {}), *self.files}
        there = (*CERTIFICATES.glob("*.pem"), *PAGES.glob("*.html"))
        for path in there if self.params.get("content") else ():
            if str(path) not in needed:
                path.unlink()

    def _read(self) -> dict[str, str]:
        """Return what HAProxy reads beside its configuration, but for what it is told at run time."""
        return {path: digest for path, digest in digests(self.content).items() if path != str(MAINTENANCE)}

    def _write(self, content: str, files: Mapping[Path, str | None]) -> None:
        for path, text in files.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(mode=0o700, exist_ok=True)
                write_file(path, text, 0o600)
        if content != (read_file(self.path) if self.path.is_file() else None):
            # Hashes of passwords may be in it, and what a user wrote into its lines.
            write_file(self.path, content, 0o640)

    def renewed(self) -> list[str]:
        """Return the files that the configuration refers to and that are not as HAProxy has read them."""
        try:
            started = started_at(max(processes().workers))
        except (OSError, ValueError):
            return []
        return changed_since(self.files, read_json(LOADED).get("files", {}), started)

    def to_record(self) -> dict[str, Any]:
        """Return what is to be known of the configuration once it is loaded; where nobody says what it is made of, as before."""
        before, backends = read_json(LOADED), self.params.get("backends")
        found = before | {"files": self.files}
        if backends is not None:
            servers = {f"{backend['name']}/{server['name']}" for backend in backends for server in backend["servers"]}
            found |= {"backends": backends, "servers": sorted(servers.union(before.get("servers", [])))}
        return found

    def unrecorded(self) -> bool:
        """Say whether that is not what is known of it."""
        return self.to_record() != read_json(LOADED)

    def record(self) -> None:
        """Write it down."""
        if self.unrecorded():
            write_file(LOADED, json.dumps(self.to_record()) + "\n", 0o600)


def left_out() -> list[str]:
    """Return the servers that are drained or unchecked at run time."""
    if not main_pid() or not Path(MASTER_SOCKET).exists():
        return []
    balancer = Balancer()
    return [
        f"{server.backend}/{server.name}"
        for worker in balancer.processes().workers
        for server in balancer.servers(worker).values()
        if (server.drained or server.held) and not server.by_hand
    ]
