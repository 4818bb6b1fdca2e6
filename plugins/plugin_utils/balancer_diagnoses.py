"""What is wrong with a balancer, or will be, beside its servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.host_diagnoses import CRITICAL, WARNING, Finding
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.status_text import epoch
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.tables import moment

# How long is too long, or too short, in seconds; how much is too much.
DAY = 86400.0
LOCKED, CERTIFICATE, URGENT, NEAR = 3600.0, 21 * DAY, 3 * DAY, 0.8
SITE = "ansible-playbook flask_haproxy.deploy.site"
UNMASK = f"systemctl unmask haproxy.service; {SITE}"


def balancer_findings(name: str, found: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Yield what is wrong with a balancer, beside its servers."""
    lock = found["lock"]
    if lock and locked_long(lock, now):
        who = f"{lock['who']} (pid {lock['pid']}, {lock.get('what', '')})"
        fix = f"look whether that still runs; if not, sudo rm /run/flask-deploy.lock on {name}"
        yield Finding(WARNING, name, f"the deploy lock is held since {lock['since']} by {who}", fix)
    if found["problem"]:
        # That its unit has failed is said already.
        if "haproxy.service" not in found["host"]["failed_units"]:
            fix = UNMASK if found["masked"] else "systemctl status haproxy; journalctl -u haproxy"
            yield Finding(CRITICAL, name, f"{found['problem']}{', and is masked' if found['masked'] else ''}", fix)
        return
    if not found["enabled"]:
        why, fix = (": it is masked", UNMASK) if found["masked"] else ("", SITE)
        yield Finding(WARNING, name, f"haproxy.service will not be started at boot{why}", fix)
    yield from _configuration(name, found)
    yield from _limits(name, found["info"])
    for frontend in found["closed_frontends"]:
        fix = "systemctl reload haproxy, which opens it"
        yield Finding(CRITICAL, name, f"the frontend {frontend} takes no connection: somebody has closed it", fix)
    yield from _maintenance(name, found["maintenance"], now)
    if not found["renewed"]:
        fix = "systemctl enable --now certbot.timer"
        yield Finding(WARNING, name, "certbot.timer does not run, so no certificate is renewed", fix)
    for one in found["certificates"]:
        if one["ends"] - now < CERTIFICATE:
            level = CRITICAL if one["ends"] - now < URGENT else WARNING
            fix = "renew it, and look why that was not done"
            yield Finding(level, name, f"the certificate {one['file']} ends at {moment(one['ends'])}", fix)
        if not one["stored"] and not found["configuration"]["refused"]:
            yield Finding(
                WARNING, name, f"{one['file']} is not the certificate that is loaded", "systemctl reload haproxy"
            )


def _configuration(name: str, found: Mapping[str, Any]) -> Iterator[Finding]:
    configuration, path = found["configuration"], "/etc/haproxy/haproxy.cfg"
    if not configuration["ours"]:
        yield Finding(CRITICAL, name, f"{path} is somebody else's", f"{SITE} -e haproxy_takeover=true")
    elif configuration["altered"]:
        fix = f"move what you need of it to haproxy_*_extra; {SITE} overwrites it (--check --diff shows what)"
        loaded = "" if configuration["loaded"] else ", and that is not loaded"
        yield Finding(WARNING, name, f"{path} was changed by hand{loaded}", fix)
    elif not configuration["loaded"]:
        yield Finding(
            WARNING, name, f"{path} is younger than what HAProxy has loaded", f"{SITE}, or systemctl reload haproxy"
        )
    if configuration["refused"]:
        what = f"HAProxy would not load {path} again: {configuration['refused']}"
        yield Finding(CRITICAL, name, what, f"{SITE} puts it in order; haproxy -c -f {path} says all of it")
    elif found["failed_reloads"]:
        fix = "journalctl -u haproxy; haproxy -c -f /etc/haproxy/haproxy.cfg"
        yield Finding(CRITICAL, name, f"HAProxy could not load its configuration, {found['failed_reloads']} times", fix)
    if found["replaced"]:
        what = "HAProxy was upgraded, and the one that runs is the one of before"
        yield Finding(WARNING, name, what, "systemctl reload haproxy")
    if found["restart_needed"]:
        yield Finding(
            WARNING, name, "HAProxy's unit has changed since it was started", f"{SITE} -e haproxy_restart=true"
        )


def _maintenance(name: str, apps: Mapping[str, float], now: float) -> Iterator[Finding]:
    for app, since in apps.items():
        if now - since > DAY:
            fix = f"ansible-playbook flask_haproxy.deploy.maintenance -e app={app} -e state=off"
            yield Finding(WARNING, name, f"{app} is in maintenance, since before {moment(since)}", fix)


def _limits(name: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("DroppedLogs", 0):
        fix = "see whether journald keeps up (systemctl status systemd-journald); the access log is not whole"
        yield Finding(
            WARNING, name, f"HAProxy dropped {info['DroppedLogs']} lines of its log since the last reload", fix
        )
    if info["CurrConns"] > NEAR * info["Maxconn"]:
        fix = "haproxy_global_extra: [maxconn …], with as many files for haproxy.service (LimitNOFILE=)"
        yield Finding(WARNING, name, f"HAProxy has {info['CurrConns']} connections and takes {info['Maxconn']}", fix)


def locked_long(lock: Mapping[str, Any], now: float) -> bool:
    """Say whether a lock is held for longer than a deploy takes."""
    began = epoch(str(lock["since"]).replace(" ", "T", 1).replace(" ", ""))
    return began is not None and now - began > LOCKED
