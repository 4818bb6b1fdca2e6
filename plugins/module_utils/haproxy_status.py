"""What a balancer says of itself and of its servers."""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_answers import rows
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_canary import canaries
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import (
    ACME,
    CONFIG,
    MAINTENANCE,
    OURS,
    altered,
    drained,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_maintenance import in_maintenance
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import MASTER_SOCKET, ask, processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_parser import HAPROXY
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_service import loaded, restart_needed
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import replaced, run

# Of `show info` (management guide, section 9.3), what a person asks for.
OF_INFO = ("Version", "Uptime_sec", "CurrConns", "Maxconn", "Maxsock", "Ulimit-n", "DroppedLogs", "CumReq")
FRONTEND, SERVER = "0", "2"  # of `show stat`, the types of lines


def parse_info(shown: str) -> dict[str, Any]:
    """Read `show info`: numbers where they are numbers. ValueError for no answer to it."""
    pairs = dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)
    if "Uptime_sec" not in pairs:
        raise ValueError(f"this is no answer to `show info`: {shown[:200]!r}")
    found = {key: pairs[key].strip() for key in OF_INFO if key in pairs}
    return {key: int(value) if value.isdigit() else value for key, value in found.items()}


def parse_stat(shown: str) -> list[dict[str, Any]]:
    """Read the servers of `show stat`. ValueError for anything else.

    {backend, server, address, status, weight, since, check, why, took, now, requests, errors} of each, see C(haproxy_status):
    counts are since the worker was started, `since` is in seconds, `took` in milliseconds or None. `errors` are answers of 500
    and above, connections that failed and answers that were broken off.
    """
    found = []
    for row in rows(shown).values():
        if row["type"] == SERVER:
            number = {
                key: int(row[key] or 0)
                for key in ("scur", "qcur", "stot", "econ", "eresp", "hrsp_5xx", "lastchg", "weight")
            }
            check = f"{row['check_status'].removeprefix('* ')} {row['check_code']}".strip()
            found.append(
                {
                    "backend": row["pxname"],
                    "server": row["svname"],
                    "address": row["addr"],
                    "status": row["status"],
                    "weight": number["weight"],
                    "since": number["lastchg"],
                    "check": check,
                    "why": row["last_chk"],
                    "took": int(row["check_duration"]) if row["check_duration"] else None,
                    "now": number["scur"] + number["qcur"],
                    "requests": number["stot"],
                    "errors": number["hrsp_5xx"] + number["econ"] + number["eresp"],
                }
            )
    return found


def closed_frontends(shown: str) -> list[str]:
    """Return the frontends of `show stat` that take no connection, as somebody has told a worker by its socket."""
    return [row["pxname"] for row in rows(shown).values() if (row["type"], row["status"]) == (FRONTEND, "PAUSED")]


def parse_certificate(shown: str) -> dict[str, Any]:
    """Read `show ssl cert FILE`: {subject, ends, sha1}, `ends` in seconds of the epoch."""
    pairs = dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)
    ends = datetime.strptime(pairs["notAfter"].strip(), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()
    return {
        "subject": pairs.get("Subject", "").strip(),
        "ends": ends,
        "sha1": pairs["SHA1 FingerPrint"].strip().upper(),
    }


def stored_sha1(path: Path) -> str | None:
    """Return the fingerprint of the first certificate of a PEM file; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", read_file(path), re.DOTALL)
        if found:
            der = ssl.PEM_cert_to_DER_cert(found[0])
            return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
    return None


def certificates(worker: int) -> list[dict[str, Any]]:
    """Return the certificates that a worker has loaded, each with its file and whether the file still is that one."""
    found = []
    for line in ask(f"@!{worker} show ssl cert").splitlines():
        name = line.strip()
        if name.startswith("/"):
            with contextlib.suppress(KeyError, ValueError):
                one = parse_certificate(ask(f"@!{worker} show ssl cert {name}"))
                found.append(one | {"file": name, "stored": stored_sha1(Path(name)) == one["sha1"]})
    return found


def reloads(shown: str) -> int:
    """Return how often the master of `show proc` has loaded a configuration after its first one."""
    master = next(line.split() for line in shown.splitlines() if " master " in line)
    return int(master[2])


def configuration(path: Path = CONFIG) -> dict[str, Any]:
    """Say of the configuration on disk whether it is ours, was changed by hand, is the one that runs, and could be loaded."""
    text = read_file(path) if path.is_file() else ""
    return {"ours": OURS in text, "altered": altered(text), "loaded": loaded(path), "refused": refused(path)}


def refused(path: Path) -> str:
    """Return the first thing that HAProxy's parser has against a file or what it names; empty for nothing."""
    done = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(path)], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    found = re.search(r"\[ALERT\].*? : (?:config : )?(.+)", done.stderr)
    return (found[1] if found else f"haproxy -c ended with {done.returncode}") if done.returncode else ""


def maintenance() -> dict[str, float]:
    """Return the backends that are in maintenance, and since when none has begun or ended (seconds of the epoch)."""
    with contextlib.suppress(OSError):
        return dict.fromkeys(in_maintenance(read_file(MAINTENANCE)), MAINTENANCE.stat().st_mtime)
    return {}


def renewed() -> bool:
    """Say whether certbot's timer renews what certificates there are of it."""
    return not read_json(ACME) or run("systemctl", "is-active", "certbot.timer", check=False).strip() == "active"


def status() -> dict[str, Any]:
    """Return what the youngest worker says. OSError or ValueError where nobody answers."""
    now = processes()
    if not now.workers:
        raise ValueError("HAProxy's master has no worker")
    worker = max(now.workers)
    info = parse_info(ask(f"@!{worker} show info"))
    shown = ask(f"@!{worker} show stat -1 5 -1")  # frontends and servers
    return {
        "version": info.pop("Version"),
        "uptime": info.pop("Uptime_sec"),
        "info": info,
        "reloads": reloads(ask("show proc", MASTER_SOCKET)),
        "old_workers": len(now.old_workers),
        "failed_reloads": now.failed,
        "servers": parse_stat(shown),
        "closed_frontends": closed_frontends(shown),
        "certificates": certificates(worker),
        "configuration": configuration(),
        "restart_needed": restart_needed(),
        "replaced": replaced(worker),
        "drained": drained(),
        "maintenance": maintenance(),
        "renewed": renewed(),
        "canaries": {
            backend: {key: one[key] for key in ("server", "share", "who", "since")}
            for backend, one in canaries().items()
        },
    }
