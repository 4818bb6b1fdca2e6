"""Render the template of the haproxy role as Ansible does, from the role's own defaults."""

from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.conftest import PROJECT, load

ROLE = PROJECT / "roles" / "haproxy"


def named(filters: dict[str, Any]) -> dict[str, Any]:
    """Return the filters of a plugin under the names that they have in templates."""
    return {f"flask_haproxy.deploy.{name}": function for name, function in filters.items()}


def render(backends: list[dict[str, Any]], **variables: Any) -> str:
    """Return haproxy.cfg for some backends; `variables` replace the role's defaults. Nothing may be undefined."""
    environment = Environment(
        loader=FileSystemLoader(ROLE / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,
    )
    for plugin in ("filter/apps.py", "filter/haproxy_lines.py"):
        environment.filters |= named(load(plugin).FilterModule().filters())
    values = {
        "ansible_managed": "Ansible managed",
        "haproxy_backends": backends,
        "ansible_facts": {"processor_nproc": 2},
    }
    for file in ("defaults/main.yml", "vars/main.yml"):
        values |= yaml.safe_load((ROLE / file).read_text())
    # What a lookup finds.
    values["__haproxy_files"] = {"paths": []}
    values |= variables
    for name, value in values.items():
        if isinstance(value, str) and "{{" in value:
            values[name] = environment.from_string(value).render(values)
    # Ansible keeps the last line end of a template, not those of what it includes.
    return environment.get_template("haproxy.cfg.j2").render(values) + "\n"
