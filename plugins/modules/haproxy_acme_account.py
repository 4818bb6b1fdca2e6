#!/usr/bin/python
"""See to it that certbot has an account with an issuer of certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_acme_account
short_description: See to it that certbot has an account with an issuer of certificates
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Takes the account that another balancer has, or registers one, unless there is one. With the same account, every
    balancer can answer the challenges of every other.
options:
  state:
    description: C(found) changes nothing.
    type: str
    choices: [found, present]
    default: found
  directory:
    description: URL of the issuer's directory.
    type: str
    required: true
  email:
    description: Whom the issuer writes to; empty for nobody.
    type: str
    default: ""
  eab_kid:
    description: Identifier of an account with the issuer outside ACME, where it asks for one (external account binding).
    type: str
    default: ""
  eab_hmac_key:
    description: The key that belongs to it.
    type: str
    default: ""
  files:
    description: The account of another balancer, as C(files) of the result; where it is empty, one is registered.
    type: dict
    default: {}
  show:
    description: Whether to return the account, which is a secret.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Register with the issuer
  flask_haproxy.deploy.haproxy_acme_account:
    state: present
    directory: https://acme-v02.api.letsencrypt.org/directory
    email: hostmaster@example.org
"""
RETURN = r"""
installed:
  description: Whether there is a certbot.
  returned: always
  type: bool
thumbprint:
  description: Thumbprint of the account's key, empty where there is no account.
  returned: always
  type: str
problem:
  description: Why no account could be registered, empty otherwise.
  returned: always
  type: str
files:
  description: The account, with C(show).
  returned: always
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_acme import (
    LETSENCRYPT,
    account,
    certbot,
    thumbprint,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError


def register(given: dict[str, str]) -> str:
    """Have certbot make a key and register it, and return why that cannot be."""
    command = ["register", "--agree-tos", "--server", given["directory"]]
    command += ["--email", given["email"]] if given["email"] else ["--register-unsafely-without-email"]
    command += ["--no-eff-email"] if given["email"] else []
    command += ["--eab-kid", given["eab_kid"], "--eab-hmac-key", given["eab_hmac_key"]] if given["eab_kid"] else []
    problem = certbot(*command)
    return f"{given['directory']} does not register an account:\n{problem}" if problem else ""


def main() -> None:
    """Look, take over or register."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["found", "present"], "default": "found"},
            "directory": {"type": "str", "required": True},
            "email": {"type": "str", "default": ""},
            "eab_kid": {"type": "str", "default": ""},
            "eab_hmac_key": {"type": "str", "default": "", "no_log": True},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "show": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        found = account(module.params["directory"])
    except HostError as error:
        module.fail_json(msg=str(error))
    changed, problem = module.params["state"] == "present" and not found, ""
    if changed and not module.check_mode:
        for name, text in module.params["files"].items():
            path = LETSENCRYPT / "accounts" / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(path, text, 0o600 if path.name == "private_key.json" else 0o644)
        if not module.params["files"]:
            problem = register(module.params)
        found = account(module.params["directory"])
        changed = not problem
    shown = found if module.params["show"] else {}
    installed = Path("/usr/bin/certbot").exists()
    module.exit_json(changed=changed, installed=installed, problem=problem, thumbprint=thumbprint(found), files=shown)


if __name__ == "__main__":
    main()
