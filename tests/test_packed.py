"""Modules are packed for many runs, and never those of another version or of somebody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, load

packed = load("plugin_utils/packed.py")
NAME = packed.OURS + "flask_logs-ZIP_DEFLATED-none"


def folders(tmp_path):
    kept, run = tmp_path / "kept" / "version", tmp_path / "run"
    kept.mkdir(parents=True, mode=0o700)
    run.mkdir()
    return kept, run


def test_what_a_run_has_packed_is_brought_to_the_next(tmp_path):
    kept, run = tmp_path / "kept" / "version", tmp_path / "run"
    packed.bring(kept, run)
    assert not run.exists()
    run.mkdir()
    for name in (NAME, NAME + ".lock", NAME + "-part", "ansible.modules.ping-ZIP_DEFLATED-none"):
        (run / name).write_text(name)
    packed.keep(kept, run)
    assert [file.name for file in kept.iterdir()] == [NAME]
    assert kept.stat().st_mode & 0o777 == 0o700
    packed.bring(kept, tmp_path / "another")
    assert [file.read_text() for file in (tmp_path / "another").iterdir()] == [NAME]


def test_what_somebody_else_may_write_is_not_believed(tmp_path):
    kept, run = folders(tmp_path)
    (kept / NAME).write_text("theirs")
    kept.chmod(0o777)
    packed.bring(kept, run)
    assert list(run.iterdir()) == []


def test_versions_before_the_last_ones_go(tmp_path):
    kept, run = folders(tmp_path)
    for age in range(6):
        old = kept.with_name(f"old{age}")
        old.mkdir()
        os.utime(old, (1000 - age, 1000 - age))
    (run / NAME).write_text("new")
    packed.keep(kept, run)
    assert sorted(folder.name for folder in kept.parent.iterdir()) == ["old0", "old1", "old2", "version"]


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    run = folders(tmp_path)[1]
    (run / NAME).write_text("new")
    (tmp_path / "file").write_text("")
    packed.keep(tmp_path / "file" / "version", run)
    packed.bring(tmp_path / "file" / "version", run)
    assert (run / NAME).read_text() == "new"


@pytest.mark.parametrize("changed", ["modules/one.py", "module_utils/two.py"])
def test_what_is_changed_is_packed_anew(tmp_path, monkeypatch, changed):
    for name in ("modules/one.py", "module_utils/two.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(packed, "PLUGINS", tmp_path)
    before = packed.default_folder()
    assert packed.default_folder() == before
    (tmp_path / changed).write_text("after")
    assert packed.default_folder() != before


def test_a_run_takes_what_another_one_has_packed(tmp_path):
    """Ansible looks where they are brought to."""
    play = tmp_path / "play.yml"
    play.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - flask_haproxy.deploy.flask_logs: {identifiers: [nobody]}\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "ANSIBLE_STDOUT_CALLBACK": "default"}
    command = [
        Path(sys.executable).parent / "ansible-playbook",
        "--inventory=localhost,",
        "--connection=local",
        "-vvvvv",
        play,
    ]
    said = []
    for _ in range(2):
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        said.append(done.stdout)
        assert "localhost" in done.stdout, done.stderr
    assert ["Including module_utils file" in output for output in said] == [True, False]
    assert [file.name for file in tmp_path.glob("flask-haproxy/modules/*/*")] == [NAME]
