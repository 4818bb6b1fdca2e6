"""What docs/applications.md and docs/websockets.md show is what the scenario `applications` runs."""

import re

import yaml

from tests.conftest import PROJECT

INVENTORY = PROJECT / "molecule" / "applications" / "inventory" / "group_vars" / "all.yml"


def test_examples_are_those_of_the_scenario():
    running = {app["name"]: app for app in yaml.safe_load(INVENTORY.read_text())["flask_apps"]}
    pages = [(PROJECT / "docs" / name).read_text() for name in ("applications.md", "websockets.md")]
    blocks = re.findall(r"^```yaml\n(.*?)^```", "\n".join(pages), re.M | re.S)
    shown = [app for block in blocks for app in yaml.safe_load(block)]
    assert len(shown) >= 4
    for app in shown:
        assert app.items() <= running[app["name"]].items(), app
