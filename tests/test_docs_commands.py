"""Every command of the README, CONTRIBUTING.md and docs/ was run: `commands.yml` says by which test, or by hand and when."""

import re
import shlex

import pytest
import yaml

from tests.conftest import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
KNOWN = yaml.safe_load((PROJECT / "tests" / "commands.yml").read_text())

# What a command begins with; a block that has one has nothing else.
PROGRAMS = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:\.|ansible-\w+|curl|docker-compose|export|git|journalctl|make|molecule|openssl|pip|podman|pytest"
    r"|python3 -m venv|scripts/\w+|systemctl|systemd-analyze|vagrant) \S"
)


def commands(text):
    """Yield the commands of a page: those of its blocks, each without its comment, and those within its sentences."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
        lines = [line.removeprefix("$ ") for line in block.splitlines()]
        if language in ("yaml", "ini", "sh") or not any(PROGRAMS.match(line) for line in lines):
            continue
        # A block has commands, or one with a dollar before it and what it says.
        shown = lines[:1] if block.startswith("$ ") else lines
        strange = [line for line in shown if not PROGRAMS.match(line)]
        assert strange == [], f"is this a command? {strange}"
        yield from (" ".join(re.sub(r"\s+#\s.*", "", line).split()) for line in shown)
    sentences = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for words in re.findall(r"`([^`]+)`", sentences):
        if PROGRAMS.match(command := " ".join(words.split())):
            yield command


SHOWN = sorted({command for page in PAGES for command in commands(page.read_text())})
PROVEN = [(proof, command) for proof, proven in KNOWN["by_test"].items() for command in proven]


def test_every_command_was_run():
    listed = [*(command for _, command in PROVEN), *KNOWN["by_hand"], *KNOWN["somebody_elses"], *KNOWN["not_run"]]
    assert sorted(set(SHOWN) - set(listed)) == [], "commands.yml does not say how these were run"
    assert sorted(set(listed) - set(SHOWN)) == [], "no page shows these of commands.yml any more"
    assert len(listed) == len(set(listed)), "commands.yml has one twice"


def key_words(command):
    """Return what a test of a command has to have of it: of a playbook its name and the variables that are set."""
    words = [word for word in shlex.split(command) if not word.startswith("-") and word not in (".", "make")]
    if words[0] != "ansible-playbook":
        return words
    playbooks = re.findall(r"(?:playbooks/|flask_haproxy\.deploy\.)(\w+)|site\.yml", command)
    return [*filter(None, playbooks), *(word.partition("=")[0] for word in words if "=" in word)]


@pytest.mark.parametrize(("proof", "command"), PROVEN, ids=[command for _, command in PROVEN])
def test_test_of_a_command_runs_it(proof, command):
    path, _, name = proof.partition("::")
    text = (PROJECT / path).read_text()
    assert (f"def {name}(" if path.endswith(".py") else name) in text
    missing = [word for word in key_words(command) if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    assert missing == [], f"{path} has nothing of that"


def test_what_was_run_by_hand_says_when_and_what_was_seen():
    assert [words for words in KNOWN["by_hand"].values() if not re.fullmatch(r"20\d\d-\d\d-\d\d, .{8,}", words)] == []
