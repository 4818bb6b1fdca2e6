"""Import the plugins as Ansible imports them, and give the tests HAProxy's own parser."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from uv import find_uv_bin

PROJECT = Path(__file__).resolve().parents[1]
# What runs on the hosts beside the application.
FILES = PROJECT / "roles" / "flask_app" / "files"

# Runs inside a container with HAProxy: one configuration and {path: text} of its files a line as JSON, one answer a line.
CHECKER = """
import json, pathlib, subprocess, sys, tempfile
for line in sys.stdin:
    config, files = json.loads(line)
    for path, text in (files | {"/etc/haproxy/maintenance.map": ""}).items():
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).write_text(text)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(config)
        file.flush()
        done = subprocess.run(["haproxy", "-c", "-dW", "-f", file.name], capture_output=True, text=True)
    print(json.dumps("" if done.returncode == 0 else done.stderr or "failed"), flush=True)
"""


def load(path: str) -> ModuleType:
    """Import a plugin by its path below plugins/, under the name that it has in the collection."""
    return importlib.import_module(
        "ansible_collections.flask_haproxy.deploy.plugins." + path.removesuffix(".py").replace("/", ".")
    )


def install(target: Path, requirements: str) -> None:
    """Install what releases have of a server or a library, by the name of its requirements file in the role."""
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python", sys.executable, "--target"]
    subprocess.run([*command, str(target), "--requirements", str(FILES / requirements)], check=True)


def podman(*arguments: str, **options: Any) -> list[str]:
    """Return the command line for podman, as root."""
    del options
    return [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "podman", "--runtime=runc", *arguments]


def in_container(debian: str, program: str) -> list[str]:
    """Return the command line that runs a program of Python beside the HAProxy of a Debian release, without a network."""
    return podman(
        "run", "--rm", "--interactive", "--network=none", "--ulimit=nofile=20000:20000", "--ulimit=nproc=9000:9000",
        f"localhost/flask-test-haproxy:debian{debian}", "python3", "-c", program,
    )  # fmt: skip


class Parser:
    """HAProxy's parser of one Debian release, in a container that stays while the tests run."""

    def __init__(self, debian: str) -> None:
        command = in_container(debian, CHECKER)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def words(self, config: str, files: dict[str, str] | None = None) -> str:
        """Return what the parser has against a configuration, warnings being errors; empty for nothing.

        `files` are put where the configuration names them.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([config, files or {}]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the container with the parser has ended"
        return str(json.loads(answer))


@pytest.fixture(scope="session", params=["12", "13"], ids=["haproxy-2.6", "haproxy-3.0"])
def parser(request: pytest.FixtureRequest) -> Iterator[Parser]:
    """Give HAProxy's parser, of each supported Debian release in turn."""
    subprocess.run([PROJECT / "scripts" / "image", request.param, "haproxy"], check=True)
    found = Parser(request.param)
    yield found
    assert found.process.stdin is not None
    found.process.stdin.close()
    found.process.wait(timeout=300)


@pytest.fixture(scope="session")
def apps_model() -> ModuleType:
    """Give the model: apps × hosts → backends."""
    return load("plugin_utils/apps.py")


@pytest.fixture(scope="session")
def flask_problems() -> Callable[..., list[str]]:
    """Give the function that says what is wrong with an inventory."""
    found: Callable[..., list[str]] = load("plugin_utils/inventory_problems.py").flask_problems
    return found


@pytest.fixture(scope="session")
def haproxy_lines() -> ModuleType:
    """Give the filter plugin for single lines of haproxy.cfg."""
    return load("filter/haproxy_lines.py")
