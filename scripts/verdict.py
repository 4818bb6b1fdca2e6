"""Say at the end of a test run what came of it: a table, the message of each failed test, one line for all of it.

    python -m scripts.verdict unit default fleet

Reads what scripts/part and pytest have left of each: its output, and a JUnit file; a part without one has failed before
its first test.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPORTS = Path(__file__).resolve().parents[1] / ".cache" / "junit"
# Of a message of many lines, its last ones: what a playbook said comes before what it came to.
LINES, COLUMNS = 30, 1000
WITHOUT_TESTS = ("lint",)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Run:
    """What one run of pytest came to; `failed` has an entry for each test that failed, of one line or more.

    `again` are the tests that were tried once more, which those may be whose failures chance has a part in (`flaky`).
    """

    name: str
    passed: int = 0
    skipped: int = 0
    again: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, name: str, folder: Path = REPORTS) -> "Run":
        """Return the run of a name; where it has left no report, that is its failure."""
        run = cls(name)
        try:
            # Our own file, just written.
            cases = list(ElementTree.parse(folder / f"{name}.xml").iter("testcase"))  # noqa: S314
        except (FileNotFoundError, ElementTree.ParseError):
            cases = []
        run.seconds = sum(float(case.get("time", "0")) for case in cases)
        tests: dict[tuple[str | None, str | None], list[ElementTree.Element]] = {}
        for case in cases:
            tests.setdefault((case.get("classname"), case.get("name")), []).append(case)
        for (_, test), tries in tests.items():
            bad = [found for case in tries for found in case if found.tag in ("failure", "error")]
            run.failed += [f"{name}: {test}: {message(one)}" for one in bad]
            if not bad:
                # A try that was not the last has no word of what it failed of.
                run.again += len(tries) - 1
                run.skipped += (skipped := tries[-1].find("skipped") is not None)
                run.passed += not skipped
        if not run.failed and (beside := failed_beside(folder / f"{name}.log", tests=bool(cases))):
            run.failed.append(f"{name}: {beside}")
        return run


def failed_beside(log: Path, tests: bool) -> str:
    """Return what a part failed of that is none of its tests, and its last lines; empty where it did not."""
    said = COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace")).splitlines() if log.is_file() else []
    if not said or not said[-1].startswith("exit status "):
        return "" if tests or log.stem in WITHOUT_TESTS else "no test ran"
    # Molecule goes on after a step that failed: to take the hosts away, and to sum up.
    end = next((number for number, line in enumerate(said) if "Executed: Failed" in line), len(said) - 1)
    what = (
        "failed"
        if log.stem in WITHOUT_TESTS
        else "failed beside its tests"
        if tests
        else "failed before its first test"
    )
    return "\n".join([what, *said[:end][-LINES:]])


def message(failure: ElementTree.Element) -> str:
    """Return what a failure says; of one that pytest has cut, its first line and the end of the whole."""
    said = (failure.get("message") or "no message").strip()
    if "full report in element text" not in said:
        return said
    report = (failure.text or "").strip().splitlines()
    errors = [line.removeprefix("E").strip() for line in report if line.startswith("E  ")]
    return "\n".join([said.splitlines()[0], *(errors or report)])


def told(failures: Sequence[str]) -> list[str]:
    """Return the lines that tell of failed tests; what many of them died of, such as a fixture, is told once."""
    lines, known = [], set()
    for failure in failures:
        first, *rest = failure.splitlines()
        lines.append(first[:COLUMNS])
        if rest and tuple(rest) in known:
            lines.append("    as above")
            continue
        known.add(tuple(rest))
        lines += [f"    {line[:COLUMNS]}" for line in rest[-LINES:]]
    return lines


def verdict(runs: Sequence[Run]) -> list[str]:
    """Return the lines to print."""
    width = max(len(run.name) for run in runs)
    lines = [f"{'':{width}}  passed  failed  skipped  seconds"]
    lines += [
        f"{run.name:{width}}  {run.passed:6}  {len(run.failed):6}  {run.skipped:7}  {run.seconds:7.0f}" for run in runs
    ]
    lines += ["", *told([failure for run in runs for failure in run.failed])]
    passed, failed, skipped = (
        sum(run.passed for run in runs),
        sum(len(run.failed) for run in runs),
        sum(run.skipped for run in runs),
    )
    again = [f"{run.name}: {run.again} tried once more" for run in runs if run.again]
    return [*lines, *again, f"{passed} passed, {failed} failed, {skipped} skipped"]


if __name__ == "__main__":
    found = [Run.read(name) for name in sys.argv[1:]]
    print("\n".join(verdict(found)))
    sys.exit(any(run.failed for run in found))
