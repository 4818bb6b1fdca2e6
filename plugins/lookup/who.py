"""Say who runs the playbook."""

from __future__ import annotations

DOCUMENTATION = r"""
name: who
short_description: Say who runs the playbook, and where
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - For the journals of the hosts. A user without a name is a number.
"""
EXAMPLES = r"""
- name: Say who runs this
  ansible.builtin.debug:
    msg: "{{ lookup('flask_haproxy.deploy.who') }}"
"""
RETURN = r"""
_raw:
  description: C(user@machine).
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.who import who


class LookupModule(LookupBase):
    """Return it."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[str]:  # noqa: ANN401, ARG002
        """Return one text."""
        return [who()]
