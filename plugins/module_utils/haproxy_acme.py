"""Certificates that certbot fetches on a balancer by itself (ACME, RFC 8555), and how they come to HAProxy.

HAProxy answers the challenges http-01 itself: what an issuer wants to read is the token that it asks for and the thumbprint
of the account's key (section 8.3), which needs no state. So every balancer with the same account answers for every other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_json, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import ACME
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_state import Wanted
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.lease import give_back, take
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError, audit, run

LETSENCRYPT = Path("/etc/letsencrypt")
LOG = Path("/var/log/letsencrypt/letsencrypt.log")
# Seconds to wait for a deploy, during which nobody else reloads, and that a reload may take.
PATIENCE, RELOAD = 600.0, 120.0
# What passes by itself, in certbot's words, and the seconds after which it is tried again; how often certbot is run in all.
# An issuer wants a nonce that it does not take to be replaced by its next one (RFC 8555, section 6.5), which certbot does
# once for each request, and one of many machines refuses more at times. The other instance is that of certbot's timer.
PASSING = {"anti-replay nonce": 0.0, "Another instance of Certbot is already running": 10.0}
TRIES = 7
# What certbot says around the reason; its hint is to the hook that we have it run, which does nothing.
BESIDE = (
    "Saving debug log", "Ask for help", "An unexpected error", "Some challenges have failed", "Hint:", "Requesting a cert",
    "AttributeError: can't set attribute",
)  # fmt: skip
# What there is to do about a reason; the first that fits.
FIXES = {
    r"authenticator: manual": (
        "lead each name to the balancers, port 80 open to everybody; with haproxy_acme.hook, have it write the record"
    ),
    r"CERTIFICATE_VERIFY_FAILED": "have the balancer trust the issuer's root (docs/tls.md, A CA inside the house)",
    r"(?i)external ?account": "haproxy_acme.eab_kid and eab_hmac_key, which this issuer gives out",
    r"Connection refused|Max retries exceeded|timed out|Name or service": (
        "haproxy_acme.directory, or the way from the balancer to it, name server and firewall included"
    ),
    r"rateLimited": "wait as long as it says; for tries, haproxy_acme.directory has one for tests (docs/tls.md)",
    r"rejectedIdentifier": "take the name out of hostnames, or another issuer",
    r"": "what it says, in haproxy_acme or hostnames; more is in /var/log/letsencrypt/letsencrypt.log on the balancer",
}


def lineage(name: str) -> str:
    """Return what certbot calls a certificate of ours; others on the host are none of our business."""
    return f"haproxy-{name}"


def logged() -> str:
    """Return what certbot has logged, which Debian's appends to one file."""
    return LOG.read_text(encoding="utf-8", errors="replace") if LOG.exists() else ""


def refusals(log: str) -> list[str]:
    """Return what an issuer has said in a part of certbot's log for which certbot gave up.

    Debian 12's certbot 2.1 says "can't set attribute" in its place: its errors do not take the traceback that Python 3.11
    sets when one leaves a context manager.
    """
    return re.findall(r"^acme\.messages\.Error: (.+)$", log, flags=re.MULTILINE)


def certbot(*words: str) -> str:
    """Run certbot without questions, and return what it says where it fails, empty where it does not."""
    said = ""
    for _ in range(TRIES):
        command, before = ["certbot", *words, "--non-interactive"], logged()
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if not done.returncode:
            return ""
        said = (done.stdout + done.stderr).strip() or f"certbot ended with {done.returncode}"
        said += "".join(f"\n{error}" for error in refusals(logged().removeprefix(before))[-1:] if error not in said)
        waits = [seconds for sign, seconds in PASSING.items() if sign in said]
        if not waits:
            break
        time.sleep(waits[0])
    return told(said)


