"""Read the files that a balancer needs beside its configuration, and check them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_files
short_description: Read the files that a balancer needs beside its configuration, and check them
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Reads the files that C(haproxy_certificates) names, encrypted by ansible-vault or not, and finds what is wrong with them.
    That is a key of another certificate, a chain that is not whole, one that has expired, a host name that none is for.
options:
  _terms:
    description: The list C(haproxy_certificates).
    required: true
  backends:
    description: The list C(haproxy_backends), whose C(hostnames) have to be in a certificate.
    type: list
    elements: dict
    default: []
  acme:
    description: The mapping C(haproxy_acme); with one, what no certificate is for is to be issued.
    type: dict
    default: {}
  on_host:
    description: What M(flask_haproxy.deploy.haproxy_chains) has found for each C(path) of them.
    type: dict
    default: {}
"""
EXAMPLES = r"""
- name: Say what is wrong
  ansible.builtin.debug:
    msg: "{{ lookup('flask_haproxy.deploy.haproxy_files', haproxy_certificates, backends=haproxy_backends).problems }}"
"""
RETURN = r"""
_raw:
  description: >-
    A mapping: C(paths) of the certificates on the balancer, C(files), the text of those that go there, by path, C(stand_ins)
    for those in C(acme), which are to be issued, C(host_files), what renews them, C(problems) and C(warnings), sentences.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.balancer_files import certificates, host_files
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.sources import flask_source


class LookupModule(LookupBase):
    """Read, check, and make ready what goes to the balancer."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Return one mapping."""
        self.set_options(var_options=variables, direct=options)
        folder = str((variables or {}).get("inventory_dir") or "")

        def read(name: str) -> str:
            path = flask_source(name, folder)
            if not Path(path).is_file():
                raise OSError(f"there is no file {path}")
            try:
                return str(self._loader.get_text_file_contents(path))
            except AnsibleError as error:
                raise OSError(f"{path} cannot be read ({str(error).rstrip('.')})") from error

        backends, acme, on_host = (self.get_option(name) for name in ("backends", "acme", "on_host"))
        found = certificates(terms[0], backends, acme, read, on_host)
        keys = ("paths", "files", "stand_ins", "acme", "problems", "warnings")
        return [{key: getattr(found, key) for key in keys} | {"host_files": host_files()}]
