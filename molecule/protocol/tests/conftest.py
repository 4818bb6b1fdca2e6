"""What the checks saw on each host, asked for once; the table of it, written where PROTOCOL_TABLES names a folder."""

import datetime
import functools
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.protocol import CHECKS
from tests.support import PROJECT, address_of, apps, command_on, host, hosts_of

SERVERS = {"waitress": "check", "granian": "fast"}

TEXT = """# What the servers do

An app gets waitress, unless its entry says `server: granian`. This is what the checks of tests/protocol.py saw of both, as
they are deployed, on their own ports; behind them are the rules of PEP 3333 and of HTTP/1.1. Made by the scenario `protocol`
(`PROTOCOL_TABLES=docs molecule test --scenario-name protocol` repeats it) on {when} with
{versions}.

Choose granian for an app that answers many small requests and whose speed you have measured to be short, and which does
none of what is not right below: as a rule, one that gives whole answers made in memory, is sent no large uploads and
reads no cookies with letters beyond ASCII. An export that fails half-way, or an upload that breaks off, looks complete with
it, and slow uploads hold its threads. When in doubt, stay with waitress.

Right of {count} checks: {summary}. Where one is not right, the table has what was seen.

"""


@functools.cache
def results(name: str, server: str) -> dict[str, dict[str, str]]:
    """Return what the checks saw on a host with a server: {check: {ok, saw, expected, source}}."""
    app = next(app for app in apps() if app["name"] == SERVERS[server])
    assert app.get("server", "waitress") == server
    options = {
        "address": address_of(name),
        "port": app["port"],
        "unit": f"flask-{app['name']}@1",
        "threads": app["threads"],
    }
    command = command_on(name, "sudo", "python3", "-", *(f"--{key}={value}" for key, value in options.items()))
    script = (PROJECT / "tests" / "protocol.py").read_text()
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == set(CHECKS), "not all checks were made"
    return found


@pytest.fixture(scope="session")
def seen():
    """Return the function that says what the checks saw on a host with a server."""
    return results


def versions() -> str:
    """Return what the table was made with."""
    found = []
    for name in hosts_of("app_servers"):
        debian, python = host(name).check_output("cat /etc/debian_version; python3 --version").splitlines()
        found.append(f"Debian {debian} ({python})")
    pattern = "ls /opt/flask/{}/releases/*/lib | grep -o '{}-[0-9.]*[0-9]' | head -n 1"
    found += [host(name).check_output(pattern.format(app, server)) for server, app in SERVERS.items()]
    return ", ".join(found)


def cell(check: str, server: str) -> str:
    """Return what a cell of the table has: `right`, or what was seen on one Debian or on each."""
    found = {name: results(name, server)[check] for name in hosts_of("app_servers")}
    shown = {name: "right" if one["ok"] else one["saw"] for name, one in found.items()}
    if len(set(shown.values())) == 1:
        shown = {"": next(iter(shown.values()))}
    cells = []
    for name, what in shown.items():
        what = what or "(empty)"
        text = ascii(what if len(what) < 90 else what[:90] + "…")[1:-1].replace("|", "\\|").replace("`", "'")
        cells.append(f"{name}{': ' if name else ''}{text if what == 'right' else f'`{text}`'}")
    return "; ".join(cells)


def pytest_terminal_summary() -> None:
    """Write the table."""
    if not (folder := os.environ.get("PROTOCOL_TABLES")):
        return
    lines = ["| check | rule | " + " | ".join(SERVERS) + " |", "| --- | --- |" + " --- |" * len(SERVERS)]
    for name, check in CHECKS.items():
        row = [ascii(name)[1:-1].replace("|", "\\|"), check.source, *(cell(name, server) for server in SERVERS)]
        lines.append("| " + " | ".join(row) + " |")
    summary = ", ".join(
        f"{server} {min(sum(bool(one['ok']) for one in results(name, server).values()) for name in hosts_of('app_servers'))}"
        for server in SERVERS
    )
    today = datetime.date.today().isoformat()
    head = TEXT.format(when=today, versions=versions(), count=len(CHECKS), summary=summary)
    Path(folder, "servers.md").write_text(head + "\n".join(lines) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001
    report = yield
    if report.when == "call" and report.failed:
        name = item.callspec.params["name"]
        units = "flask-check@*" if "check" in item.callspec.params else "flask-[!cf]*"
        command = f"journalctl --no-pager --lines=40 --unit='{units}'"
        report.sections.append((f"journal of {name}", host(name).run(command).stdout))
    return report
