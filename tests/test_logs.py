"""Lines of the journals of many hosts as one log, and what those of the deploys say of releases."""

import json
from datetime import UTC, datetime

import pytest

from tests.conftest import load
from tests.seen import NOW, Site, instance

CRITICAL = load("plugin_utils/host_diagnoses.py").CRITICAL
HAPROXY = "haproxy.service"
REQUEST = "da6619cf-4152-48f4-9eba-11451dd62833"
ACCESS = (
    "10.0.0.9:50564 [26/Nov/2026:04:44:14.469] http_front probe/app2-1 0/0/0/1/1 404 369 - - ---- 1/1/0/0/0 0/0 "
    f'{{{REQUEST}}} "GET /nothing HTTP/1.1"'
)


def line(text, time=NOW, unit="flask-hello@1.service"):
    return {"time": time, "unit": unit, "text": text}


def entry(text, time, **more):
    fields = {"__CURSOR": f"s={time}", "__REALTIME_TIMESTAMP": str(int(time * 1e6)), "MESSAGE": text}
    return json.dumps(fields | {"_SYSTEMD_UNIT": "flask-hello@1.service"} | more)


def test_journal_is_read_in_either_order_whatever_its_bytes():
    parse = load("module_utils/journal_lines.py").parse
    text = [entry("second", NOW + 1), entry([255, 97], NOW), entry(None, NOW, UNIT="flask-x@1.service")]
    text += [entry("d", NOW - 2, SYSLOG_IDENTIFIER="flask-deploy")]
    found, cursor = parse("\n".join(text), reverse=True)
    assert [one["text"] for one in found] == ["d", "", "\ufffda", "second"]
    assert [one["unit"] for one in found] == ["flask-deploy", "flask-x@1.service", *["flask-hello@1.service"] * 2]
    assert cursor == f"s={NOW + 1}"
    assert parse("\n".join(text[::-1]), reverse=False) == (found, cursor)
    assert parse("", reverse=True) == ([], "")


def test_journal_has_lines_that_are_longer_than_they_look_or_no_json():
    parse = load("module_utils/journal_lines.py").parse
    twice = entry(["one", [255], "two"], NOW + 1, UNIT=["flask-x@1.service", "y"])
    raw = json.dumps(json.loads(entry("a\u2028b\x85c", NOW)), ensure_ascii=False)
    found, cursor = parse("\n".join([raw, "", "-- No entries --", '{"MESSAGE": "cut', twice, ""]), reverse=False)
    assert [one["text"] for one in found] == ["a\u2028b\x85c", "one\n\ufffd\ntwo"]
    assert found[1]["unit"] == "flask-x@1.service\ny"
    assert cursor == f"s={NOW + 1}"


def test_question_believes_only_root_and_systemd():
    question = load("module_utils/journal_lines.py").Question
    command = question(["flask-hello@*.service"], ["flask-deploy"], "-1h", words="a.b").command(
        ["flask-hello@1.service", "flask-other@1.service", "ssh.service"]
    )
    assert command[1:6] == ["--since=-1h", "--lines=1000", "--reverse", r"--grep=a\.b", "--case-sensitive=true"]
    assert command[-7:] == [
        "_SYSTEMD_UNIT=flask-hello@1.service", "+", "_PID=1", "UNIT=flask-hello@1.service", "+", "_UID=0",
        "SYSLOG_IDENTIFIER=flask-deploy",
    ]  # fmt: skip
    assert "--after-cursor=x" in question([], [], "-1h", after="x").command([])
    # A question about nothing is not one about everything.
    assert question(["flask-gone@*"], [], "-1h").command(["ssh.service"])[-1] == "UNIT=none"


def test_lines_are_merged_by_time():
    logs = load("plugin_utils/site_logs.py")
    found = {
        "web1": {"lines": [line("a", NOW + 2), line("c\nd", NOW + 4)]},
        "lb": {"lines": [line("b", NOW + 3, "haproxy.service")]},
    }
    assert [one.split(maxsplit=2)[2] for one in logs.log_lines(found)] == [
        "web1 hello@1  a", "lb   haproxy  b", "web1 hello@1  c", "web1 hello@1  d",
    ]  # fmt: skip


