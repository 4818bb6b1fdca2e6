"""Where an application lies on a host, and what systemd, the kernel and the instances themselves say of it.

    /opt/flask/NAME/libs/ID/                dependencies and application server; packages.json says which
    /opt/flask/NAME/releases/ID/            app/ (the source), lib -> ../../libs/ID
    /opt/flask/NAME/deployments/ID/         env (0600), unit.conf, release -> ../../releases/ID, deployment.json
    /opt/flask/NAME/instances/N             -> ../deployments/ID
    /etc/systemd/system/flask-NAME@N.service.d/deployment.conf

An instance's drop-in is written from its deployment, so what `systemctl cat` shows is what runs. Standard library
only: this runs on the targets.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path("/opt/flask")
SYSTEMD = Path("/etc/systemd/system")
RUNTIME = Path("/run/systemd/system")
BAD, PROVEN = "bad", "proven"
OTHER_RUN = 300.0  # seconds; by default, a release has 240 to stop, start, fail and be undone


class LayoutError(Exception):
    """Something that a person has to look at; the message says what and how it is mended."""


def quoted(value: str) -> str:
    """Return a value as systemd's EnvironmentFile= reads it back (systemd.exec(5): double quotes, backslash escapes)."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def write_file(path: Path, text: str, mode: int = 0o644) -> bool:
    """Put a file in place in one step, and say whether anything changed. The text is on disk before its name is."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text and path.stat().st_mode & 0o7777 == mode:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut (fsync(2): a file's own fsync does not cover its name)."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def run(*command: str, check: bool = True) -> str:
    """Run a command and return what it printed; raise LayoutError with all of it where it fails and `check` is set."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise LayoutError(f"`{' '.join(command)}` failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


class App:
    """One application on this host, by its name."""

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

        Waits for the other one, and raises LayoutError after `wait` seconds. The kernel lifts the lock of a process
        that has ended (flock(2)).
        """
        path, end = folder / f"flask-{self.name}@.lock", time.monotonic() + wait
        with path.open("a+") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > end:
                        other = path.read_text().strip()
                        raise LayoutError(
                            f"process {other} of another run has been at work on {self.name} for {wait:g} s. "
                            f"Fix: wait for it, or end it with `sudo kill {other}`"
                        ) from error
                time.sleep(0.05)
            file.truncate(0)
            print(os.getpid(), file=file, flush=True)
            yield

    def unit(self, instance: str | int) -> str:
        """Return the unit of an instance."""
        return f"flask-{self.name}@{instance}.service"

    def drop_in(self, instance: str | int) -> Path:
        """Return the file that joins the unit of an instance with its deployment."""
        return SYSTEMD / f"{self.unit(instance)}.d" / "deployment.conf"

    def enabled(self, instance: int) -> bool:
        """Say whether the target of the application wants the instance, as `systemctl enable` makes it."""
        return (SYSTEMD / f"flask-{self.name}.target.wants" / self.unit(instance)).is_symlink()

    def at_boot(self) -> bool:
        """Say whether the target of the application is enabled and started."""
        target = f"flask-{self.name}.target"
        wanted = (SYSTEMD / "multi-user.target.wants" / target).is_symlink()
        return wanted and run("systemctl", "is-active", target, check=False).strip() == "active"

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

    def numbers(self) -> list[int]:
        """Return the numbers of the instances that this host has, from their links and their drop-ins."""
        found = {path.name for path in self.instances.glob("[0-9]*")}
        pattern = re.compile(rf"flask-{re.escape(self.name)}@(\d+)\.service\.d")
        found |= {
            match[1]
            for path in SYSTEMD.glob(f"flask-{self.name}@*.service.d")
            if (match := pattern.fullmatch(path.name))
        }
        return sorted(int(number) for number in found if number.isdigit())

    def expected_drop_in(self, deployment: str, instance: dict[str, Any]) -> str:
        """Return the drop-in for an instance: {number, address, port, host, number_base} and a deployment's settings."""
        try:
            settings = (self.deployments / deployment / "unit.conf").read_text()
        except FileNotFoundError:
            settings = ""
        return (
            "# Written by the role flask_app when the instance is put on a deployment.\n"
            f"# Deployment {deployment}\n"
            "[Service]\n"
            f"Environment=GRANIAN_HOST={instance['address']} GRANIAN_PORT={instance['port']}\n"
            f"Environment=APP_INSTANCE={instance['host']}-{instance['number']} "
            f"APP_NUMBER={instance['number'] + instance['number_base']}\n"
            f"{settings}"
        )

    def bad(self, deployment: str) -> str | None:
        """Return why a deployment was marked bad, None for one that was not."""
        with contextlib.suppress(OSError):
            return (self.deployments / deployment / BAD).read_text().strip()
        return None

    def health_path(self, deployment: str) -> str:
        """Return the path that a deployment was found healthy on."""
        return str(read_json(self.deployments / deployment / "deployment.json").get("health", "/health"))

    def listens_at(self, instance: str | int) -> tuple[str, int] | None:
        """Return (address, port) that the drop-in of an instance gives it."""
        with contextlib.suppress(OSError):
            found = re.search(r"GRANIAN_HOST=(\S+) GRANIAN_PORT=(\d+)", self.drop_in(instance).read_text())
            return (found[1], int(found[2])) if found else None
        return None

    def mark_bad(self, deployment: str, reason: str) -> None:
        """Remember that a deployment failed, so that it is neither retried silently nor chosen by a rollback."""
        write_file(self.deployments / deployment / BAD, f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}: {reason}\n")

    def history(self) -> list[tuple[float, str]]:
        """Return (time, deployment) of what all instances of this host were on, the last one last; seconds of the epoch."""
        found = []
        with contextlib.suppress(OSError):
            for line in (self.home / "history").read_text().splitlines():
                when, _, deployment = line.strip().partition(" ")
                # A power cut may have left half a line.
                with contextlib.suppress(ValueError):
                    found.append((datetime.strptime(when, "%Y-%m-%dT%H:%M:%S%z").timestamp(), deployment))
        return found

    def last_live(self, count: int) -> list[str]:
        """Return the deployments that all instances of this host were on last."""
        return [deployment for _, deployment in self.history()[-count:]]

    def remember(self) -> None:
        """Write the deployment down that all instances are on, where it is one and not written down yet."""
        deployment = self.linked(next(iter(self.numbers()), 0))
        if deployment is None:
            return
        if {self.linked(number) for number in self.numbers()} == {deployment} and self.last_live(1) != [deployment]:
            with (self.home / "history").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {deployment}\n")

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

    def unit_states(self, numbers: list[int]) -> dict[int, dict[str, str]]:
        """Return what systemd says of the instances: {number: {ActiveState, SubState, MainPID, NRestarts}}."""
        if not numbers:
            return {}
        units = [self.unit(number) for number in numbers]
        shown = run("systemctl", "show", "--property=Id,ActiveState,SubState,MainPID,NRestarts", *units)
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
        by_id = {block["Id"]: block for block in blocks}
        return {number: by_id[unit] for number, unit in zip(numbers, units, strict=True)}


