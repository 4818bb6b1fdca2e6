"""The files beside haproxy.cfg that a balancer needs: certificates, of what the user names or from an issuer (ACME)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.certificates import (
    SOON,
    Certificate,
    covers,
    read_certificate,
    stand_in,
)
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import HALF

FOLDER = "/etc/haproxy/certificates"
A_FILE = "a file on this machine, seen from the inventory's folder; if it is encrypted, the password of ansible-vault"
# HAProxy answers with what fits into one of its buffers (16 kB), headers included.
MOST_PAGE = 12288
# Each takes two of the 64 words that a `bind` line has; eight are for the rest of it.
MOST_CERTIFICATES = 28

# What a balancer needs to renew by itself: the program that certbot runs, and what it imports, as modules import it.
PROGRAM = """#!/usr/bin/python3
# Ansible managed
# Gives HAProxy the certificates that certbot has fetched for it; run by certbot.service and as certbot's hook.
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/local/lib/haproxy-acme")
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_acme import main

sys.exit(main())
"""
# Also where certbot fails: of several certificates, others may be new.
DROP_IN = """# Ansible managed
[Service]
ExecStopPost=/usr/local/sbin/haproxy-acme
"""
MODULES = (
    "files", "haproxy_acme", "haproxy_answers", "haproxy_binds", "haproxy_canary", "haproxy_files", "haproxy_master",
    "haproxy_parser", "haproxy_referred", "haproxy_servers", "haproxy_service", "haproxy_state", "lease", "listeners", "systemd",
)  # fmt: skip


class Certificates:
    """The certificates of a balancer.

    `paths` are those on the host, in the order of the `bind` lines; `files` the text of those that the control node has, by
    path; `stand_ins` that of those in their place until `acme`, {name: {path, names}}, has been issued. `problems` and
    `warnings` are sentences, each with its fix.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.files: dict[str, str] = {}
        self.stand_ins: dict[str, str] = {}
        self.acme: dict[str, dict[str, Any]] = {}
        self.names: set[str] = set()
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def add(self, label: str, certificate: str, key: str) -> None:
        """Take one that the control node has; `label` is what messages call it."""
        found = self.look(label, certificate, key)
        if found is None:
            return
        stem = found.names[0].replace("*", "_").replace(":", "_")
        # One of each kind of key may be for the same name.
        numbers = ("", *(f"-{number}" for number in range(2, 100)))
        path = next(path for number in numbers if (path := f"{FOLDER}/{stem}{number}.pem") not in self.files)
        self.files[path] = found.pem
        self.paths.append(path)

    def look(self, label: str, certificate: str, key: str | None) -> Certificate | None:
        """Return a certificate, unless something is wrong with it; remember what it is for."""
        found, problems = read_certificate(certificate, key)
        self.problems += [f"{label} {problem}" for problem in problems]
        if found is None or problems:
            return None
        left = found.expires - datetime.datetime.now(datetime.UTC)
        if left < SOON:
            self.warnings.append(f"{label} expires in {left.days} days, on {found.expires:%Y-%m-%d}. Fix: renew it.")
        self.names.update(found.names)
        return found

    def keep(self, label: str, path: str, texts: Sequence[str]) -> None:
        """Take what somebody keeps on the balancer, a file or a folder of them with these texts."""
        self.paths.append(path)
        for text in texts:
            self.look(label, text, None)
        if not texts:
            self.problems.append(f"{label} is not on the balancer. Fix: bring it there first, or another path.")

    def limit(self) -> None:
        """Note where there are more than a `bind` line can name."""
        if len(self.paths) > MOST_CERTIFICATES:
            self.problems.append(
                f"haproxy_certificates and haproxy_acme make {len(self.paths)} certificates, and a `bind` line of HAProxy can "
                f"name {MOST_CERTIFICATES}. Fix: one for several names or a wildcard, or a `path` that is a folder of them on "
                "the balancer."
            )

    def uncovered(self, hostnames: Iterable[str]) -> list[str]:
        """Return those host names that no certificate is for."""
        return sorted({name for name in hostnames if not covers(self.names, name)})

    def cover(self, hostnames: Iterable[str]) -> None:
        """Note host names that no certificate is for."""
        if missing := self.uncovered(hostnames):
            self.problems.append(
                f"haproxy_certificates: none is for {', '.join(missing)}, of the hostnames of an app; visitors would be warned of "
                f"the site. Those there are for {', '.join(sorted(self.names))}. Fix: a certificate that names it."
            )

    def ask_for(self, backends: Sequence[Mapping[str, Any]], acme: Mapping[str, Any]) -> None:
        """Have the names of some backends, for which there is no certificate yet, be in one from an issuer, one a backend.

        A name that several have is in that of the first: issuers give out few certificates of the same names.
        """
        for backend in backends:
            names = self.uncovered(backend.get("hostnames") or [])
            if not names:
                continue
            if wild := [name for name in names if name.startswith("*.") and not acme.get("hook")]:
                self.problems.append(
                    f"haproxy_acme: {', '.join(wild)} of {backend['name']} can be had by DNS only. "
                    "Fix: haproxy_acme.hook, or a certificate of one's own in haproxy_certificates."
                )
            path = f"{FOLDER}/acme-{backend['name']}.pem"
            self.acme[backend["name"]] = {"path": path, "names": names}
            self.stand_ins[path] = stand_in(names)
            self.paths.append(path)
            self.names.update(names)
        if backends and not self.paths:
            self.problems.append("haproxy_acme: no app has hostnames that a certificate could be for. Fix: hostnames.")


