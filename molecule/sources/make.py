"""Make what a repository cannot hold as a file: another repository, a wheel, and source archives, in .cache/sources."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.packages import sdist, wheel

ROOT = Path(__file__).resolve().parents[2] / ".cache" / "sources"
APP = """
import sys
{imports}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{answer}\\n".encode()]
"""


def git(*arguments: str) -> None:
    """Run git in the repository, as nobody, at no time."""
    nobody = {
        f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    dates = {f"GIT_{who}_DATE": "2024-05-06T07:08:09+0000" for who in ("AUTHOR", "COMMITTER")}
    subprocess.run(["git", *arguments], cwd=ROOT / "repository", env=os.environ | nobody | dates, check=True)


def main() -> None:
    """Make all of it anew."""
    shutil.rmtree(ROOT, ignore_errors=True)
    for name in ("links", "three", "repository/web"):
        (ROOT / name).mkdir(parents=True)
    for name in ("aardvark", "bandicoot", "capybara"):
        sdist(ROOT / "links", name, "1.0", {f"{name}.py": b'version = "1.0"\n'})
    wheel(ROOT / "links", "capybara", "0.9", {"capybara.py": 'version = "0.9"\n'})
    (ROOT / "three" / "requirements.txt").write_text(f"--find-links {ROOT}/links\naardvark\nbandicoot\ncapybara\n")
    versions = "{aardvark.version} {bandicoot.version} {capybara.version}"
    (ROOT / "three" / "app.py").write_text(APP.format(imports="import aardvark, bandicoot, capybara", answer=versions))
    wheel(ROOT, "inawheel", "1.0", {"inawheel.py": APP.format(imports="", answer="from a wheel")})
    git("init", "--quiet", "--initial-branch=main")
    for version in ("v1", "v2"):
        (ROOT / "repository" / "web" / "app.py").write_text(APP.format(imports="", answer=version))
        git("add", ".")
        git("commit", "--quiet", f"--message={version}")
        git("tag", version)


if __name__ == "__main__":
    main()
