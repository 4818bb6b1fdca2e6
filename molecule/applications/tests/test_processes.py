"""Workers and timers: jobs are done once each, whatever is done to the app meanwhile."""

import json
import shutil
import threading
import uuid

from tests.support import SCENARIO, converge, eventually, hosts_of, playbook, refused, variables
from tests.support import apps as scenario_apps

WEB = hosts_of("app_servers")[0]
WORKERS = ["mail-1", "mail-2", "single-1"]
ACROSS = ("--extra-vars", "app=jobs across_release_command=true")


def entry(**changes):
    """Return the variables of the scenario with another entry for the queue."""
    found = scenario_apps()
    return variables(app="jobs", flask_apps=[app | changes if app["name"] == "jobs" else app for app in found])


def another(folder):
    """Return the folder of another release."""
    source = folder / f"jobs-{uuid.uuid4().hex}"
    shutil.copytree(SCENARIO / "jobs", source)
    (source / "version").write_text(source.name)
    return str(source)


def on(web, *units):
    """Return the deployments that units are on."""
    return {web.check_output("readlink /opt/flask/jobs/instances/%s", unit) for unit in units}


class Leaving(threading.Thread):
    """Somebody who leaves jobs while something happens."""

    def __init__(self, browser):
        super().__init__()
        self.browser, self.over, self.seen = browser, threading.Event(), []

    def run(self):
        while not self.over.wait(0.15):
            self.seen.append(self.browser.open(f"/job/{uuid.uuid4().hex}", now="yes")[0])

    def __enter__(self):
        self.browser.hostname = "jobs.test"
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        assert set(self.seen) == {202}, self.seen


def counts(browser):
    """Return how the jobs are."""
    return json.loads(browser.open("/jobs")[2])


def test_no_job_is_lost_or_done_twice_in_deploy_rollback_and_drain(web, browser, tmp_path):
    before = on(web, "1", *WORKERS)
    assert len(before) == 1
    with Leaving(browser) as leaving:
        converge(*entry(source=another(tmp_path)))
        after = on(web, "1", "2", *WORKERS)
        assert len(after) == 1
        assert after != before
        # One is in the middle of a job, or soon will be.
        done = playbook(*ACROSS, name="playbooks/rollback.yml")
        assert done.returncode == 0, done.stdout
        assert on(web, "1", "2", *WORKERS) == before
        assert playbook("--extra-vars", f"server=jobs/{WEB}-1", name="playbooks/drain.yml").returncode == 0
        assert playbook("--extra-vars", f"server=jobs/{WEB}-1 lift=true", name="playbooks/drain.yml").returncode == 0
    assert len(leaving.seen) > 30
    found = eventually(lambda: (c := counts(browser))["done"] == c["all"] and c, what="all jobs done")
    assert found["all"] == len(leaving.seen)
    assert found["once"] == found["all"]
    assert found["workers"] == [f"{WEB}-{worker}" for worker in WORKERS]
    assert len(found["releases"]) == 2


def test_they_run_as_the_app_does(web):
    shown = "systemctl show --property=%s --value flask-jobs@mail-1"
    assert web.check_output(shown, "User") == "flask-jobs"
    assert web.check_output(shown, "TimeoutStopUSec") == "30s"
    environ = web.check_output(
        "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value flask-jobs@mail-2)/environ"
    )
    assert {"APP_NUMBER=2", "APP_PROCESS=mail", f"APP_INSTANCE={WEB}-mail-2"} <= set(environ.splitlines())
    assert web.run("systemctl is-enabled flask-jobs@mail-1 flask-jobs@nightly.timer").stdout.split() == ["enabled"] * 2
    assert float(web.check_output("systemd-analyze security flask-jobs@mail-1 | tail -n 1").split()[-3]) <= 1.1


def test_worker_that_cannot_run_goes_back_and_what_leaves_the_inventory_is_removed(web):
    before = on(web, "mail-1")
    broken = [{"name": "mail", "command": "python -c \"raise RuntimeError('no queue')\""}]
    refused(
        playbook(*entry(processes=broken)),
        "flask-jobs@mail-1.service: it exits as soon as it is started; it is back on",
        "The instances stay on the new deployment; the next run tries it again",
        "RuntimeError: no queue",
    )
    assert on(web, "mail-1") == before
    assert web.check_output("systemctl is-active flask-jobs@mail-1") == "active"
    converge(*entry(processes=[], timers=[]))
    units = "systemctl list-units --all --plain --no-legend 'flask-jobs@*.service' 'flask-jobs@*.timer'"
    assert {line.split()[0] for line in web.check_output(units).splitlines()} == {
        "flask-jobs@1.service",
        "flask-jobs@2.service",
    }
    assert web.check_output("ls /opt/flask/jobs/instances") == "1\n2"
    assert web.check_output("ls /etc/systemd/system | grep 'flask-jobs@[a-z]' || true") == ""


def test_timer_that_comes_back_does_not_catch_up_with_what_was_due_without_it(web):
    nightly = [{"name": "nightly", "command": "flask nightly", "calendar": "03:00", "catch_up": True}]
    converge(*entry(timers=[]))
    # As on a host that had it long ago, since when it ran on another one.
    web.check_output("touch --date='2 days ago' /var/lib/systemd/timers/stamp-flask-jobs@nightly.timer")
    before = web.check_output("systemctl show --property=ExecMainStartTimestamp flask-jobs@nightly.service")
    converge(*entry(timers=nightly))
    assert web.check_output("systemctl is-active flask-jobs@nightly.timer") == "active"
    assert web.check_output("systemctl show --property=ExecMainStartTimestamp flask-jobs@nightly.service") == before


def test_timer_that_is_due_during_a_deploy_runs_once(web, tmp_path):
    due = int(web.check_output("date +%s")) + 12
    calendar = web.check_output("date --utc --date=@%s '+%%Y-%%m-%%d %%H:%%M:%%S UTC'", str(due))
    nightly = [{"name": "nightly", "command": "flask nightly", "calendar": calendar, "catch_up": True}]
    said = f"journalctl --since=@{due - 12} --quiet --output=cat --unit=flask-jobs@nightly.service --grep='release of the night'"
    # Deploys, one after the other, until its time has come.
    while int(web.check_output("date +%s")) <= due or not web.run(said).stdout:
        converge(*entry(timers=nightly, source=another(tmp_path)))
    assert len(web.check_output(said).splitlines()) == 1
    # What came of it last is there to be read.
    result = web.check_output("systemctl show --property=Result,ExecMainStatus flask-jobs@nightly.service").split()
    assert result == ["Result=success", "ExecMainStatus=0"]
    assert web.check_output("systemctl is-active flask-jobs@nightly.timer flask-jobs@1") == "active\nactive"
