"""The machine that provisioned itself answers, to itself and to others, and has nothing left to do."""

import itertools
import re

import pytest

from tests.support import ask, eventually, host, hosts_of

OWN = hosts_of("app_servers")[0]
COMMAND = "cd /home/admin/project && . .venv/bin/activate && ansible-playbook site.yml"


def strict(bodies):
    """Say whether answers are of 1, 2, 3, 1, … from any start."""
    numbers = [int(re.fullmatch(r"Hello from Flask App (\d)!\n?", body)[1]) for body in bodies]
    return all(after == before % 3 + 1 for before, after in itertools.pairwise(numbers))


def test_answers_in_rotation():
    own = host(OWN)
    # A server that a busy machine had take too long for a check has another place in the order until the next reload.
    own.check_output("systemctl reload haproxy.service")
    eventually(lambda: strict([answer["body"] for answer in ask(30, of=OWN)]), what="1, 2, 3, 1, …")
    curl = "curl --silent --fail http://127.0.0.1/"
    eventually(lambda: strict([own.check_output(curl) for _ in range(15)]), what="1, 2, 3, 1, … to itself")


@pytest.mark.parametrize("options", ["", "--check --diff"], ids=["run", "check"])
def test_nothing_is_left_to_do(options):
    # As root, who needs no sudo, where the first run was that of a user, whose builds are there.
    done = host(OWN).run("bash -c %s", f"export XDG_CACHE_HOME=/home/admin/.cache && {COMMAND} {options}")
    assert done.rc == 0, done.stdout[-3000:]
    lines = done.stdout.splitlines()
    assert len(lines) <= 15
    assert lines[-1].startswith("0 would change, 0 failed, took " if options else "0 changed, 0 failed, took ")
    assert re.fullmatch(
        r"hello \w+ \(release \w+\) is live since [\d :-]+ on localhost-1, localhost-2, localhost-3", lines[-2]
    )


def test_machine_without_systemd_is_told_so():
    done = host(OWN).run("unshare --mount bash -c %s", f"mount -t tmpfs none /run/systemd && {COMMAND}")
    assert done.rc != 0
    sentence = (
        "This machine was not booted with systemd, which has to run the services here; `make up` makes a test host"
    )
    assert sentence in " ".join(done.stdout.split())
