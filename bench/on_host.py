"""Runs on the host that is measured, with Debian's Python: a load, and what the processes of each group took meanwhile.

Usage: on_host.py JSON, with url, connections, seconds and groups: {name: [the beginnings of units' names]}. Prints JSON.
"""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def unit_of(pid: str) -> str:
    """Return the name of the systemd unit of a process, empty where it has none or is gone."""
    try:
        found = re.findall(r"/([^/\n]+\.service)", Path("/proc", pid, "cgroup").read_text())
    except OSError:
        return ""
    return found[-1] if found else ""


def pids_of(groups: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the processes of each group."""
    units = {path.name: unit_of(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    return {
        name: [pid for pid, unit in units.items() if unit.startswith(tuple(beginnings))]
        for name, beginnings in groups.items()
    }


def seconds_of(pid: str) -> float:
    """Return the processor time that a process with all of its threads has taken."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_of(pid: str) -> int:
    """Return the memory of a process in KiB, what it shares counted by its share."""
    found = re.search(r"^Pss:\s+(\d+)", Path("/proc", pid, "smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def busy() -> float:
    """Return the processor time that the whole machine has been busy."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def wrk(url: str, connections: int, seconds: int) -> tuple[dict[str, Any], float]:
    """Load `url`; return what wrk says, and the processor time that it took itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s/opt/bench/report.lua", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(output.splitlines()[-1]), took


def measure(url: str, connections: int, seconds: int, groups: dict[str, list[str]]) -> dict[str, Any]:
    """Return wrk's figures, the processor time of each group and of what is in none, and each group's memory."""
    pids = pids_of(groups)
    before, busy_before = {pid: seconds_of(pid) for group in pids.values() for pid in group}, busy()
    figures, of_wrk = wrk(url, connections, seconds)
    total = busy() - busy_before
    spent = {name: sum(seconds_of(pid) - before[pid] for pid in group) for name, group in pids.items()}
    spent["wrk"] = of_wrk
    spent["elsewhere"] = max(0.0, total - sum(spent.values()))
    memory = {name: sum(map(pss_of, group)) for name, group in pids.items()}
    return figures | {"cpu": {name: round(value, 3) for name, value in spent.items()}, "pss": memory}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