def test_what_an_app_writes_does_not_work_on_the_terminal():
    logs = load("plugin_utils/site_logs.py")
    text = "\x1b[31mred\tgrün\x07\r\nnext\u2028\x9b2J \u202eturned\r over\n"
    assert [one.split("  ", 1)[1] for one in logs.log_lines({"web1": {"lines": [line(text)]}})] == [
        r"\x1b[31mred" "\tgrün" r"\x07", r"next\u2028\x9b2J \u202eturned\r over",
    ]  # fmt: skip
    assert len(logs.log_lines({"web1": {"lines": [line("")]}})) == 1


def test_way_of_a_request_begins_at_the_balancer():
    logs = load("plugin_utils/site_logs.py")
    found = {"app2": {"lines": [line("[id] said")]}, "lb": {"lines": [line(ACCESS, NOW + 1, "haproxy.service")]}}
    lines = logs.log_text(found, REQUEST, [("app1", "no route")]).splitlines()
    assert lines[0] == "lb sent it to probe/app2-1, which ended with 404 after 1 ms."
    assert [word in one for word, one in zip(("GET /nothing", "said"), lines[1:3], strict=True)] == [True, True]
    assert lines[3:] == ["No answer of app1: no route"]
    assert logs.log_text({"lb": {"lines": []}}, REQUEST, []).startswith(f"No line has {REQUEST} in that time. Fix:")


def test_logs_of_nobody_are_no_success():
    logs = load("action/flask_report.py").logs
    refused = {"failed": True, "msg": "journalctl refused since: bla: Failed to parse timestamp: bla."}
    journals = {"app1": refused, "lb1": refused}
    _, text, level = logs({"journals": journals})
    assert level == CRITICAL
    assert text.splitlines()[0] == f"No answer of app1: {refused['msg']}"
    # One that is lost is a line of the report.
    assert logs({"journals": journals | {"app1": {"lines": []}}})[2] == 0


def test_lines_of_an_app_are_not_those_of_requests_to_others():
    logs = load("plugin_utils/site_logs.py")
    other = ACCESS.replace("probe/app2-1", "hello/app1-1")
    found = {
        "lb": {
            "lines": [line(ACCESS, NOW, HAPROXY), line(other, NOW + 1, HAPROXY), line("Reloading", NOW + 2, HAPROXY)]
        }
    }
    shown = logs.log_text(found, "", [], "probe").splitlines()
    assert [word in one for word, one in zip(("probe/app2-1", "Reloading"), shown, strict=True)] == [True, True]
    # A name that no app has.
    shown = logs.log_text(found, "", [], "prob").splitlines()
    assert [one.rpartition("  ")[2] for one in shown[:-1]] == ["Reloading"]
    assert shown[-1].startswith(
        "No line is of prob itself in that time. Fix: an earlier since, like -1h, or the name of"
    )


BEGINS, ENDS = "site.yml by anna@laptop (pid 7) begins", "site.yml by anna@laptop (pid 7) ends: done"


def deploys(*texts):
    lines = [line(text, NOW + second, "flask-deploy") for second, text in texts]
    return load("plugin_utils/site_releases.py").runs(lines)


def test_run_on_two_balancers_is_one():
    (found,) = deploys((0, BEGINS), (0.3, BEGINS), (60, ENDS), (60.2, ENDS))
    assert (found["who"], found["result"], round(found["ended"] - found["began"])) == ("anna@laptop", "done", 60)


@pytest.mark.parametrize(
    ("texts", "results"),
    [
        ([(0, BEGINS)], [""]),
        ([(0, BEGINS), (60, ENDS.replace("done", "failed")), (90, BEGINS.replace("7", "8"))], ["", "failed"]),
        ([(0, "hello/web1-2: out by hand, by anna@laptop"), (1, "something else")], ["done"]),
        ([(0, "hello: maintenance begins, by anna@laptop")], ["done"]),
        ([], []),
    ],
)
def test_runs(texts, results):
    assert [one["result"] for one in deploys(*texts)] == results


def test_release_command_is_of_the_run_that_it_was_part_of():
    failed = "flask-shop-release: sh -c 'exit 3' ended with status 3"
    found = deploys(
        (-90, failed), (0, BEGINS), (40, "flask-shop-release: flask init-db ended with status 0"), (60, ENDS)
    )
    assert [(one["what"], one["who"], one["result"]) for one in found] == [
        ("shop: release command flask init-db", "anna@laptop", "done"),
        ("site.yml", "anna@laptop", "done"),
        ("shop: release command sh -c 'exit 3'", "", "failed, status 3"),
    ]
    assert deploys((0, "flask-shop-run-12: a command ended with status 0")) == []