def process_environment(pid: str) -> dict[str, str]:
    """Return the environment a process was started with (proc(5)); empty where there is no such process."""
    with contextlib.suppress(OSError):
        raw = Path("/proc", pid, "environ").read_bytes().decode(errors="replace")
        return dict(entry.split("=", 1) for entry in raw.split("\0") if "=" in entry)
    return {}


def health(address: str, port: int, path: str, host: str = "localhost", timeout: float = 2.0) -> str:
    """Return an empty string if an instance answers 200 to its health path, else what it did instead."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"status {status}"


def stale_instances(
    app: App, deployment: str, instances: list[dict[str, Any]], path: str, environment: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the instances that have to be put on the deployment, each with why.

    What counts is what the processes were started with: a file that somebody altered and that nobody has read yet is
    mended without a restart.
    """
    expected = environment | {"APP_DEPLOYMENT": deployment}
    states = app.unit_states([instance["number"] for instance in instances])
    stale, ports = [], {}
    for instance in instances:
        number, state = instance["number"], states[instance["number"]]
        running = process_environment(state["MainPID"])
        ports[number] = running.get("GRANIAN_PORT", "")
        reason = ""
        if app.linked(number) != deployment:
            reason = f"is on {app.linked(number)}" if app.linked(number) else "is new"
        elif not app.drop_in(number).is_file() or app.drop_in(number).read_text() != app.expected_drop_in(
            deployment, instance
        ):
            reason = "has another drop-in"
        elif not app.enabled(number):
            reason = "is not enabled"
        elif state["ActiveState"] != "active":
            reason = f"is {state['ActiveState']}"
        elif running.get("APP_DEPLOYMENT") != deployment or running.get("GRANIAN_PORT") != str(instance["port"]):
            reason = f"still runs {running.get('APP_DEPLOYMENT')}"
        elif any(running.get(key) != value for key, value in expected.items()):
            reason = "was started with another environment"
        else:
            reason = health(instance["address"], instance["port"], path, instance["health_host"])
        if reason:
            stale.append(instance | {"reason": reason})
    # Where ports move up by less than there are instances, the last one has to make room first.
    held = {running_port: number for number, running_port in ports.items()}
    rising = any(held.get(str(instance["port"]), 0) > instance["number"] for instance in stale)
    return stale[::-1] if rising else stale


def journal(unit: str, since: float, pattern: str = "", lines: int = 60) -> str:
    """Return the last lines that a unit wrote to the journal since a time (seconds of the epoch).

    With a pattern, lines that match it: a busy unit's own words would drown in what it logs of its requests.
    """
    options = [f"--since=@{since:.3f}", f"--lines={lines}", "--quiet", "--no-pager", "--output=short-iso"]
    if pattern:
        options.append(f"--grep={pattern}")
    return run("journalctl", f"--unit={unit}", *options, check=False).strip()


def audit(message: str) -> None:
    """Write a line to the journal under the name `flask-deploy`, for whoever asks later what was done when."""
    subprocess.run(["systemd-cat", "--identifier=flask-deploy"], input=message + "\n", text=True, check=False)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file as a mapping, empty where it is missing or no mapping."""
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}
