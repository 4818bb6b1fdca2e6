"""A shell in the live release of an app, or a command of it, at this terminal: python -m scripts.shell APP [COMMAND].

On the first host of the app. The exit status is the command's; where there is no terminal, its input is what comes here.
"""

import json
import os
import shlex
import subprocess
import sys
from typing import Any

# How Ansible reaches the first host of an app, as its ssh plugin reads it.
REACHED = """{%% set entry = flask_apps | selectattr('name', 'equalto', %r) | first | default({}) %%}
{%% set name = (groups[entry.hosts | default('app_servers')] | first) if entry else '' %%}
{%% set of = hostvars[name] if entry else {} %%}
{{ {'name': name, 'apps': flask_apps | map(attribute='name'), 'host': of.ansible_host | default(name),
    'user': of.ansible_user | default(''), 'port': of.ansible_port | default(''),
    'local': of.ansible_connection | default('') == 'local', 'key': of.ansible_ssh_private_key_file | default(''),
    'options': (of.ansible_ssh_common_args | default('')) ~ ' ' ~ (of.ansible_ssh_extra_args | default(''))} | to_json }}"""


def asked(where: str, module: str, arguments: str, *options: str) -> Any:  # noqa: ANN401
    """Return what a module says on a host."""
    command = ["ansible", where, "--module-name", module, "--args", arguments, *options]
    plain = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    environment = os.environ | plain
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    found = json.loads(done.stdout.partition(" => ")[2] or "{}")
    if done.returncode:
        sys.exit(found.get("msg", done.stdout.strip()))
    return found


def main(app: str = "", command: str = "") -> int:
    """Ask Ansible for the way and for the command line, and go."""
    at = json.loads(asked("app_servers[0]", "ansible.builtin.debug", json.dumps({"msg": REACHED % app}))["msg"])
    if not at["name"]:
        what = f"There is no app {app}" if app else "No app is named"
        sys.exit(f"{what}. Fix: APP=, one of {', '.join(at['apps'])}.")
    wanted = {"name": app, "terminal": True} | ({"commands": [command]} if command else {})
    line = asked(at["name"], "flask_haproxy.deploy.flask_command", json.dumps(wanted), "--become")["line"]
    if not sys.stdin.isatty():
        line[line.index("--pty")] = "--pipe"
    line = line if at["user"] == "root" or (at["local"] and os.geteuid() == 0) else ["sudo", *line]
    if not at["local"]:
        login = f"{at['user']}@{at['host']}" if at["user"] else at["host"]
        options = [*shlex.split(at["options"]), *(["-i", at["key"]] if at["key"] else [])]
        options += ["-p", str(at["port"])] if at["port"] else []
        line = ["ssh", *(["-t"] if sys.stdin.isatty() else []), *options, login, shlex.join(line)]
    return subprocess.run(line, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
