#!/usr/bin/python
"""Choose what to roll back to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_previous
short_description: Choose the deployment to roll back to
description:
  - Chooses the good deployment that was live last before the one that is live now, or checks the one that is asked for.
    Nothing is changed, built or fetched.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  deployment:
    description: Id of the deployment to go to; empty for the previous good one.
    type: str
    default: ""
  health:
    description: Path that the balancers ask for.
    type: str
    required: true
  required:
    description: Whether it is an error that there is nothing to go back to.
    type: bool
    default: true
  instances:
    description: The instances of this host, as for M(flask_deployment).
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: Choose the previous good deployment
  flask_previous:
    name: hello
    health: /health
    instances: [{number: 1, address: 127.0.0.1, port: 5001, host: web1, number_base: 0}]
"""
RETURN = r"""
deployment:
  description: Id of the chosen deployment.
  returned: always
  type: str
was:
  description: Id of the deployment that is live now.
  returned: always
  type: str
stale:
  description: The instances that are not on the chosen one, as M(flask_deployment) returns them.
  returned: always
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import App, LayoutError, read_json, stale_instances


def choose(history: list[str], live: str | None, bad: set[str], there: set[str]) -> str | None:
    """Return the last deployment of a history that is not live, not bad and still there.

    `live` is None where the instances are on several, as after a rollout that stopped half-way; the last one that all
    were on is then the one to go back to.
    """
    return next((one for one in reversed(history) if one != live and one not in bad and one in there), None)


def main() -> None:
    """Choose and compare."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "deployment": {"type": "str", "default": ""},
            "health": {"type": "str", "required": True},
            "required": {"type": "bool", "default": True},
            "instances": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    app, asked = App(module.params["name"]), module.params["deployment"]
    history = app.history()
    there = {path.parent.name for path in app.deployments.glob("*/deployment.json")}
    bad = {name for name in there if app.bad(name)}
    linked = {app.linked(instance["number"]) for instance in module.params["instances"]} - {None}
    live = linked.pop() if len(linked) == 1 else None
    good = ", ".join(dict.fromkeys(name for name in reversed(history) if name in there - bad)) or "none"
    if asked and asked not in there:
        module.fail_json(
            msg=f"{app.name} has no deployment {asked} here. Fix: one of those that were live and good: {good}."
        )
    if asked and asked in bad:
        module.fail_json(msg=f"Deployment {asked} of {app.name} was marked bad, {app.bad(asked)}. Fix: one of: {good}.")
    chosen = asked or choose(history, live, bad, there)
    if chosen is None and not module.params["required"]:
        chosen = live
    if chosen is None:
        module.fail_json(
            msg=f"{app.name} has no good deployment to go back to: {live or 'nothing'} is live, and there is no other that was. "
            "Nothing was changed."
        )
    try:
        record = read_json(app.deployments / str(chosen) / "deployment.json")
        if record["health"] != module.params["health"]:
            module.fail_json(
                msg=f"Deployment {chosen} of {app.name} answers {record['health']}, and the balancers ask for "
                f"{module.params['health']}. Nothing was changed. Fix: health: {record['health']} in the inventory, and site.yml."
            )
        stale = stale_instances(app, str(chosen), module.params["instances"], record["health"], {})
    except LayoutError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False, deployment=chosen, was=live, release=record["release"], health=record["health"], stale=stale,
        surplus=[], at_boot=True, not_there=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
