"""Build a release on the control node and ship it: the half of the module flask_release that runs here."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.release_build import Build


def wanted_of(build: Build) -> dict[str, Any]:
    """Return what M(flask_unpack) is asked for."""
    wanted: dict[str, Any] = {"name": build.name, "state_paths": build.state}
    wanted |= {part.kind: part.id for part in build.parts}
    return wanted | {"sizes": {part.kind: part.record()["size"] for part in build.parts}}


class ActionModule(ActionBase):
    """Build where needed, ask the host, ship where needed."""

    _requires_connection = True
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, release, content, packages, resolved, built}, with what M(flask_unpack) returns of the host."""
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            build = Build(args)
            built = build.make()
        except (OSError, ValueError) as error:
            # A source that changes under our hands, a full disk, names that no file can have.
            raise AnsibleActionFail(
                f"The release of {args['name']} cannot be built: {error}. No host was changed. Fix: what it says; then again."
            ) from None
        result: dict[str, Any] = {
            "release": build.release.id,
            "content": build.content,
            "packages": build.lib.record()["packages"],
            "resolved": build.origin.resolved,
            "built": built,
        }
        if args.get("build_only", False):
            return result | {"changed": False, "warnings": build.warnings()}
        if build.release.id in args.get("there", []):
            return result | {"changed": False, "missing": []}
        return {**self._ship(build, task_vars), **result}

    def _ship(self, build: Build, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Ask the host what it lacks, and give it that; return what M(flask_unpack) returns."""
        wanted = wanted_of(build)
        answer: dict[str, Any] = self._execute_module(
            "flask_haproxy.deploy.flask_unpack", module_args=wanted, task_vars=task_vars
        )
        if answer.get("failed") or not answer["missing"] or self._task.check_mode:
            return answer
        folder = self._make_tmp_path()
        try:
            archives = {}
            for part in build.parts:
                if part.kind in answer["missing"]:
                    archives[part.kind] = self._connection._shell.join_path(folder, part.archive.name)
                    self._transfer_file(str(part.archive), archives[part.kind])
            answer = self._execute_module(
                "flask_haproxy.deploy.flask_unpack",
                module_args=wanted | {"archives": archives},
                task_vars=task_vars,
            )
        finally:
            self._remove_tmp_path(folder)
        return answer
