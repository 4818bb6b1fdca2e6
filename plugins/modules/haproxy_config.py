#!/usr/bin/python
"""Give HAProxy a configuration, all or nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_config
short_description: Give HAProxy a configuration, all or nothing
description:
  - Has HAProxy's own parser accept the configuration, warnings counting as errors, before it replaces the live file;
    reloads; and asks the master process whether the new worker runs. If it does not, the old file goes back, is loaded
    again, and the task fails with HAProxy's words.
  - In check mode the configuration is checked as well, where HAProxy is installed.
options:
  content:
    description: >-
      The configuration; left out, the one that is there, with the servers that are out by hand (M(haproxy_drained))
      disabled, and no others.
    type: str
  path:
    description: The file that HAProxy reads.
    type: path
    default: /etc/haproxy/haproxy.cfg
  takeover:
    description: Replace a file that somebody else wrote.
    type: bool
    default: false
  sandbox:
    description: What C(/etc/systemd/system/haproxy.service.d/sandbox.conf) is to have in it, to be compared only.
    type: str
  restart:
    description: Restart instead of reload where the unit has changed since HAProxy was started.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Configure HAProxy
  haproxy_config:
    content: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""
RETURN = r"""
action:
  description: What was done to the service, C(none), C(started), C(reloaded) or C(restarted).
  returned: always
  type: str
at_boot:
  description: Whether HAProxy is enabled and runs.
  returned: always
  type: bool
not_there:
  description: Whether HAProxy is still to be installed, which it is after check mode only.
  returned: always
  type: bool
left_out:
  description: Servers, C(backend/server), that are drained at run time, as only an interrupted deploy leaves them.
  returned: always
  type: list
sandbox_differs:
  description: Whether the drop-in with the sandbox is another one than C(sandbox), or is missing.
  returned: always
  type: bool
pending:
  description: Whether there is something to do, or was.
  returned: always
  type: bool
restart_needed:
  description: Whether the unit was changed since HAProxy was started.
  returned: always
  type: bool
"""

import contextlib
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flask_layout import journal, run, write_file
from ansible.module_utils.haproxy_files import drained, foreign, with_drained
from ansible.module_utils.haproxy_master import MASTER_SOCKET, processes
from ansible.module_utils.haproxy_servers import Balancer
from ansible.module_utils.listeners import listeners

HAPROXY = "/usr/sbin/haproxy"
SANDBOX = Path("/etc/systemd/system/haproxy.service.d/sandbox.conf")
SERVICE = "haproxy.service"
DROP_INS = Path("/etc/systemd/system/haproxy.service.d")
# HAProxy tries a clashing bind again for 2 to 3 seconds before it gives up; 2.6 refuses and 3.0 is silent meanwhile.
PROOF = 15.0
SETTLED = 5.0


def parser_words(content: str, folder: Path) -> str:
    """Return what HAProxy's parser has against a configuration, empty for nothing."""
    with tempfile.NamedTemporaryFile("w", prefix=".haproxy.cfg.", dir=folder) as file:
        file.write(content)
        file.flush()
        done = subprocess.run([HAPROXY, "-c", "-dW", "-f", file.name], capture_output=True, text=True, check=False)
        return (done.stderr + done.stdout).replace(file.name, "haproxy.cfg").strip() if done.returncode else ""


def bound_ports(content: str) -> set[int]:
    """Return the TCP ports of all `bind` lines (configuration manual, section 5.1: address:port[-port], by commas)."""
    ports: set[int] = set()
    for arguments in re.findall(r"^\s*bind\s+(\S+)", content, re.MULTILINE):
        for address in arguments.split(","):
            found = re.search(r":(\d+)(?:-(\d+))?$", address)
            if found and "@/" not in address:
                ports.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return ports


def held_ports(content: str) -> str:
    """Say which ports other processes hold: the parser does not look, and a reload would stop answering for seconds."""
    held = {port: who for port, who in listeners(bound_ports(content)).items() if who.unit != SERVICE}
    return "\n".join(
        f"port {port} is held by {who.command} ({who.unit or who.pid})" for port, who in sorted(held.items())
    )


def started_at(pid: int) -> float:
    """Return when a process was started, in seconds of the epoch (proc(5): /proc/PID/stat, field 22)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    if boot is None:
        raise ValueError("/proc/stat has no btime")
    return int(boot[1]) + int(after_name[19]) / os.sysconf("SC_CLK_TCK")


def main_pid() -> int:
    """Return the pid of HAProxy's master, 0 where the service does not run."""
    shown = run("systemctl", "show", "--property=ActiveState,MainPID", SERVICE)
    state = dict(line.split("=", 1) for line in shown.splitlines())
    return int(state["MainPID"]) if state["ActiveState"] in ("active", "reloading") else 0


def left_out() -> list[str]:
    """Return the servers that are drained at run time."""
    if not main_pid() or not Path(MASTER_SOCKET).exists():
        return []
    balancer = Balancer()
    return [
        f"{server.backend}/{server.name}"
        for worker in balancer.processes().workers
        for server in balancer.servers(worker).values()
        if server.drained and not server.by_hand
    ]


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


