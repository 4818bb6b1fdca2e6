#!/usr/bin/python
"""Have certificates issued for HAProxy, and renewed by the host itself from then on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_acme_certificates
short_description: Have certificates issued for HAProxy
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Has certbot fetch what is missing or is to be for other names, and gives it to HAProxy, whose parser has to accept it
    and whose reload is proven. C(certbot.timer) renews it, and gives it to HAProxy in the same way.
  - One that cannot be had keeps none of the others away; the task fails when all have been tried.
options:
  certificates:
    description: The certificates by name, each C({path, names}), the file that HAProxy reads and the host names it is for.
    type: dict
    required: true
  host_files:
    description: >-
      Text of the files that give certificates to HAProxy, by path; with C(/usr/local/sbin/haproxy-acme), which
      certbot runs.
    type: dict
    required: true
  directory:
    description: URL of the issuer's directory.
    type: str
    required: true
  hook:
    description: >-
      Command on the host that shows the issuer a name is ours by DNS (dns-01), with what certbot gives a
      C(manual-auth-hook); empty for http-01, which HAProxy answers.
    type: str
    default: ""
  cleanup_hook:
    description: Command that takes back what C(hook) has done.
    type: str
    default: ""
"""
EXAMPLES = r"""
- name: Have the certificates issued
  flask_haproxy.deploy.haproxy_acme_certificates:
    directory: https://acme-v02.api.letsencrypt.org/directory
    host_files: "{{ lookup('flask_haproxy.deploy.haproxy_files', []).host_files }}"
    certificates:
      shop:
        path: /etc/haproxy/certificates/acme-shop.pem
        names: [shop.example.org]
"""
RETURN = r"""
issued:
  description: Names of the certificates that were fetched, or would be in check mode.
  returned: always
  type: list
"""

import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file, read_json, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_acme import (
    account,
    certbot,
    issued,
    lineage,
    recorded,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_files import ACME
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import run

GIVE = "/usr/local/sbin/haproxy-acme"


def fetch(name: str, wanted: dict[str, Any], before: dict[str, Any]) -> str:
    """Have certbot fetch one, and return what it says where it fails; `before` is what was asked for the last time."""
    challenge = "dns" if wanted["hook"] else "http"
    command = ["certonly", "--agree-tos", "--server", wanted["directory"]]
    # Of several, certbot would ask which.
    accounts = {Path(path).parent.name for path in account(wanted["directory"])}
    command += [word for name in accounts for word in ("--account", name)]
    command += ["--manual", "--preferred-challenges", challenge, "--manual-auth-hook", wanted["hook"] or "/bin/true"]
    command += ["--manual-cleanup-hook", wanted["cleanup_hook"]] if wanted["cleanup_hook"] else []
    command += ["--cert-name", lineage(name), "--renew-with-new-domains"]
    # That of another issuer, which may have been one for tries, is none that could be kept.
    other = before.get("directory", wanted["directory"]) != wanted["directory"]
    command += ["--force-renewal" if other else "--keep-until-expiring"]
    command += ["--deploy-hook", GIVE, *(word for one in wanted["names"] for word in ("--domain", one))]
    said = certbot(*command)
    return f"No certificate for {', '.join(wanted['names'])}:\n{said}" if said else ""


def same(path: Path, text: str) -> bool:
    """Say whether a file has this text."""
    return path.is_file() and read_file(path) == text


def prepare(files: dict[str, str]) -> None:
    """Put the program in place that gives certificates to HAProxy, and have certbot.service run it at its end."""
    written = [path for path, text in files.items() if write_file(Path(path), text, 0o755 if path == GIVE else 0o644)]
    if any(path.startswith("/etc/systemd/") for path in written):
        run("systemctl", "daemon-reload")


def main() -> None:
    """Fetch what is missing, forget what nobody wants, and give it to HAProxy."""
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "dict", "required": True},
            "host_files": {"type": "dict", "required": True},
            "directory": {"type": "str", "required": True},
            "hook": {"type": "str", "default": ""},
            "cleanup_hook": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    how = {key: module.params[key] for key in ("directory", "hook", "cleanup_hook")}
    wanted = {name: dict(one) | how for name, one in module.params["certificates"].items()}
    record = read_json(ACME)
    missing = sorted(name for name, one in wanted.items() if record.get(name) != one or not issued(name))
    surplus = sorted(record.keys() - wanted.keys())
    # Nothing to renew needs none of it.
    module.params["host_files"] = module.params["host_files"] if wanted or record else {}
    older = [path for path, text in module.params["host_files"].items() if not same(Path(path), text)]
    result: dict[str, Any] = {"changed": bool(missing or surplus or older), "issued": missing}
    if module.check_mode or not result["changed"]:
        module.exit_json(**result)
    prepare(module.params["host_files"])
    kept = {name: one for name, one in record.items() if name not in surplus}
    # Before certbot runs its hook, which reads it. What has not been issued as it says is tried again by the next run.
    recorded(kept | {name: wanted[name] | {"failed": True} for name in missing})
    problems = {name: fetch(name, wanted[name], record.get(name, {})) for name in missing}
    recorded(kept | {name: wanted[name] | ({"failed": True} if problems[name] else {}) for name in missing})
    for name in surplus:
        certbot("delete", "--cert-name", lineage(name))
    # A hook that fails is no failure of certbot.
    done = subprocess.run([GIVE], capture_output=True, encoding="utf-8", errors="replace", check=False)
    problems["HAProxy"] = (done.stderr + done.stdout).strip() if done.returncode else ""
    if any(problems.values()):
        module.fail_json(msg="\n".join(filter(None, problems.values())), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
