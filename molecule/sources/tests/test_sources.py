"""Applications from all that can be a source: in use, changed, and refused."""

import json
import re
import shutil

import pytest

from tests.support import PROJECT, apps, ask, converge, host, hosts_of, playbook, refused, variables

WEB = hosts_of("app_servers")[0]


def get(app, path="/", *headers):
    return ask([("GET", path, list(headers))], of=WEB, hostname=f"{app}.test")[0]


def entries(**changes):
    """Return the scenario's apps, with {name: what differs}."""
    return [app | changes.get(app["name"], {}) for app in apps()]


def record(app):
    """Return the record of the deployment that the first instance of an app is on."""
    return json.loads(host(WEB).check_output("cat /opt/flask/%s/instances/1/deployment.json", app))


def test_package_with_a_factory_keeps_its_notes():
    text = f"kept by {record('notes')['deployment']} at {host(WEB).check_output('date +%%s.%%N')}"
    added = ask([("POST", f"/add?text={text.replace(' ', '+')}", [])], of=WEB, hostname="notes.test")[0]
    assert (added["status"], added["headers"]["location"]) == (302, "/")
    # Of all instances, from its template, with the version that the package says.
    pages = {answer["body"] for answer in ask([("GET", "/", [])] * 4, of=WEB, hostname="notes.test")}
    (page,) = pages
    assert "<title>Notes 1.0.0</title>" in page
    assert f"<p>{text}</p>" in page
    assert host(WEB).file("/var/lib/flask-notes/notes.sqlite").mode == 0o600


@pytest.mark.parametrize(
    ("app", "answer"),
    [("two", "two 2.0\n"), ("three", "1.0 1.0 1.0\n"), ("repository", "v1\n"), ("wheel", "from a wheel\n")],
)
def test_source_is_in_use(app, answer):
    assert get(app)["body"] == answer


def test_what_was_resolved_is_on_the_host():
    commit = record("repository")["source"]["commit"]
    assert len(commit) == 40
    assert record("repository")["source"]["ref"] == "v1"
    assert record("wheel")["source"]["wheel"] == "inawheel-1.0-py3-none-any.whl"
    assert record("notes")["source"]["commit"]
    packages = json.loads(host(WEB).check_output("cat /opt/flask/three/instances/1/release/lib/packages.json"))[
        "packages"
    ]
    assert {"aardvark==1.0", "bandicoot==1.0", "capybara==1.0"} <= set(packages)


def test_what_was_resolved_is_told():
    shown = playbook(name="playbooks/status.yml").stdout
    commit = record("repository")["source"]["commit"][:8]
    assert re.search(rf"^repository: [0-9a-f]{{8}} is commit {commit} \(v1\)$", shown, re.MULTILINE), shown
    assert re.search(r"^wheel: [0-9a-f]{8} is inawheel-1\.0-py3-none-any\.whl$", shown, re.MULTILINE), shown
    shown = playbook(name="playbooks/releases.yml").stdout
    deployment = record("repository")["deployment"]
    assert re.search(rf"^{deployment} +[0-9a-f]{{8}} +{commit} \(v1\) +20", shown, re.MULTILINE), shown
    # A folder, whose commit is this repository's.
    assert f" {record('notes')['source']['commit'][:8]}" in shown


def test_changed_file_is_not_said_to_be_the_same(tmp_path):
    shutil.copytree(PROJECT / "molecule" / "sources" / "notes", tmp_path / "notes")
    before = get("notes", "/static/site.css")
    since = ("If-Modified-Since", before["headers"]["last-modified"])
    assert get("notes", "/static/site.css", since)["status"] == 304
    (tmp_path / "notes" / "notes" / "static" / "site.css").write_text("p { color: green }\n")
    converge(*variables(flask_apps=entries(notes={"source": str(tmp_path / "notes")}), app="notes"))
    try:
        assert get("notes", "/static/site.css", since)["body"] == "p { color: green }\n"
    finally:
        converge("--extra-vars", "app=notes")


def test_package_without_a_wheel_is_refused_before_it_is_shipped(tmp_path):
    shutil.copytree(PROJECT / ".cache" / "sources" / "three", tmp_path / "three")
    with (tmp_path / "three" / "requirements.txt").open("a") as file:
        file.write("# What has been built before needs no leave.\n")
    other = {"source": str(tmp_path / "three"), "build": ["aardvark"]}
    done = playbook(*variables(flask_apps=entries(three=other), app="three"))
    output = refused(done, "there is none for Python 3", "of bandicoot==1.0, capybara==1.0; no host was changed")
    assert "Fix: `build: [aardvark, bandicoot, capybara]`" in output
    assert get("three")["body"] == "1.0 1.0 1.0\n"


def test_import_has_the_time_that_the_app_has_to_start(tmp_path):
    (tmp_path / "app.py").write_text("import time\ntime.sleep(60)\napp = print\n")
    slow = {"source": str(tmp_path), "start_timeout": 2, "build": []}
    done = playbook(*variables(flask_apps=entries(three=slow), app="three"))
    refused(
        done, "its import was not done after 2 s, which is the start_timeout of the app. Fix: a longer start_timeout"
    )
    # That is nothing that the deployment is to blame for ever.
    marked = host(WEB).run("ls /opt/flask/three/deployments/*/bad")
    assert marked.rc != 0
    assert get("three")["body"] == "1.0 1.0 1.0\n"
