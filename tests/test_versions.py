"""Where a rollback goes, on one host and on several that are not on the same."""

from tests.conftest import load

versions = load("plugin_utils/versions.py")


def host(live, history, bad=(), only=None):
    """Return the history of a host: deployment `1x` of host x has version 1, and so on."""
    there = only if only is not None else {*history, *bad, *([live] if live else [])}
    return {
        "name": "hello",
        "live": live,
        "history": [[float(when), one] for when, one in enumerate(history)],
        "deployments": {
            one: {"version": one[0], "release": "r", "bad": "it did not answer" if one in bad else None}
            for one in there
        },
    }


def rollback(asked="", required=True, across=False, **hosts):
    found = versions.flask_rollback("hello", hosts, asked, required, across)
    return found["problem"] or found["deployments"]


def test_one_host_goes_back_and_forth():
    assert rollback(a=host("2a", ["1a", "2a"])) == {"a": "1a"}
    assert rollback(a=host("1a", ["1a", "2a", "1a"])) == {"a": "2a"}
    assert rollback(a=host("3a", ["1a", "2a", "3a"], bad=["2a"])) == {"a": "1a"}


def test_half_a_rollout_is_left_for_what_all_instances_were_on():
    assert rollback(a=host(None, ["1a", "2a"], only={"1a", "2a", "3a"})) == {"a": "2a"}


def test_nothing_to_go_back_to():
    assert "hello has no good deployment to go back to" in rollback(a=host("1a", ["1a"]))
    assert "hello has no good deployment to go back to" in rollback(a=host("2a", ["1a", "2a"], only={"2a"}))
    assert rollback(a=host("1a", ["1a"]), required=False) == {}
    assert rollback(a=host(None, []), required=False) == {}


def test_hosts_meet_on_one_version():
    both = {"a": "2a", "b": "2b"}
    # The rollout stopped at b, which found the new deployment bad.
    assert rollback(a=host("3a", ["1a", "2a", "3a"]), b=host("2b", ["1b", "2b"], bad=["3b"])) == both
    # It was interrupted before it came to b; what b has never been on is not gone forward to.
    assert rollback(a=host("3a", ["1a", "2a", "3a"]), b=host("2b", ["1b", "2b"], only={"1b", "2b", "3b"})) == both
    assert rollback(a=host("3a", ["1a", "2a", "3a"]), b=host(None, ["1b", "2b"], bad=["3b"])) == both
    # A host that is new has been on the last one only.
    assert "no other one was live on a, b" in rollback(a=host("3a", ["2a", "3a"]), b=host("3b", ["3b"]))
    # What is marked on one host is chosen on none.
    assert rollback(a=host("3a", ["1a", "2a", "3a"]), b=host("3b", ["1b", "2b", "3b"], bad=["2b"])) == {
        "a": "1a",
        "b": "1b",
    }


def test_history_may_name_what_is_gone_and_times_may_be_equal():
    one, other = host("2a", ["1a", "2a"]), host("2b", ["1b", "2b"])
    other["history"].insert(0, [1.0, "0b"])
    assert rollback(a=one, b=other) == {"a": "1a", "b": "1b"}


def test_asked_for():
    hosts = {"a": host("3a", ["1a", "2a", "3a"]), "b": host("3b", ["1b", "2b", "3b"])}
    assert rollback("1b", **hosts) == {"a": "1a", "b": "1b"}
    assert rollback("3a", **hosts) == {"a": "3a", "b": "3b"}
    assert rollback("9a", **hosts) == (
        "hello has no deployment 9a that was live on a, b. Fix: one of those that were live everywhere and are good: "
        "3a, 3b, 2a, 2b, 1a, 1b."
    )
    bad = host("3b", ["1b", "2b", "3b"], bad=["2b"])
    assert rollback("2a", a=hosts["a"], b=bad) == (
        "Deployment 2a of hello was marked bad, it did not answer (b). Fix: one of: 3a, 3b, 1a, 1b."
    )


def test_host_that_does_not_run_the_app_is_not_asked():
    other = host("1b", ["1b"])
    other["name"] = "other"
    assert rollback(a=host("2a", ["1a", "2a"]), b=other, c={}) == {"a": "1a"}


def test_version_depends_on_all_that_is_said():
    one = versions.flask_version("content", {"A": "1", "B": "2"}, "any")
    assert one == versions.flask_version("content", {"B": "2", "A": "1"}, "any")
    assert len({one, versions.flask_version("content", {"A": "1"}, "any"), versions.flask_version("c", {}, "any")}) == 3


def test_rollback_beyond_a_release_command_has_to_be_asked_for():
    one = host("2a", ["1a", "2a"])
    # It ran for version 2 before that was live, and after version 1 was.
    one["released"] = [[0.5, "2"]]
    assert "A release command of hello ran at" in rollback(a=one)
    assert "add `-e across_release_command=true`" in rollback("1a", a=one)
    assert rollback(across=True, a=one) == {"a": "1a"}
    # Forth again is no such thing, nor is back once version 1 has been live since.
    forth = host("1a", ["1a", "2a", "1a"]) | {"released": [[0.5, "2"]]}
    assert rollback(a=forth) == {"a": "2a"}
    back = host("2a", ["1a", "2a", "1a", "2a"]) | {"released": [[0.5, "2"]]}
    assert rollback(a=back) == {"a": "1a"}
    # Another host may know of it alone.
    assert "A release command" in rollback(
        a=host("2a", ["1a", "2a"]), b=host("2b", ["1b", "2b"]) | {"released": [[0.5, "2"]]}
    )


def released(stale, *lines, version="2", lived=()):
    return {"stale": stale, "version": version, "released": list(lines), "lived": list(lived)}


def test_where_a_release_command_runs():
    due, commands = versions.flask_release_host, ["flask db upgrade"]
    # The first install, and the next version.
    assert due({"lb": {}, "a": released([1]), "b": released([1])}, commands) == "a"
    assert due({"a": released([1], [1.0, "1"]), "b": released([1], [1.0, "1"])}, commands) == "a"
    assert due({"a": released([1])}, []) == ""
    # Nothing is to be switched, or a run was cut off after it, on whichever host it ran.
    assert due({"a": released([], [1.0, "1"])}, commands) == ""
    assert due({"a": released([1]), "b": released([1], [1.0, "1"], [2.0, "2"])}, commands) == ""
    # Back to an older version by its source: what it brings the data to is another state.
    assert due({"a": released([1], [1.0, "1"], [2.0, "2"], version="1")}, commands) == "a"


def test_release_command_runs_again_once_another_version_was_live():
    due, commands, ran = versions.flask_release_host, ["flask db upgrade"], [[1.5, "1"], [2.5, "2"]]
    # Version 1 was live before; it was gone back to, and the data with it.
    assert due({"a": released([1], *ran, lived=[[2.0, "1"], [3.0, "2"]])}, commands) == ""
    assert due({"a": released([1], *ran, lived=[[2.0, "1"], [3.0, "2"], [4.0, "1"]])}, commands) == "a"
    # So it was on some host, and on one whose deployment is no longer there to say its version.
    assert due({"a": released([1], *ran), "b": released([1], *ran, lived=[[4.0, "0a1b2c3d4e5f"]])}, commands) == "a"
    # It has run again since.
    assert due({"a": released([1], *ran, [5.0, "2"], lived=[[4.0, "1"]])}, commands) == ""
