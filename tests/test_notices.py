"""What notify_command is told of a run, and that it runs once or not at all."""

from tests.conftest import load

notices = load("plugin_utils/notices.py")
notify = load("action/flask_notify.py")

LIVE = [{"number": 1, "deployment": "d1", "release": "r1"}, {"number": 2, "deployment": "d1", "release": "r1"}]
DEPLOYED = {"deployment": "d2", "release": "r2", "live": LIVE, "stale": [{"number": 1}], "processes": []}


def test_success_on_two_hosts():
    told = notices.notice("shop", "deploy", {"a": DEPLOYED, "b": DEPLOYED | {"deployment": "d3"}, "c": {}}, {}, True)
    assert told == {
        "NOTIFY_APP": "shop", "NOTIFY_ACTION": "deploy", "NOTIFY_RESULT": "succeeded", "NOTIFY_REASON": "",
        "NOTIFY_HOSTS": "a b", "NOTIFY_RELEASE": "r2", "NOTIFY_RELEASE_BEFORE": "r1", "NOTIFY_DEPLOYMENT": "d2 d3",
        "NOTIFY_DEPLOYMENT_BEFORE": "d1",
    }  # fmt: skip


def test_nothing_to_tell_where_nothing_was_to_be_done():
    assert notices.notice("shop", "deploy", {"a": DEPLOYED | {"stale": []}, "b": {}}, {}, True) == {}
    assert notices.notice("shop", "deploy", {"a": DEPLOYED | {"stale": []}}, {}, False) == {}


def test_failure_of_the_app_and_of_the_run():
    reasons = notices.reasons_of(
        "shop", [{"app": "shop", "host": "a", "reason": "no"}, {"app": "x", "host": "a", "reason": ""}]
    )
    told = notices.notice("shop", "rollback", {"a": {}}, reasons, True)
    assert (told["NOTIFY_RESULT"], told["NOTIFY_REASON"], told["NOTIFY_HOSTS"]) == ("failed", "a: no", "a")
    told = notices.notice("shop", "deploy", {"a": DEPLOYED}, {}, False)
    assert (told["NOTIFY_RESULT"], told["NOTIFY_REASON"]) == ("failed", "the run was stopped")


def test_command_has_the_variables_and_its_folder(tmp_path):
    assert notify.tell("sh -c 'echo $NOTIFY_APP $PWD > told'", {"NOTIFY_APP": "shop"}, str(tmp_path), 20) == ""
    assert (tmp_path / "told").read_text() == f"shop {tmp_path}\n"


def test_command_that_fails_says_so_without_itself(tmp_path):
    assert notify.tell("sh -c 'echo tok; echo no >&2; exit 3'", {}, str(tmp_path), 20) == "it ended with status 3: no"
    assert notify.tell("./none --token=secret", {}, str(tmp_path), 20) == "it cannot be run: No such file or directory"
    assert notify.tell("sleep 20", {}, str(tmp_path), 0.2) == "it had not ended after 0.2 s"


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path):
    left = "sh -c 'sleep 5 & echo no; exit 3'"
    assert notify.tell(left, {}, str(tmp_path), 4) == "it ended with status 3: no"


def test_reason_of_any_length_and_letters_can_be_told(tmp_path):
    reason = "ä\ud800\0" * 100_000
    assert notify.tell("sh -c 'echo $NOTIFY_REASON > told'", {"NOTIFY_REASON": reason}, str(tmp_path), 20) == ""
    told = (tmp_path / "told").read_text()
    assert told.startswith("ä?ä?")
    assert notify.LONGEST - 4 < len(told.encode()) <= notify.LONGEST + 1