def host_files() -> dict[str, str]:
    """Return {path: text} of what gives certificates to HAProxy on a balancer, without the control node."""
    source = Path(__file__).resolve().parents[1] / "module_utils"
    folder = "/usr/local/lib/haproxy-acme/ansible_collections/flask_haproxy/deploy/plugins/module_utils"
    return {
        **{f"{folder}/{name}.py": (source / f"{name}.py").read_text(encoding="utf-8") for name in MODULES},
        "/usr/local/sbin/haproxy-acme": PROGRAM,
        "/etc/systemd/system/certbot.service.d/haproxy.conf": DROP_IN,
    }


def certificates(
    entries: Sequence[Mapping[str, Any]],
    backends: Sequence[Mapping[str, Any]],
    acme: Mapping[str, Any],
    read: Callable[[str], str],
    on_host: Mapping[str, Sequence[str]],
) -> Certificates:
    """Return the certificates of `haproxy_certificates` and `haproxy_acme` for some backends.

    `read` gives the text of a file here, or OSError; `on_host` has those of the balancer, by path.
    """
    found = Certificates()
    for index, entry in enumerate(entries):
        label = f"haproxy_certificates[{index}]:"
        if path := str(entry.get("path") or ""):
            found.keep(f"{label} {path}", path, on_host.get(path, []))
            continue
        name = str(entry.get("certificate", ""))
        try:
            text = read(name)
            key = read(str(entry["key"])) if entry.get("key") else text
        except OSError as error:
            found.problems.append(f"{label} {error}. Fix: {A_FILE}.")
        else:
            found.add(f"{label} {name}", text, key)
    # Empty: nothing is in maintenance; what is there is playbooks/maintenance.yml's.
    found.stand_ins["/etc/haproxy/maintenance.map"] = ""
    _pages(backends, read, found)
    if acme and not found.problems:
        found.ask_for(backends, acme)
    elif entries and not found.problems:
        found.cover(name for backend in backends for name in backend.get("hostnames") or [])
    found.limit()
    return found


def _pages(backends: Sequence[Mapping[str, Any]], read: Callable[[str], str], found: Certificates) -> None:
    """Add the pages that are shown while an app is in maintenance."""
    for backend in backends:
        name = str((backend.get("maintenance") or {}).get("page") or "")
        if not name:
            continue
        label = f"maintenance.page of {backend['name']} is {name!r}"
        try:
            text = read(name)
        except OSError as error:
            found.problems.append(f"{label}: {error}. Fix: {A_FILE}.")
            continue
        # Ansible has halves of pairs for bytes that are none of UTF-8.
        size = len(text.encode(errors="surrogatepass"))
        if HALF.search(text):
            found.problems.append(f"{label}, which is not UTF-8. Fix: save the file as UTF-8.")
        elif not text:
            found.problems.append(f"{label}, which is empty. Fix: a page with text, or leave the key out.")
        elif size > MOST_PAGE:
            found.problems.append(f"{label}, of {size} bytes. Fix: at most {MOST_PAGE}, images included.")
        found.files[f"/etc/haproxy/maintenance/{backend['name']}.html"] = text
