"""Render the template of the haproxy role as Ansible does, from the role's own defaults."""

from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.conftest import PROJECT, load

ROLE = PROJECT / "roles" / "haproxy"


def render(backends: list[dict[str, Any]], **variables: Any) -> str:
    """Return haproxy.cfg for some backends; `variables` replace the role's defaults. Nothing may be undefined."""
    environment = Environment(
        loader=FileSystemLoader(ROLE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= load("filter/flask_apps.py").FilterModule().filters()
    values = {"ansible_managed": "Ansible managed", "haproxy_backends": backends}
    for file in ("defaults/main.yml", "vars/main.yml"):
        values |= yaml.safe_load((ROLE / file).read_text())
    values |= variables
    for name, value in values.items():
        if isinstance(value, str) and "{{" in value:
            values[name] = environment.from_string(value).render(values)
    return environment.get_template("haproxy.cfg.j2").render(values)
