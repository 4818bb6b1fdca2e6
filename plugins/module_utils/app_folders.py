"""Where an application lies on a host, what its deployments are, and what all instances were on when.

/opt/flask/NAME/libs/ID/                dependencies and application server; packages.json says which
/opt/flask/NAME/releases/ID/            app/ (the source), lib -> ../../libs/ID
/opt/flask/NAME/deployments/ID/         env (0600), unit.conf, commands.json, release -> ../../releases/ID, deployment.json
/opt/flask/NAME/instances/N             -> ../deployments/ID
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import (
    TIME,
    read_file,
    read_json,
    sync_folder,
    write_file,
)
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import HostError

ROOT = Path("/opt/flask")
BAD, PROVEN, COMMANDS = "bad", "proven", "commands.json"
OTHER_RUN = 300.0  # seconds; by default, a release has 240 to stop, start, fail and be undone


def of_an_app(user: pwd.struct_passwd) -> bool:
    """Say whether a user is as the role flask_app makes that of an app."""
    return (user.pw_dir, user.pw_shell) == (f"/var/lib/{user.pw_name}", "/usr/sbin/nologin")


def app_users(users: Iterable[pwd.struct_passwd]) -> list[str]:
    """Return the names of those users that are as the role flask_app makes the user of an app."""
    return [user.pw_name for user in users if user.pw_name.startswith("flask-") and of_an_app(user)]


class Folders:
    """The folders of one application on this host, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.home = ROOT / name
        self.libs = self.home / "libs"
        self.releases = self.home / "releases"
        self.deployments = self.home / "deployments"
        self.instances = self.home / "instances"

    @contextlib.contextmanager
    def alone(self, wait: float = OTHER_RUN, folder: Path = Path("/run")) -> Iterator[None]:
        """Keep other modules off the application: what a lost control node had begun here goes on, beside the next run.

        Waits for the other one, and raises HostError after `wait` seconds. The kernel lifts the lock of a process
        that has ended (flock(2)).
        """
        path, end = folder / f"flask-{self.name}@.lock", time.monotonic() + wait
        with path.open("a+", encoding="utf-8") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > end:
                        other = read_file(path).strip()
                        raise HostError(
                            f"process {other} of another run has been at work on {self.name} for {wait:g} s. "
                            f"Fix: wait for it, or end it with `sudo kill {other}`"
                        ) from error
                time.sleep(0.05)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def record(self, deployment: str) -> dict[str, Any]:
        """Return what was written down of a deployment, empty where there is no such one.

        {deployment, socket, release, version, health, health_check, source, made_of, written}; earlier releases of this
        project wrote fewer of them.
        """
        return read_json(self.deployments / deployment / "deployment.json")

    def settings(self, deployment: str) -> str:
        """Return the lines of the units of a deployment that are its own."""
        try:
            return read_file(self.deployments / deployment / "unit.conf")
        except FileNotFoundError:
            return ""

    def opens_its_port(self, deployment: str) -> bool:
        """Say whether a deployment is of a release of this project whose instances opened their ports themselves."""
        record = self.record(deployment)
        return bool(record) and not record.get("socket")

    def health_path(self, deployment: str) -> str:
        """Return the path that a deployment was found healthy on."""
        return str(self.record(deployment).get("health", "/health"))

    def health_check(self, deployment: str) -> dict[str, Any]:
        """Return {status, headers} that the path was answered and asked with, empty where they were the default."""
        found: dict[str, Any] = self.record(deployment).get("health_check", {})
        return found

    def linked(self, instance: str | int) -> str | None:
        """Return the deployment that an instance is pointed at."""
        with contextlib.suppress(OSError):
            return (self.instances / str(instance)).readlink().name
        return None

    def point(self, instance: str | int, deployment: str | None) -> None:
        """Point an instance at a deployment in one step; None takes the link away."""
        link = self.instances / str(instance)
        if deployment is None:
            link.unlink(missing_ok=True)
            return
        self.instances.mkdir(parents=True, exist_ok=True)
        temporary = link.with_name(f".{link.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(f"../deployments/{deployment}")
        temporary.replace(link)
        sync_folder(self.instances)

    def on(self, numbers: Iterable[int]) -> list[dict[str, Any]]:
        """Return what instances are on: {number, deployment, release, since} of each that is on something.

        `since` is, in seconds of the epoch, when all instances had come to be on it or, where they are on several, when
        this one was pointed at it.
        """
        found = []
        when, last = next(reversed(self.history()), (0.0, ""))
        for number in numbers:
            deployment = self.linked(number)
            if deployment is not None:
                since = when if deployment == last else (self.instances / str(number)).lstat().st_mtime
                release = self.record(deployment).get("release", "")
                found.append({"number": number, "deployment": deployment, "release": release, "since": since})
        return found

    def has_another(self, deployment: str) -> bool:
        """Say whether an instance is on another deployment: else there is nothing to stay with where this one fails."""
        linked = {self.linked(path.name) for path in self.instances.glob("[0-9]*")}
        return bool(linked - {deployment, None})

    def bad(self, deployment: str) -> str | None:
        """Return why a deployment was marked bad, None for one that was not."""
        with contextlib.suppress(OSError):
            return read_file(self.deployments / deployment / BAD).strip()
        return None

    def mark_bad(self, deployment: str, reason: str) -> None:
        """Remember that a deployment failed, so that it is neither retried silently nor chosen by a rollback."""
        write_file(self.deployments / deployment / BAD, f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}: {reason}\n")

    def history(self) -> list[tuple[float, str]]:
        """Return (time, deployment) of what all instances of this host were on, the last one last; seconds of the epoch."""
        return _diary(self.home / "history")

    def lived(self) -> list[tuple[float, str]]:
        """Return the same with the version of each deployment; of one that is gone, its id, which is no version."""
        history = self.history()
        versions = {one: str(self.record(one).get("version", one)) for _, one in history}
        return [(when, versions[one]) for when, one in history]

    def released(self) -> list[tuple[float, str]]:
        """Return (time, version) of what a release command ran for, on any host, the last one last; seconds of the epoch."""
        return _diary(self.home / "released")

    def last_live(self, count: int) -> list[str]:
        """Return the deployments that all instances of this host were on last."""
        return [entry[1] for entry in self.history()[-count:]]

    def prune(self, keep: int, current: str) -> None:
        """Remove old deployments, and the releases and dependencies that no deployment needs any more.

        What an instance is on stays, so do `current`, the two that all instances were on last, and the `keep` youngest good
        ones and bad ones each. A rollback finds what other hosts are on among them, unless that is older.
        """
        live = {current, *self.last_live(2), *(self.linked(path.name) for path in self.instances.glob("*"))}
        written = {path.parent: path.stat().st_mtime for path in self.deployments.glob("*/deployment.json")}
        youngest = sorted(written, key=lambda path: written[path], reverse=True)
        for group in ([p for p in youngest if not self.bad(p.name)], [p for p in youngest if self.bad(p.name)]):
            for path in group[keep:]:
                if path.name not in live:
                    shutil.rmtree(path)
        for folder, above, name in ((self.releases, self.deployments, "release"), (self.libs, self.releases, "lib")):
            needed = {link.resolve().name for link in above.glob(f"*/{name}")}
            for path in folder.glob("[0-9a-f]*"):
                if path.name not in needed:
                    shutil.rmtree(path)


def _diary(path: Path) -> list[tuple[float, str]]:
    """Return (time, what) of the lines of a file, in seconds of the epoch."""
    found = []
    with contextlib.suppress(OSError):
        for line in read_file(path).splitlines():
            when, what = (line.strip() + " ").split(" ")[:2]
            # A power cut may have left half a line.
            with contextlib.suppress(ValueError):
                found.append((datetime.strptime(when, TIME).timestamp(), what))
    return found
