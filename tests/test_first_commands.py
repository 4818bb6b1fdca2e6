"""What the README begins with: `make up`, its six answers, a port of one's own, `make down`."""

import os
import re
import socket
import subprocess

import pytest

from tests.conftest import PROJECT

DEMO = "flask-demo-demo"


def make(target, port):
    """Run a target with HTTP_PORT=, as from a shell; return its output."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))
    }
    done = subprocess.run(
        ["make", target], cwd=PROJECT, env=environment | {"HTTP_PORT": str(port)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def there():
    podman = ["podman"] if os.getuid() == 0 else ["sudo", "podman"]
    return subprocess.run([*podman, "container", "exists", DEMO]).returncode == 0


@pytest.mark.long
def test_up_answers_in_rotation_and_down_leaves_nothing():
    """HTTP_PORT=9090 make up, with another port."""
    if there():
        pytest.skip("somebody is at work with the host of `make up`")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        shown = make("up", port)
        assert f"http://127.0.0.1:{port}/ answers:" in shown
        answers = re.findall(r"^Hello from Flask App (\d)!$", shown, re.M)
        assert "".join(answers) in ("123123", "231231", "312312"), shown
    finally:
        make("down", port)
    assert not there()
