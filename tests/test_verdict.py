"""What a test run says at its end."""

import shutil
import subprocess

from scripts.verdict import Run, verdict
from tests.conftest import PROJECT

REPORT = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite>
<testcase name="test_good" time="1.5" /><testcase name="test_left_out" time="0"><skipped message="no" /></testcase>
<testcase name="test_bad" time="2"><failure message="AssertionError: 3 lost&#10;and more">…</failure></testcase>
<testcase name="test_broken" time="0"><error message="site.yml failed:&#10;no such package" /></testcase>
<testcase name="test_cut" time="0"><failure message="AssertionError: 1&#10;[+2 more lines; full report in element text]">
    def test_cut():
E       AssertionError: 1
E         and 2
</failure></testcase>
<testcase name="test_too" time="0"><error message="site.yml failed:&#10;no such package" /></testcase>
</testsuite></testsuites>"""


def test_failed_tests_are_named_at_the_end(tmp_path):
    (tmp_path / "loss.xml").write_text(REPORT, encoding="utf-8")
    (tmp_path / "good.xml").write_text(
        '<testsuites><testcase name="test_x" time="60" /><testcase name="test_x" time="60" /></testsuites>',
        encoding="utf-8",
    )
    runs = [Run.read(name, tmp_path) for name in ("good", "loss", "gone")]
    assert verdict(runs)[-13:] == [
        "",
        "loss: test_bad: AssertionError: 3 lost",
        "    and more",
        "loss: test_broken: site.yml failed:",
        "    no such package",
        "loss: test_cut: AssertionError: 1",
        "    AssertionError: 1",
        "    and 2",
        "loss: test_too: site.yml failed:",
        "    as above",
        "gone: no test ran",
        "good: 1 tried once more",
        "2 passed, 5 failed, 1 skipped",
    ]


def test_what_failed_beside_the_tests_is_told_with_its_last_lines(tmp_path):
    fail = "TASK [Remove]\n\x1b[31mmsg: it would not die\x1b[0m\nloss \u279c destroy: Executed: Failed\nRECAP\n"
    programs = {"loss": f"printf '{fail}'; exit 2", "lint": "true", "gone": "echo no such image; exit 3"}
    part = tmp_path / "scripts" / "part"
    part.parent.mkdir()
    shutil.copy(PROJECT / "scripts" / "part", part)
    folder = tmp_path / ".cache" / "junit"
    ended = {}
    for name, program in programs.items():
        done = subprocess.run([part, name, "bash", "-c", program], capture_output=True, text=True, check=False)
        assert all(line.startswith(f"{name} | ") for line in done.stdout.splitlines())
        ended[name] = done.returncode
    assert ended == {"loss": 2, "lint": 0, "gone": 3}
    (folder / "loss.xml").write_text('<testsuites><testcase name="test_x" time="60" /></testsuites>', encoding="utf-8")
    assert verdict([Run.read(name, folder) for name in programs])[-7:] == [
        "",
        "loss: failed beside its tests",
        "    TASK [Remove]",
        "    msg: it would not die",
        "gone: failed before its first test",
        "    no such image",
        "1 passed, 2 failed, 0 skipped",
    ]