def apply(restart: bool) -> tuple[str, str]:
    """Start, restart or reload, and return (what was done, what went wrong). A reload is proven by the master."""
    if not main_pid():
        verb, before = "start", ()
    elif restart or not Path(MASTER_SOCKET).exists():
        # A HAProxy that was started before our drop-in has its socket elsewhere; nobody could prove its reload.
        verb, before = "restart", ()
    else:
        verb = "reload"
        try:
            before = processes().workers
        except (OSError, ValueError):
            before = ()
    since = time.time()
    done = subprocess.run(["systemctl", verb, SERVICE], capture_output=True, text=True, check=False)
    action = {"start": "started", "restart": "restarted", "reload": "reloaded"}[verb]
    problem = done.stderr.strip() if done.returncode else "the master process did not answer"
    end, failed = time.monotonic() + (0 if done.returncode else PROOF), False
    while time.monotonic() < end:
        try:
            now = processes()
        except (OSError, ValueError) as error:
            problem = f"the master process did not answer: {error}"
        else:
            if now.workers and not now.failed and not set(now.workers) & set(before):
                return action, ""
            if now.failed and not failed:
                # 2.6 counts a reload as failed from its beginning until it has succeeded, so this is no verdict yet.
                failed, end = True, min(end, time.monotonic() + SETTLED)
            problem = (
                "HAProxy could not load it and went on with the old one" if failed else "no new worker was started"
            )
        time.sleep(0.1)
    return action, "\n".join([problem, journal(SERVICE, since, pattern=r"\[(ALERT|WARNING)\]")])


def sandbox_differs(expected: str | None) -> bool:
    """Say whether the drop-in is not what it is to be: its content, or who may write it."""
    if expected is None:
        return False
    with contextlib.suppress(FileNotFoundError):
        found = SANDBOX.stat()
        right = (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o644)
        return not right or SANDBOX.read_text().rstrip("\n") != expected.rstrip("\n")
    return True


def main() -> None:
    """Check, replace, reload, prove; go back where the proof fails."""
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "str"},
            "path": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "takeover": {"type": "bool", "default": False},
            "sandbox": {"type": "str"},
            "restart": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    old = path.read_text() if path.is_file() else None
    content = with_drained((module.params["content"] or old or "").rstrip("\n"), drained())
    result: dict[str, Any] = {
        "action": "none",
        "restart_needed": False,
        "changed": content != old,
        "at_boot": False,
        "not_there": False,
        "pending": True,
        "left_out": left_out(),
        "sandbox_differs": sandbox_differs(module.params["sandbox"]),
    }
    if result["changed"]:
        result["diff"] = {"before": old or "", "after": content, "before_header": str(path), "after_header": str(path)}
    if not Path(HAPROXY).exists():
        if module.check_mode:
            module.exit_json(
                **result | {"not_there": True},
                msg="HAProxy is not installed here yet, so the configuration was not validated.",
            )
        module.fail_json(msg=f"{HAPROXY} is missing. Fix: install the package haproxy.", **result)
    if foreign(path) and not module.params["takeover"]:
        module.fail_json(
            msg=f"{path} was written by somebody else; it was not touched. "
            "Fix: move what you need of it to haproxy_*_extra, then run again with -e haproxy_takeover=true.",
            **result,
        )
    problem = parser_words(content, path.parent) or held_ports(content)
    if problem:
        module.fail_json(
            msg=f"HAProxy does not accept the configuration, or could not load it; {path} was not touched.\n{problem}",
            **result,
        )
    result["at_boot"] = bool(main_pid()) and run("systemctl", "is-enabled", SERVICE, check=False).strip() == "enabled"
    waiting = restart_needed()
    restart = waiting and module.params["restart"]
    result["restart_needed"] = waiting and not restart
    act = result["changed"] or restart or (bool(main_pid()) and not loaded(path))
    result["changed"] = result["pending"] = act
    if module.check_mode:
        module.exit_json(**result)
    # A drop-in that was written, by this run or by one that was interrupted, has to be read before it can apply.
    if run("systemctl", "show", "--property=NeedDaemonReload", "--value", SERVICE).strip() == "yes":
        run("systemctl", "daemon-reload")
    if not act:
        module.exit_json(**result)

    if content != old:
        write_file(path, content)
    result["action"], problem = apply(restart)
    result["restart_needed"] = restart_needed()
    if not problem:
        module.exit_json(**result)
    if old is None or content == old:
        module.fail_json(msg=f"{path} is valid but could not be loaded: {problem}", **result)
    write_file(path, old)
    again = apply(restart=False)[1]
    module.fail_json(
        msg=f"The new {path} is valid but could not be loaded, so the old one is back"
        f"{f' (and was not loaded either: {again})' if again else ' and loaded'}.\n{problem}",
        **result,
    )


if __name__ == "__main__":
    main()
