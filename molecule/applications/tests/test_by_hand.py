"""A command by hand: playbooks/run.yml, and at a terminal."""

import os
import pty
import subprocess

from tests.support import INVENTORY, PROJECT, playbook, refused, variables

SHELL = ["python", "-m", "scripts.shell", "flaskr"]
ENVIRONMENT = os.environ | {"ANSIBLE_INVENTORY": str(INVENTORY), "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")}


def test_output_and_status_are_the_commands(web):
    done = playbook(*variables(app="flaskr", command="flask init-db"), name="playbooks/run.yml")
    assert done.returncode == 0, done.stdout
    assert "The database is ready." in done.stdout
    # Words are words: nobody else has read `$` or `;`.
    script = "import os, sys; print(os.environ['APP_RELEASE'], sys.argv[1:]); sys.exit(7)"
    done = playbook(*variables(app="flaskr", command=f'python -c "{script}" "$a; b" %d'), name="playbooks/run.yml")
    release = web.check_output("readlink /opt/flask/flaskr/instances/1/release").rpartition("/")[2]
    refused(done, "A command of flaskr ended with status 7", f"{release} ['$a; b', '%d']")
    refused(
        playbook(*variables(app="none", command="x"), name="playbooks/run.yml"), "app is 'none'", "one of chat, flaskr"
    )


def test_python_is_found_wherever_a_command_has_it():
    # Django's own manage.py is a script of `env python`.
    for command in (
        "./manage.py shell -c 'print(6 * 7)'",
        "env A=1 python -c 'print(6 * 7)'",
        "sh -c 'python -c \"print(6 * 7)\"'",
    ):
        done = playbook(*variables(app="polls", command=command), name="playbooks/run.yml")
        assert "42" in done.stdout, done.stdout


def test_without_a_terminal_the_input_is_ours():
    program = "print(len(current_app.url_map._rules) > 3)\nraise SystemExit(5)\n"
    done = subprocess.run(
        SHELL, cwd=PROJECT, env=ENVIRONMENT, input=program, capture_output=True, text=True, check=False, timeout=300
    )
    assert "NameError" in done.stderr + done.stdout, "a shell of Flask has `app`"
    program = "print('rules', len(app.url_map._rules) > 3)\nraise SystemExit(5)\n"
    done = subprocess.run(
        SHELL, cwd=PROJECT, env=ENVIRONMENT, input=program, capture_output=True, text=True, check=False, timeout=300
    )
    assert "rules True" in done.stdout, done
    assert done.returncode == 5


def test_at_a_terminal_it_is_one():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*SHELL, "python -c \"import sys; print('a terminal:', sys.stdin.isatty()); sys.exit(3)\""],
        cwd=PROJECT, env=ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 4096):
            text += piece
    except OSError:
        pass
    assert b"a terminal: True" in text, text
    assert process.wait(300) == 3


def test_debian_package_of_an_app_is_there():
    command = "sh -c 'sqlite3 $STATE_DIRECTORY/queue.sqlite \"SELECT count(*) >= 0, 6 * 7 FROM job\"'"
    done = playbook(*variables(app="jobs", command=command), name="playbooks/run.yml")
    assert "1|42" in done.stdout, done.stdout


def test_command_is_in_the_sandbox_of_the_app(web):
    for command in ("touch /opt/flask/flaskr/mine", "sh -c 'touch $STATE_DIRECTORY/theirs /etc/theirs'"):
        refused(
            playbook(*variables(app="flaskr", command=command), name="playbooks/run.yml"),
            "ended with status 1",
            "Read-only file system",
        )
    assert web.check_output("stat --format=%U /var/lib/flask-flaskr/theirs") == "flask-flaskr"
    web.check_output("rm /var/lib/flask-flaskr/theirs")