def told(said: str) -> str:
    """Return what somebody needs of what certbot says, with a fix."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith(BESIDE)]
    fix = next(fix for sign, fix in FIXES.items() if re.search(sign, said))
    return "\n".join([*lines[-25:], f"Fix: {fix}."])


def account(directory: str) -> dict[str, str]:
    """Return the files of certbot's account with an issuer, {path below its folder of accounts: text}; empty without one.

    Of several, which come with a copy of another host's /etc/letsencrypt, it is the one that our certificates are renewed
    with; HostError where these do not say.
    """
    address = urlparse(directory)
    folder = LETSENCRYPT / "accounts" / (address.netloc + address.path)
    there = sorted(key.parent.name for key in folder.glob("*/private_key.json"))
    if not there:
        return {}
    ours = [name for name in there if name in renewing(directory)] if len(there) > 1 else there
    if len(ours) != 1:
        raise HostError(
            f"certbot has {len(there)} accounts with {directory} ({', '.join(there)}), HAProxy answers for one, and its "
            f"certificates are renewed with {' and '.join(ours) or 'none of them'}. Fix: on the balancer, move the others out of "
            f"{folder}, and `certbot delete` the certificates haproxy-… that are renewed with them."
        )
    files = sorted((folder / ours[0]).glob("*.json"))
    return {str(file.relative_to(LETSENCRYPT / "accounts")): file.read_text(encoding="utf-8") for file in files}


def renewing(directory: str) -> set[str]:
    """Return the accounts with an issuer that certificates of ours are renewed with."""
    found = set()
    for conf in (LETSENCRYPT / "renewal").glob(f"{lineage('*')}.conf"):
        said = dict(re.findall(r"^(account|server) = (.+)$", conf.read_text(encoding="utf-8"), flags=re.MULTILINE))
        if said.get("server") == directory:
            found.add(said.get("account", ""))
    return found


def thumbprint(files: Mapping[str, str]) -> str:
    """Return the thumbprint of an account's key (RFC 7638, section 3), empty where there is no account."""
    for path, text in files.items():
        if path.endswith("private_key.json"):
            key = json.loads(text)
            public = json.dumps({part: key[part] for part in ("e", "kty", "n")}, separators=(",", ":"))
            return base64.urlsafe_b64encode(hashlib.sha256(public.encode()).digest()).rstrip(b"=").decode()
    return ""


def issued(name: str) -> str:
    """Return a certificate as HAProxy reads it, its key and its chain; empty where none has been issued yet."""
    folder = LETSENCRYPT / "live" / lineage(name)
    try:
        return (folder / "privkey.pem").read_text(encoding="utf-8") + (folder / "fullchain.pem").read_text(
            encoding="utf-8"
        )
    except FileNotFoundError:
        return ""


def renew_at_a_third(name: str) -> None:
    """Have certbot renew it when a third of its time is left; certbot 2.1 knows 30 days alone, however short it lives."""
    certificate = LETSENCRYPT / "live" / lineage(name) / "cert.pem"
    shown = run("openssl", "x509", "-in", str(certificate), "-noout", "-startdate", "-enddate")
    begin, end = (ssl.cert_time_to_seconds(line.partition("=")[2]) for line in shown.splitlines())
    line = f"renew_before_expiry = {max(1, int((end - begin) / 3 / 3600))} hours\n"
    file = LETSENCRYPT / "renewal" / f"{lineage(name)}.conf"
    rest = re.sub(r"^(# )?renew_before_expiry = .*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    write_file(file, line + rest)


def to_be_given() -> Wanted | None:
    """Return what HAProxy is to have, where that is not what it has loaded."""
    record = read_json(ACME)
    files = {one["path"]: text for name, one in record.items() if (text := issued(name))}
    for name, one in record.items():
        if one["path"] in files:
            renew_at_a_third(name)
    wanted = Wanted({"files": files})
    return wanted if wanted.old and wanted.pending() else None


def give_to_haproxy() -> str:
    """Give HAProxy what has been issued and it does not have yet, and return what went wrong, empty for nothing.

    A certificate that HAProxy would refuse replaces none.
    """
    wanted = to_be_given()
    if wanted is None:
        return ""
    new = ", ".join(sorted(path.stem for path in wanted.beside)) or "what was written before"
    problem = wanted.refusal() or wanted.load(restart=False)[1]
    audit(f"certificate {new}: {'refused' if problem else 'loaded'}, after certbot")
    return problem


def alone(work: Callable[[], str]) -> str:
    """Do work under the lock that keeps deploys and reloads apart, and return what it returns, or why it could not be done."""
    me = {
        "who": f"certbot@{os.uname().nodename}",
        "what": "the renewal of a certificate",
        "pid": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": os.uname().nodename,
        "token": f"certbot/{os.getpid()}/{time.time_ns()}",
    }
    end = time.monotonic() + PATIENCE
    while other := take(me, RELOAD):
        if time.monotonic() > end:
            return f"{other['who']} deploys since {other['since']}; the next run of certbot.service tries again"
        time.sleep(1)
    try:
        return work()
    finally:
        give_back(str(me["token"]))


def main() -> int:
    """Give HAProxy what it lacks; what certbot.service and its hooks run."""
    try:
        # Most of the time there is nothing to do, for which no deploy has to wait.
        problem = alone(give_to_haproxy) if to_be_given() else ""
    except (HostError, OSError, ValueError) as error:
        problem = str(error)
    # As certbot.service's last step, whose journal is to have the reason, which certbot may have hidden.
    if os.environ.get("SERVICE_RESULT", "success") != "success":
        for refusal in refusals(logged().rpartition("certbot version")[2]):
            print(refusal, file=sys.stderr)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def recorded(certificates: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what HAProxy is to have."""
    write_file(ACME, json.dumps(certificates, indent=2, sort_keys=True) + "\n")
