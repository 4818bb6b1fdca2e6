#!/usr/bin/python
"""Begin or end the maintenance of a backend, without a reload."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_maintenance
short_description: Begin or end the maintenance of a backend
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - Writes C(/etc/haproxy/maintenance.map), which every start of HAProxy reads, and tells those that run. What is in it is
    answered 503, but for those who are let through; it survives reloads, crashes and deploys until it is ended.
options:
  backend:
    description: Name of the backend.
    type: str
    required: true
  state:
    description: Whether it is to be in maintenance.
    type: str
    choices: [present, absent]
    required: true
  who:
    description: Who wants it.
    type: str
    default: somebody
"""
EXAMPLES = r"""
- name: Begin the maintenance
  flask_haproxy.deploy.haproxy_maintenance:
    backend: shop
    state: present
"""
RETURN = r"""
maintenance:
  description: All backends that are in maintenance now.
  returned: always
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_maintenance import tell, write, written
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import audit


def main() -> None:
    """Write, then tell."""
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "required": True},
            "who": {"type": "str", "default": "somebody"},
        },
        supports_check_mode=True,
    )
    backend, wanted = module.params["backend"], module.params["state"] == "present"
    before = written()
    after = sorted({*before, backend} if wanted else set(before) - {backend})
    changed = after != before
    if not module.check_mode:
        # First the file: a worker that starts meanwhile has read it.
        if changed:
            write(after)
            audit(f"{backend}: maintenance {'begins' if wanted else 'ends'}, by {module.params['who']}")
        told, problem = tell(backend, wanted)
        changed = changed or told
        if problem:
            module.fail_json(msg=problem, changed=changed)
    module.exit_json(changed=changed, maintenance=after)


if __name__ == "__main__":
    main()
