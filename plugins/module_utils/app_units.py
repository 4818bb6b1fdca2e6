"""The instances of an application as units of systemd, each joined with its deployment by drop-ins.

    /etc/systemd/system/flask-NAME@N.service.d/deployment.conf
    /etc/systemd/system/flask-NAME@N.socket.d/listen.conf

An instance's drop-ins are written from its deployment, so what `systemctl cat` shows is what runs. systemd holds the socket
of an instance, except on a deployment of a release of this project that had none (`socket` in its record is missing).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.app_folders import Folders
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import TIME, read_file, write_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import SYSTEMD, run


class App(Folders):
    """One application on this host, by its name: its folders and its units."""

    def unit(self, instance: str | int) -> str:
        """Return the unit of an instance."""
        return f"flask-{self.name}@{instance}.service"

    def socket(self, instance: str | int) -> str:
        """Return the socket unit of an instance."""
        return f"flask-{self.name}@{instance}.socket"

    def drop_in(self, instance: str | int) -> Path:
        """Return the file that joins the unit of an instance with its deployment."""
        return SYSTEMD / f"{self.unit(instance)}.d" / "deployment.conf"

    def socket_drop_in(self, instance: str | int) -> Path:
        """Return the file that gives the socket of an instance its address."""
        return SYSTEMD / f"{self.socket(instance)}.d" / "listen.conf"

    def wants(self, unit: str) -> bool:
        """Say whether the target of the application wants a unit, as `systemctl enable` makes it."""
        return (SYSTEMD / f"flask-{self.name}.target.wants" / unit).is_symlink()

    def enabled(self, instance: int) -> bool:
        """Say whether the target of the application wants the instance."""
        return self.wants(self.unit(instance))

    def wanted(self) -> bool:
        """Say whether the target of the application is enabled, with which what it wants is started at boot."""
        return (SYSTEMD / "multi-user.target.wants" / f"flask-{self.name}.target").is_symlink()

    def at_boot(self) -> bool:
        """Say whether the target of the application is enabled and started."""
        target = f"flask-{self.name}.target"
        return self.wanted() and run("systemctl", "is-active", target, check=False).strip() == "active"

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

    def remember(self) -> None:
        """Write the deployment down that all instances are on, where it is one and not written down yet."""
        deployment = self.linked(next(iter(self.numbers()), 0))
        if deployment is None:
            return
        if {self.linked(number) for number in self.numbers()} == {deployment} and self.last_live(1) != [deployment]:
            with (self.home / "history").open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime(TIME)} {deployment}\n")

    def expected_drop_in(self, deployment: str, instance: dict[str, Any], unit: str = "") -> str:
        """Return the drop-in for an instance: {number, address, port, host, number_base} and a deployment's settings.

        `unit` is the lines of its section [Unit], by default those that join it with its socket.
        """
        prefix, (host, port) = "APP", ("ADDRESS", "PORT")
        if self.opens_its_port(deployment):
            prefix, (host, port) = "GRANIAN", ("HOST", "PORT")
        elif not unit:
            # Stopping the socket stops the instance, which otherwise would not be reached any more.
            unit = "".join(f"{key}={self.socket(instance['number'])}\n" for key in ("Requires", "After"))
        return (
            "# Written by the role flask_app when the instance is put on a deployment.\n"
            f"# Deployment {deployment}\n"
            f"[Unit]\n{unit}"
            "[Service]\n"
            f"Environment={prefix}_{host}={instance['address']} {prefix}_{port}={instance['port']}\n"
            f"Environment=APP_INSTANCE={instance['host']}-{instance['number']} "
            f"APP_NUMBER={instance['number'] + instance['number_base']}\n"
            f"{self.settings(deployment)}"
        )

    def expected_socket(self, deployment: str, instance: dict[str, Any]) -> str:
        """Return the drop-in for the socket of an instance; empty for a deployment that opens its port itself."""
        if self.opens_its_port(deployment):
            return ""
        address = f"[{instance['address']}]" if ":" in instance["address"] else instance["address"]
        # What the kernel lets through to a connection depends on the unit that opened the socket it came in by.
        filters = [line for line in self.settings(deployment).splitlines() if line.startswith("IPAddress")]
        lines = [f"[Socket]\nListenStream={address}:{instance['port']}", *filters]
        return "# Written by the role flask_app when the instance is put on a deployment.\n" + "\n".join(lines) + "\n"

    def drop_ins(self, instance: str | int) -> tuple[str | None, str]:
        """Return the drop-ins of an instance and of its socket as they are; None and empty where they are missing."""
        found = [
            read_file(path) if path.is_file() else None
            for path in (self.drop_in(instance), self.socket_drop_in(instance))
        ]
        return found[0], found[1] or ""

    def listens_at(self, instance: str | int) -> tuple[str, int] | None:
        """Return (address, port) that the drop-in of an instance gives it."""
        with contextlib.suppress(OSError):
            found = re.search(r"(?:APP_ADDRESS|GRANIAN_HOST)=(\S+) \w+_PORT=(\d+)", read_file(self.drop_in(instance)))
            return (found[1], int(found[2])) if found else None
        return None

    def place(self, instance: int, deployment: str, drop_in: str, socket: str) -> None:
        """Join an instance with a deployment by its drop-ins and its link, and restart it.

        Its socket stays as it is where its address does, so that what comes meanwhile waits.
        """
        stays = (
            socket
            and self.socket_drop_in(instance).is_file()
            and _listens(self.drop_ins(instance)[1]) == _listens(socket)
        )
        target, units = f"flask-{self.name}.target", [self.unit(instance), self.socket(instance)]
        if not stays:
            # A service whose socket is stopped would be started by the next request.
            run("systemctl", "stop", *reversed(units), check=False)
        write_file(self.drop_in(instance), drop_in)
        if socket:
            write_file(self.socket_drop_in(instance), socket)
        else:
            shutil.rmtree(self.socket_drop_in(instance).parent, ignore_errors=True)
        self.point(instance, deployment)
        at_boot = self.enabled(instance) and self.at_boot()
        # `enable` reads the units anew as well.
        run("systemctl", *(["daemon-reload"] if at_boot else ["enable", "--quiet", self.unit(instance), target]))
        run("systemctl", "restart", self.unit(instance))
        if not at_boot:
            # Not before: it would start the instance, only for that to be restarted.
            run("systemctl", "start", "--no-block", target)


def _listens(drop_in: str) -> list[str]:
    """Return the lines of the drop-in of a socket that say where it listens."""
    return [line for line in drop_in.splitlines() if line.startswith("ListenStream=")]
