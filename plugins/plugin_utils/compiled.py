"""What a release is for, and whether compiled parts that were made on this machine run there."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ansible.errors import AnsibleActionFail

# The C libraries of Debian 12 and 13, by the Python that they come with (PEP 600: what asks for an older one runs as well).
GLIBC = {"3.11": (2, 36), "3.13": (2, 41)}
OLDEST = GLIBC["3.11"]


class Host(NamedTuple):
    """What a release is for: `python` as 3.11, `architecture` as `uname -m` prints it."""

    python: str
    architecture: str

    @property
    def platform(self) -> str:
        """Return what uv calls it."""
        return f"{self.architecture}-manylinux_{OLDEST[0]}_{OLDEST[1]}"

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


def version_of(python: str) -> str:
    """Return the version of a Python, like 3.11; empty where it does not run."""
    if python == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        shown = subprocess.run(
            [python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
    except OSError:
        return ""
    return shown.stdout.strip()


def python_for(version: str) -> str:
    """Return a Python of this machine of the hosts' version, or else the one that runs this."""
    candidates = [
        sys.executable,
        f"/usr/bin/python{version}",
        shutil.which(f"python{version}") or "",
        "/usr/bin/python3",
    ]
    return next((one for one in candidates if one and version_of(one) == version), sys.executable)


def refuse_foreign(label: str, folder: Path, built: list[str], host: Host, python: str) -> None:
    """Raise AnsibleActionFail for compiled parts in a folder that were made here and would not run on the hosts.

    `built` are the packages that were, normalised names; where it is empty, all in the folder was. `label` begins the message.
    """
    for path in sorted(folder.rglob("*.so*")):
        owner = path.relative_to(folder).parts[0]
        if built and not _is_of(folder, path, built):
            continue
        most = GLIBC.get(host.python, OLDEST)
        asked = max(
            (tuple(map(int, found)) for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())), default=(0, 0)
        )
        here = f"Python {version_of(python)} on {platform.machine()}"
        if here != str(host) or asked > most:
            raise AnsibleActionFail(
                f"{label}: {owner} has compiled parts, made on this machine ({here}, C library {'.'.join(map(str, asked))}), "
                f"which do not run on the hosts ({host}, C library {'.'.join(map(str, most))}); no host was "
                "changed. Fix: a version of it that has a wheel; or deploy from a machine with the hosts' Debian and architecture."
            )


def _is_of(folder: Path, path: Path, names: list[str]) -> bool:
    """Say whether a file is of one of some packages, by the lists that they brought (RECORD, PEP 376)."""
    wanted = path.relative_to(folder).as_posix()
    for record in folder.glob("*.dist-info/RECORD"):
        name = re.sub(r"[-_.]+", "-", record.parent.name.removesuffix(".dist-info").rpartition("-")[0]).lower()
        if name in names and f"\n{wanted}," in "\n" + record.read_text(encoding="utf-8"):
            return True
    return False
