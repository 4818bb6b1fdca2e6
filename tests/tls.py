"""What the tests of TLS share: handshakes of the client host with a balancer."""

import json
import subprocess
from typing import Any

from tests.support import PROJECT, address_of, command_on, host, hosts_of

BALANCERS, CLIENT = hosts_of("load_balancers"), hosts_of("clients")[0]
ROOT = "/home/admin/root.pem"


def write(name: str, path: str, text: str, mode: str = "600") -> None:
    """Write a file of a host, root's."""
    host(name).check_output("printf %%s %s | install -m %s /dev/stdin %s", text, mode, path)


def shake(of: str, *wanted: str | dict[str, Any], authority: str = ROOT) -> list[dict[str, Any]]:
    """Return what came of handshakes (name, or {name, …} of tests/handshake.py) with port 443 of a balancer."""
    asked = [{"name": one} if isinstance(one, str) else one for one in wanted]
    argument = json.dumps({"address": address_of(of), "authority": authority, "wanted": asked})
    with (PROJECT / "tests" / "handshake.py").open() as script:
        done = subprocess.run(
            command_on(CLIENT, "python3", "-", argument), stdin=script, capture_output=True, text=True, check=True
        )
    return list(json.loads(done.stdout))
