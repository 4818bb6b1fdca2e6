#!/usr/bin/env python3
"""The machine of `vagrant up` as an inventory, with whatever address, port and key Vagrant gave it."""

import json
import os
import subprocess


def machine(name: str) -> dict[str, str]:
    """Return the connection variables of a machine, from `vagrant ssh-config`."""
    try:
        shown = subprocess.run(["vagrant", "ssh-config", name], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        # No machine, or not even Vagrant. Seen where somebody tries to reach it: a name that does not resolve, and says why.
        return {"ansible_host": f"{name}-is-not-up.type-vagrant-up.invalid"}
    options = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines() if line.strip())
    return {
        "ansible_host": options["HostName"],
        "ansible_port": options["Port"],
        "ansible_user": options["User"],
        "ansible_ssh_private_key_file": options["IdentityFile"].strip('"'),
        # A machine that is made anew has new keys.
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
    }


def main() -> None:
    """Print the inventory; the machine is balancer and app server in one."""
    name = os.environ.get("VM_NAME", "vagrant")
    group = {"hosts": [name]}
    found = {"app_servers": group, "load_balancers": group, "_meta": {"hostvars": {name: machine(name)}}}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
