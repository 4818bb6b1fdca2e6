"""Make the plugins importable as Ansible makes them importable, and give the tests HAProxy's own parser."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest

PROJECT = Path(__file__).resolve().parents[1]
ansible.module_utils.__path__.append(str(PROJECT / "plugins" / "module_utils"))

# Runs inside a container with HAProxy: one configuration a line as JSON, one answer a line.
CHECKER = """
import json, subprocess, sys, tempfile
for line in sys.stdin:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(json.loads(line))
        file.flush()
        done = subprocess.run(["haproxy", "-c", "-dW", "-f", file.name], capture_output=True, text=True)
    print(json.dumps("" if done.returncode == 0 else done.stderr or "failed"), flush=True)
"""


def load(path: str) -> ModuleType:
    """Import a plugin by its path below plugins/."""
    name = "plugin_" + path.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, PROJECT / "plugins" / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def podman(*arguments: str, **options: Any) -> list[str]:
    """Return the command line for podman, as root."""
    del options
    return [*([] if os.geteuid() == 0 else ["sudo", "-n"]), "podman", "--runtime=runc", *arguments]


class Parser:
    """HAProxy's parser of one Debian release, in a container that stays while the tests run."""

    def __init__(self, debian: str) -> None:
        command = podman(
            "run", "--rm", "--interactive", "--network=none", "--ulimit=nofile=20000:20000", "--ulimit=nproc=9000:9000",
            f"localhost/flask-test-haproxy:debian{debian}", "python3", "-c", CHECKER,
        )  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def words(self, config: str) -> str:
        """Return what the parser has against a configuration, warnings being errors; empty for nothing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(config) + "\n")
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
    found.process.wait(timeout=20)


@pytest.fixture(scope="session")
def flask_apps() -> ModuleType:
    """Give the filter plugin."""
    return load("filter/flask_apps.py")
