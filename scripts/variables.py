"""Write docs/variables.md from the roles' argument specs and defaults. With --check, only say whether it is current."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
TARGET = PROJECT / "docs" / "variables.md"
ROLES = ("flask_app", "haproxy")
HEAD = """# Variables

Made by `make docs` from `roles/*/meta/argument_specs.yml` and `roles/*/defaults/main.yml`; do not edit.
`ansible-doc -t role flask_haproxy.deploy.flask_app` shows the same.

An entry of `flask_apps` has the keys of `flask_app`, below.

Host variables: `app_address` (where balancers reach the apps of the host; not needed where a host is its own and only
balancer), `app_weight` (its share of the requests beside that of others, 1 to 256, default 1), `app_backup` (whether it is
asked only when no other host of the app is left) and `number_base` (added to an instance's number in `APP_NUMBER`).
"""


def words(description: str | list[str]) -> str:
    """Return a description as Markdown: Ansible's C(…) becomes `…`."""
    joined = " ".join(description) if isinstance(description, list) else description
    return re.sub(r"[CIVM]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", joined).replace("|", "\\|")


def rows(options: dict[str, Any], indent: str = "") -> list[str]:
    """Return the table's rows for some options, those of nested mappings below their parent."""
    found = []
    for name, option in options.items():
        kind = f"list of {option['elements']}" if "elements" in option else option["type"]
        default = (
            "required"
            if option.get("required")
            else f"`{yaml.safe_dump(option['default'], width=1000, default_flow_style=True).split(chr(10))[0]}`"
            if "default" in option
            else ""
        )
        found.append(f"| {indent}`{name}` | {kind} | {default} | {words(option['description'])} |")
        found += rows(option.get("options", {}), indent + "&nbsp;&nbsp;")
    return found


def text() -> str:
    """Return docs/variables.md."""
    parts = [HEAD]
    for role in ROLES:
        specs = yaml.safe_load((PROJECT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        main = specs["argument_specs"]["main"]
        parts.append(
            f"## {role}\n\n{words(main['description'])}\n\n| variable | type | default | |\n| --- | --- | --- | --- |"
        )
        parts.append("\n".join(rows(main["options"])) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" not in sys.argv:
        TARGET.write_text(text())
    elif TARGET.read_text() != text():
        sys.exit(f"{TARGET.name} is not what the argument specs say. Fix: make docs")
