"""The service of HAProxy: whether it runs and with what, and starting, restarting and reloading it with proof."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

from ansible_collections.flask_haproxy.deploy.plugins.module_utils.files import read_file
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.haproxy_master import MASTER_SOCKET, processes
from ansible_collections.flask_haproxy.deploy.plugins.module_utils.systemd import journal, run

SERVICE = "haproxy.service"
DROP_INS = Path("/etc/systemd/system/haproxy.service.d")
SANDBOX = DROP_INS / "sandbox.conf"
# HAProxy tries a clashing bind again for 2 to 3 seconds before it gives up; 2.6 refuses and 3.0 is silent meanwhile.
PROOF = 15.0
SETTLED = 5.0


def started_at(pid: int) -> float:
    """Return when a process was started, in seconds of the epoch (proc(5): /proc/PID/stat, field 22)."""
    after_name = read_file(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)$", read_file(Path("/proc/stat")), re.MULTILINE)
    if boot is None:
        raise ValueError("/proc/stat has no btime")
    return int(boot[1]) + int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def main_pid() -> int:
    """Return the pid of HAProxy's master, 0 where the service does not run."""
    shown = run("systemctl", "show", "--property=ActiveState,MainPID", SERVICE)
    state = dict(line.split("=", 1) for line in shown.splitlines())
    return int(state["MainPID"]) if state["ActiveState"] in ("active", "reloading") else 0


def at_boot() -> bool:
    """Say whether HAProxy is enabled and runs."""
    return bool(main_pid()) and run("systemctl", "is-enabled", SERVICE, check=False).strip() == "enabled"


def loaded(path: Path) -> bool:
    """Say whether the running worker was started after the file was written: a run may end between the two."""
    try:
        # btime has whole seconds and jumps with the clock, so a second of doubt remains.
        return started_at(max(processes().workers)) + 1 >= path.stat().st_mtime
    except (OSError, ValueError):
        return False


def restart_needed() -> bool:
    """Say whether a drop-in of the unit is younger than the master."""
    pid = main_pid()
    return bool(pid) and any(file.stat().st_mtime > started_at(pid) + 1 for file in DROP_INS.glob("*.conf"))


def sandbox_differs(expected: str | None) -> bool:
    """Say whether the drop-in is not what it is to be: its content, or who may write it."""
    if expected is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        found = SANDBOX.stat()
        right = (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o644)
        return not right or read_file(SANDBOX).rstrip("\n") != expected.rstrip("\n")
    return True


def apply(restart: bool) -> tuple[str, str]:
    """Start, restart or reload, and return (what was done, what went wrong). A reload is proven by the master."""
    before: tuple[int, ...] = ()
    if not main_pid():
        verb = "start"
    elif restart or not Path(MASTER_SOCKET).exists():
        # A HAProxy that was started before our drop-in has its socket elsewhere; nobody could prove its reload.
        verb = "restart"
    else:
        verb = "reload"
        with contextlib.suppress(OSError, ValueError):
            before = processes().workers
    since = time.time()
    action = {"start": "started", "restart": "restarted", "reload": "reloaded"}[verb]
    done = subprocess.run(
        ["systemctl", verb, SERVICE], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    problem = (done.stderr.strip() or f"systemctl {verb} failed") if done.returncode else proof_problem(before)
    return action, problem and "\n".join([problem, journal(SERVICE, since, pattern=r"\[(ALERT|WARNING)\]")])


def proof_problem(before: tuple[int, ...]) -> str:
    """Wait for a worker that is none of those before, and return why the master has none, empty where it has."""
    problem = "the master process did not answer"
    end, failed = time.monotonic() + PROOF, False
    while time.monotonic() < end:
        try:
            now = processes()
        except (OSError, ValueError) as error:
            problem = f"the master process did not answer: {error}"
        else:
            if now.workers and not now.failed and not set(now.workers) & set(before):
                return ""
            if now.failed and not failed:
                # 2.6 counts a reload as failed from its beginning until it has succeeded, so this is no verdict yet.
                failed, end = True, min(end, time.monotonic() + SETTLED)
            problem = (
                "HAProxy could not load it and went on with the old one" if failed else "no new worker was started"
            )
        time.sleep(0.1)
    return problem
