#!/usr/bin/python
"""Unpack a release of an application. The action plugin of the same name builds it and brings it here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_release
short_description: Have a release of a WSGI application on a host
description:
  - Builds the release on the control node where it is not in the cache yet, and ships it to the host where it is not
    there yet, without its dependencies where the host has them. A release is named by a hash of what went into it, so are
    dependencies, and complete once its folder exists.
options:
  name:
    description: Name of the application.
    type: str
    required: true
  source:
    description: Folder of the application on the control node.
    type: path
    required: true
  requirements:
    description: File in I(source) with the requirements; empty for C(requirements.txt) where there is one.
    type: str
    default: ""
  server_requirements:
    description: File with the requirements of the application server, with hashes.
    type: path
    required: true
  python_version:
    description: Version of Python on the host, like C(3.11).
    type: str
    required: true
  architecture:
    description: Architecture of the host, as C(uname -m) prints it.
    type: str
    required: true
  build_only:
    description: Build the release, and leave the host alone.
    type: bool
    default: false
  cache:
    description: Folder on the control node for what is built.
    type: path
    default: .cache/releases
"""
EXAMPLES = r"""
- name: Have the release on the host
  flask_release:
    name: hello
    source: files/hello
    server_requirements: "{{ role_path }}/files/server.txt"
    python_version: "3.11"
    architecture: x86_64
"""
RETURN = r"""
release:
  description: Id of the release.
  returned: always
  type: str
content:
  description: Digest of what the release is made of, the same for every Python and architecture.
  returned: always
  type: str
packages:
  description: What the dependencies were resolved to, C(name==version).
  returned: always
  type: list
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import App, LayoutError, sync_folder

# Unpacked and compiled, beside what is unpacked: a host that ran out of disk would lose more than a deploy.
RESERVE = 64 * 1024 * 1024


def unpack(archive: Path, home: Path, below: str = "", links: dict[str, str] | None = None) -> None:
    """Unpack and compile an archive beside `home`, and give it that name once it is complete and on disk."""
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=home.parent))
    try:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):  # security updates brought it to Pythons older than 3.12 (PEP 706)
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(incoming / below)  # noqa: S202
        # The app may not write here, so what is not compiled now would be compiled again at each start. What cannot be
        # compiled is left: a package may ship files for other Pythons; it is not ours to judge.
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "-j0", "--invalidation-mode=unchecked-hash", str(incoming)],
            check=False, capture_output=True,
        )  # fmt: skip
        for name, target in (links or {}).items():
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
        unpack(Path(archives["lib"]), homes["lib"])
    if "release" in missing:
        unpack(Path(archives["release"]), homes["release"], "app", {"lib": f"../../libs/{params['lib']}"})
    module.exit_json(changed=True, missing=[])


def main() -> None:
    """Do so, nobody else being at work on the application."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "lib": {"type": "str", "required": True},
            "sizes": {"type": "dict", "required": True},
            "archives": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    app = App(module.params["name"])
    try:
        with contextlib.nullcontext() if module.check_mode else app.alone():
            ship(module, app)
    except (OSError, tarfile.TarError, EOFError, LayoutError) as error:
        module.fail_json(
            msg=f"Release {module.params['release']} of {app.name} could not be put on this host: {error}. "
            "What runs is untouched."
        )


if __name__ == "__main__":
    main()
