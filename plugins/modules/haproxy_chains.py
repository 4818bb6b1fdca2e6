#!/usr/bin/python
"""Return certificates that somebody keeps on a balancer, without their keys."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_chains
short_description: Return certificates that somebody keeps on a balancer
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads files, or folders of files, as HAProxy does, and returns the certificates in them, so that they can be looked at on the
    control node. Keys stay where they are.
options:
  paths:
    description: Files or folders.
    type: list
    elements: path
    required: true
"""
EXAMPLES = r"""
- name: Read a certificate
  flask_haproxy.deploy.haproxy_chains:
    paths: [/etc/ssl/private/site.pem]
"""
RETURN = r"""
found:
  description: For each path a list of texts, one for each file, with the certificates in it, in PEM; none where there is no file.
  returned: always
  type: dict
"""

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
# HAProxy's manual, `crt`: what belongs to a certificate beside it; it passes over what begins with a dot.
BESIDE = (".issuer", ".ocsp", ".sctl", ".key")


def texts(path: Path) -> list[str]:
    """Return the certificates of a file, or of each file in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    beside = [file for file in files if file != path and (file.suffix in BESIDE or file.name.startswith("."))]
    return [
        "".join(CERTIFICATE.findall(file.read_text(encoding="utf-8", errors="replace")))
        for file in files
        if file.is_file() and file not in beside
    ]


def main() -> None:
    """Read."""
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "required": True}}, supports_check_mode=True
    )
    module.exit_json(changed=False, found={path: texts(Path(path)) for path in module.params["paths"]})


if __name__ == "__main__":
    main()
