#!/usr/bin/python
"""Unpack a release of an application. The action plugin of the same name builds it and brings it here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_release
short_description: Have a release of a WSGI application on a host
description:
  - Builds the release on the control node where it is not in the cache yet, and ships it to the host where it is not
    there yet. A release is named by a hash of what went into it, and complete once its folder exists.
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

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import App, sync_folder

# Unpacked and compiled, beside what is unpacked: a host that ran out of disk would lose more than a deploy.
RESERVE = 64 * 1024 * 1024


def unpack(app: App, release: str, archive: Path) -> None:
    """Unpack and compile an archive beside the releases, and give it its name once it is complete and on disk."""
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=app.releases))
    try:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):  # security updates brought it to Pythons older than 3.12 (PEP 706)
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(incoming)  # noqa: S202
        # The app may not write here, so what is not compiled now would be compiled again at each start.
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "-j0", "--invalidation-mode=unchecked-hash", str(incoming)],
            check=False, capture_output=True,  # a package may ship files for other Pythons; it is not ours to judge
        )  # fmt: skip
        incoming.chmod(0o755)
        os.sync()
        incoming.rename(app.releases / release)
        sync_folder(app.releases)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise


def main() -> None:
    """Say whether a release is here; with an archive, put it here."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    app, release = App(module.params["name"]), module.params["release"]
    if (app.releases / release).is_dir():
        module.exit_json(changed=False, present=True)
    if module.check_mode:
        module.exit_json(changed=True, present=False)
    group = f"flask-{app.name}"
    try:
        for folder in (app.home, app.releases, app.deployments, app.instances):
            folder.mkdir(parents=True, exist_ok=True)
        # Others on this host have no business in the app's code.
        shutil.chown(app.home, "root", group)
        app.home.chmod(0o750)
        for left in app.releases.glob(".incoming-*"):
            shutil.rmtree(left)
        free, needed = shutil.disk_usage(app.releases).free, 2 * module.params["size"] + RESERVE
        if free < needed:
            module.fail_json(
                msg=f"{app.releases} has {free >> 20} MiB free; release {release} of {app.name} needs {needed >> 20}. "
                "What runs is untouched. Fix: free some disk, or lower `keep` of the app."
            )
        if not module.params["archive"]:
            module.exit_json(changed=False, present=False)
        unpack(app, release, Path(module.params["archive"]))
    except (OSError, tarfile.TarError, EOFError) as error:
        module.fail_json(
            msg=f"Release {release} of {app.name} could not be put on this host: {error}. What runs is untouched."
        )
    module.exit_json(changed=True, present=True)


if __name__ == "__main__":
    main()
