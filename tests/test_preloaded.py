"""What the process of a run loads once, for those that it forks."""

import json
import re
import subprocess
import sys

from tests.conftest import PROJECT, load

BUILTIN = load("plugin_utils/preloaded.py").BUILTIN

# In a process of its own: here, other tests have loaded it all.
SCRIPT = """
import json, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
from ansible.plugins import loader
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.preloaded import preload
preload()
before = set(sys.modules)
for name in json.loads(sys.argv[2]):
    assert loader.filter_loader.get(f"flask_haproxy.deploy.{name}").j2_function
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_filters_import_nothing_after_it():
    names = sorted(path.stem for path in (PROJECT / "plugins" / "filter").glob("*.yml"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(PROJECT / "collections"), json.dumps(names)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_what_is_loaded_is_what_is_looked_up():
    text = "".join(path.read_text() for folder in ("roles", "playbooks") for path in (PROJECT / folder).rglob("*.yml"))
    looked_up = set(re.findall(r"lookup\('ansible\.builtin\.(\w+)'", text))
    loaded = {name for loader, names in BUILTIN.items() if loader.class_name == "LookupModule" for name in names}
    # Reports and backups have no time to win by the others.
    assert looked_up - loaded == {"config", "env"}
    assert loaded <= looked_up


VARS = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.vars.manager import VariableManager
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.preloaded import preload_vars
loader = DataLoader()
inventory = InventoryManager(loader, sources=["inventory/demo"])
variables = VariableManager(loader, inventory)
playbook = Playbook.load(sys.argv[2], variable_manager=variables, loader=loader)
preload_vars(playbook)
read, of_file = [], loader.get_text_file_contents
loader.get_text_file_contents = lambda name, **how: read.append(name) or of_file(name, **how)
handed = [variables.get_vars(play, inventory.get_host("demo")).get("apps_here") for play in playbook.get_plays()]
print(json.dumps({"read": read, "handed": len([one for one in handed if one])}))
"""


def test_what_is_handed_to_the_roles_is_read_once():
    arguments = [str(PROJECT / "collections"), str(PROJECT / "playbooks" / "site.yml")]
    done = subprocess.run(
        [sys.executable, "-c", VARS, *arguments], capture_output=True, encoding="utf-8", check=False, cwd=PROJECT
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["handed"] > 5
    assert not [name for name in found["read"] if name.endswith("handed_over.yml")]
