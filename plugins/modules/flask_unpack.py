#!/usr/bin/python
"""Unpack a release of an application, which the action plugin flask_release has brought here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_unpack
short_description: Unpack a release of a WSGI application on a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
description:
  - The half of M(flask_haproxy.deploy.flask_release) that runs on the host; use that one. Without archives, says what of a
    release is not there.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  release:
    description: Id of the release.
    type: str
    required: true
  lib:
    description: Id of its dependencies.
    type: str
    required: true
  sizes:
    description: What C(lib) and C(release) take unpacked, in bytes.
    type: dict
    required: true
  state_paths:
    description: Folders of the release that are links to the state of the app.
    type: list
    elements: str
    default: []
  archives:
    description: Archives on the host, of C(lib), of C(release), or of both.
    type: dict
    default: {}
"""
EXAMPLES = r"""
- name: See what of a release is not there
  flask_haproxy.deploy.flask_unpack:
    name: hello
    release: 0a1b2c3d4e5f
    lib: 5f4e3d2c1b0a
    sizes: {lib: 20000000, release: 10000}
"""
RETURN = r"""
missing:
  description: Which of C(lib) and C(release) the host does not have.
  returned: on success
  type: list
  elements: str
"""

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_units import App
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import sync_folder
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError

# Unpacked and compiled, beside what is unpacked: a host that ran out of disk would lose more than a deploy.
RESERVE = 64 * 1024 * 1024


def unpack(archive: Path, home: Path, below: str = "", links: dict[str, str] | None = None) -> None:
    """Unpack and compile an archive beside `home`, and give it that name once it is complete and on disk."""
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=home.parent))
    try:
        # An application that is a package has no files of its own.
        (incoming / below).mkdir(exist_ok=True)
        # Names are in UTF-8, whatever the locale of this host has.
        with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                member.name, member.linkname = (
                    os.fsdecode(name.encode(errors="surrogateescape")) for name in (member.name, member.linkname)
                )
            if hasattr(tarfile, "data_filter"):  # security updates brought it to Pythons older than 3.12 (PEP 706)
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(incoming / below)  # noqa: S202
        # The app may not write here, so what is not compiled now would be compiled again at each start. What cannot be
        # compiled is left: a package may ship files for other Pythons; it is not ours to judge.
        subprocess.run(
            ["/usr/bin/python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode=unchecked-hash", str(incoming)],
            check=False, capture_output=True,
        )  # fmt: skip
        for name, target in (links or {}).items():
            (incoming / name).parent.mkdir(parents=True, exist_ok=True)
            (incoming / name).symlink_to(target)
        incoming.chmod(0o755)
        os.sync()
        incoming.rename(home)
        sync_folder(home.parent)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise


def ship(module: AnsibleModule, app: App) -> None:
    """Say what of a release is not here; with archives, put it here, the dependencies first."""
    params = module.params
    homes = {"lib": app.libs / params["lib"], "release": app.releases / params["release"]}
    missing = [kind for kind, home in homes.items() if not home.is_dir()]
    if module.check_mode or not missing:
        module.exit_json(changed=bool(missing), missing=missing)
    for folder in (app.home, app.libs, app.releases, app.deployments, app.instances):
        folder.mkdir(parents=True, exist_ok=True)
    # Others on this host have no business in the app's code.
    shutil.chown(app.home, "root", f"flask-{app.name}")
    app.home.chmod(0o750)
    for home in homes.values():
        for left in home.parent.glob(".incoming-*"):
            shutil.rmtree(left)
    free, needed = shutil.disk_usage(app.home).free, 2 * sum(params["sizes"][kind] for kind in missing) + RESERVE
    if free < needed:
        module.fail_json(
            msg=f"{app.home} has {free >> 20} MiB free; release {params['release']} of {app.name} needs {needed >> 20}. "
            "What runs is untouched. Fix: free some disk, or lower `keep` of the app."
        )
    archives = params["archives"]
    if not archives:
        module.exit_json(changed=False, missing=missing)
    if "lib" in missing:
        # What a script asks for in its first line (`#!/usr/bin/env python`), and Debian does not have.
        unpack(Path(archives["lib"]), homes["lib"], links={"bin/python": "/usr/bin/python3"})
    if "release" in missing:
        state = {f"app/{path}": f"/var/lib/flask-{app.name}/{path}" for path in params["state_paths"]}
        links = {"lib": f"../../libs/{params['lib']}"} | state
        unpack(Path(archives["release"]), homes["release"], "app", links)
    module.exit_json(changed=True, missing=[])


def main() -> None:
    """Do so, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "lib": {"type": "str", "required": True},
            "sizes": {"type": "dict", "required": True},
            "state_paths": {"type": "list", "elements": "str", "default": []},
            "archives": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            ship(module, app)
    except (OSError, tarfile.TarError, EOFError, HostError) as error:
        module.fail_json(
            msg=f"Release {module.params['release']} of {app.name} could not be put on this host: {error}. "
            "What runs is untouched."
        )


if __name__ == "__main__":
    main()