def test_what_a_version_is_made_of_and_what_ran_for_it():
    module, site = load("plugin_utils/site_releases.py"), Site()
    for host in site.app_hosts.values():
        about = host["apps"]["hello"]["deployments"]["0a1b2c3d4e5f"]
        about["source"] = about["made_of"] = {"commit": "0123456789abcdef", "changed": "yes"}
    # It ran on one host, and the others remember it, unless they have come later.
    site.app_hosts["app1"]["apps"]["hello"]["released"] = [[NOW - 7300, "v2"]]
    found = module.site_releases(site.app_hosts, {}, site.balancers)
    new, old = found["apps"]["hello"]
    assert (new["released_at"], old["released_at"]) == (NOW - 7300, None)
    # A rollback goes beyond a release command only where that is asked for.
    assert (new["rollback"], old["rollback"]) == (False, False)
    lines = module.releases_text(found).splitlines()
    assert lines[2].split()[:3] == ["0a1b2c3d4e5f", "5f4e3d2c", "01234567+changes"]
    assert max(map(len, lines)) <= 100
    assert not any("deployed again" in line for line in lines)


def test_same_content_of_another_commit_stays_what_it_was_first():
    module, site = load("plugin_utils/site_releases.py"), Site()
    for name, host in site.app_hosts.items():
        about = host["apps"]["hello"]["deployments"]["0a1b2c3d4e5f"]
        about |= {"made_of": {"commit": "1" * 40}, "source": {"commit": "2" * 40}}
        # A host that has come later had it from the later commit alone.
        if name == "app1":
            about |= {"made_of": {"commit": "2" * 40}, "written": "2025-11-25T23:00:00+0000"}
    found = module.site_releases(site.app_hosts, {}, site.balancers)
    assert found["apps"]["hello"][0]["written"] == datetime.fromisoformat("2025-11-25T22:00:00+0000").timestamp()
    lines = module.releases_text(found).splitlines()
    assert lines[2].split()[2] == "11111111"
    assert lines[4] == "  0a1b2c3d4e5f was deployed again, with the same content, from 22222222"


def test_releases_of_a_site():
    module, site = load("plugin_utils/site_releases.py"), Site()
    written = datetime.fromisoformat("2025-11-25T22:00:00+0000").replace(tzinfo=UTC).timestamp() - NOW
    journals = {"lb1": {"lines": [line(BEGINS, NOW + written - 30), line(ENDS, NOW + written + 30)]}}
    found = module.site_releases(site.app_hosts, journals, site.balancers)
    new, old = found["apps"]["hello"]
    assert (new["by"], new["on"]) == ("anna@laptop", ["app1-1", "app1-2", "app2-1", "app2-2"])
    assert (new["rollback"], old["rollback"], old["by"]) == (False, True, "")
    site.app_hosts["app1"]["apps"]["hello"]["deployments"]["ffffffffffff"]["bad"] = (
        "yesterday: not healthy" + " at all" * 20
    )
    site.app_hosts["app2"] = {"unreachable": True, "msg": "no route"}
    text = module.releases_text(module.site_releases(site.app_hosts, journals, site.balancers))
    assert "a rollback goes here" not in text
    assert "\n  ffffffffffff was marked bad, yesterday: not healthy at all" in text
    assert text.splitlines()[-1] == "No answer of app2: no route"
    assert max(map(len, text.splitlines())) <= 100


def test_instances_on_several_deployments():
    site = Site()
    site.app_hosts["app1"]["apps"]["hello"]["instances"][0] = instance("app1", 1) | {"deployment": "ffffffffffff"}
    found = load("plugin_utils/site_releases.py").site_releases(site.app_hosts, {}, site.balancers)["apps"]["hello"]
    assert [one["on"] for one in found] == [["app1-2", "app2-1", "app2-2"], ["app1-1"]]
    # A rollback brings all back to the one that was live last.
    assert [one["rollback"] for one in found] == [True, False]


def test_releases_say_which_balancer_has_not_answered():
    module, site = load("plugin_utils/site_releases.py"), Site()
    site.balancers["lb2"] = {"unreachable": True, "msg": "no route"}
    text = module.releases_text(module.site_releases(site.app_hosts, {}, site.balancers))
    assert text.splitlines()[-1] == "No answer of lb2: no route"
