#!/usr/bin/python
"""The documentation of the action plugin of this name, which builds on the control node; flask_unpack runs on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_release
short_description: Have a release of a WSGI application on a host
version_added: "0.1.0"
author: flask-behind-haproxy (@flask-behind-haproxy)
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
    description: >-
      What the release is made of, a folder or a wheel on the control node, C(git+URL@REF#subdirectory=FOLDER), or a package
      of the index with its version. A ref is resolved once for all hosts of a run.
    type: str
    required: true
  wsgi:
    description: The application, C(module:callable), whose module has to be in the release.
    type: str
    default: ""
  ignore:
    description: Patterns, as in C(.gitignore), of files that are no part of the release; C(!) brings back what is left out.
    type: list
    elements: str
    default: []
  build:
    description: Packages without wheels for the host that are built on the control node.
    type: list
    elements: str
    default: []
  leave_out:
    description: >-
      Folder that is no part of the release where it lies in I(source), as an inventory does that is kept beside the
      application.
    type: path
  state_paths:
    description: Folders in I(source) that are no part of the release, in whose places it has links to the state of the app.
    type: list
    elements: str
    default: []
  requirements:
    description: >-
      File in I(source) with the requirements; empty for C(requirements.txt), C(uv.lock) or C(pyproject.toml), the first that
      is there.
    type: str
    default: ""
  server_requirements:
    description: >-
      File with the versions of the application server and their hashes, which give way to those that the application asks for.
      Beside it, with the suffix C(.in), is what the server needs.
    type: path
    required: true
  static:
    description: Folders of the release whose files are answered without the application.
    type: list
    elements: str
    default: []
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
  there:
    description: Ids of releases that the host is known to have; it is not asked for these.
    type: list
    elements: str
    default: []
  cache:
    description: >-
      Folder on the control node for what is built. Left out, C(flask-haproxy/releases) in the user's cache folder,
      C($XDG_CACHE_HOME) or C(~/.cache).
    type: path
"""
EXAMPLES = r"""
- name: Have the release on the host
  flask_haproxy.deploy.flask_release:
    name: hello
    source: "{{ inventory_dir }}/.."
    server_requirements: "{{ role_path }}/files/waitress.txt"
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
resolved:
  description: >-
    What the source was resolved to; C(commit), and C(changed) where the files are not those of the commit, or C(package), or
    C(wheel) and C(sha256).
  returned: always
  type: dict
built:
  description: Whether something was built for it on the control node, rather than found in the cache.
  returned: always
  type: bool
missing:
  description: Which of C(lib), the dependencies, and C(release) the host does not have; none outside check mode.
  returned: without C(build_only)
  type: list
  elements: str
"""
