"""What templates and tasks are made of, loaded once; the callback `waiting` does it when a run begins."""

from __future__ import annotations

from pathlib import Path

from ansible.playbook import Playbook
from ansible.plugins.loader import action_loader, connection_loader, filter_loader, lookup_loader, test_loader
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import app_keys

COLLECTION = "flask_haproxy.deploy"
HANDED_OVER = "vars/handed_over.yml"
FILTERS = Path(__file__).resolve().parents[1] / "filter"
# Of Ansible's own, a filter or a test brings all of them.
BUILTIN = {
    filter_loader: ["mandatory"],
    test_loader: ["defined"],
    lookup_loader: ["vars", "template", "file"],
    action_loader: ["normal", "set_fact", "fail"],
    connection_loader: ["ssh"],
}


def preload_vars(playbook: Playbook) -> None:
    """Read what the plays hand to the roles into the cache of files.

    Ansible reads a file of `vars_files` for every task and host again, 2.5 ms each, but what is in that cache.
    """
    for play in playbook.get_plays():
        if HANDED_OVER in play.vars_files:
            found = playbook._loader.path_dwim_relative_stack(play.get_search_path(), "vars", HANDED_OVER)
            playbook._loader.load_from_file(found, cache="all", trusted_as_template=True)


def preload() -> None:
    """Load the filters, what they import, and what Ansible brings for templates and tasks, into this process.

    Ansible forks one for every task and host from it, which each would do that anew: 0.1 to 0.2 s of processor, of which a
    task that is skipped needs nothing else.
    """
    for file in sorted(FILTERS.glob("*.yml")):
        filter_loader.get(f"{COLLECTION}.{file.stem}")
    for name in ("haproxy_files", "who"):
        lookup_loader.get(f"{COLLECTION}.{name}", class_only=True)
    for loader, names in BUILTIN.items():
        for name in names:
            loader.get(f"ansible.builtin.{name}", class_only=True)
    app_keys()
