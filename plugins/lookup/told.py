"""Say which variables a run was given with -e."""

from __future__ import annotations

DOCUMENTATION = r"""
name: told
short_description: Say which variables a run was given with -e
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Their names alone. To Ansible they are variables of every host, like those of the inventory.
"""
EXAMPLES = r"""
- name: Say what the run was told
  ansible.builtin.debug:
    msg: "{{ query('flask_haproxy.deploy.told') | join(', ') }}"
"""
RETURN = r"""
_raw:
  description: The names.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """Return them."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[str]:  # noqa: ANN401, ARG002
        """Return the names, in their order."""
        return [str(name) for name in load_extra_vars(self._loader)]
