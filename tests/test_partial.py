"""Runs that do not deploy every app: what the balancers keep, and what is said at the end."""

import pytest

from tests.conftest import load

partial = load("plugin_utils/partial.py")


def backend(name, port=5001):
    return {"name": name, "servers": [{"name": "web-1", "address": "127.0.0.1", "port": port}]}


def kept(listed, known, only="", failed=()):
    """Return {name: port} of the backends, in order."""
    found = partial.flask_backends_kept(
        [backend(name, 6001) for name in listed], known and [backend(name) for name in known], only, list(failed)
    )
    return {one["name"]: one["servers"][0]["port"] for one in found}


def test_all_are_as_the_inventory_says_where_none_has_failed():
    assert kept(["a", "b"], ["b", "c"]) == {"a": 6001, "b": 6001}


def test_what_failed_stays_as_it_is_known():
    assert kept(["a", "b"], ["a", "b"], failed=["a"]) == {"a": 5001, "b": 6001}


def test_what_is_not_deployed_stays_as_it_is_known():
    assert kept(["a", "b", "c"], ["a", "b"], only="b") == {"a": 5001, "b": 6001}


def test_what_was_never_there_is_left_out():
    assert kept(["a", "b"], ["b"], failed=["a"]) == {"b": 6001}
    assert kept(["a"], [], failed=["a"]) == {}


def test_what_is_in_no_list_any_more_answers_until_all_has_gone_well():
    assert kept(["new", "b"], ["b", "old"], failed=["new"]) == {"b": 6001, "old": 5001}
    # It is the first one that answers what no other is meant for.
    assert list(kept(["new", "b"], ["old", "b"], failed=["new"])) == ["old", "b"]
    # Where its successor is there, that has the routes.
    assert list(kept(["new", "b"], ["old", "b"], only="new")) == ["new", "b", "old"]


def test_before_the_balancer_is_asked_all_are_checked():
    assert kept(["a", "b"], None, failed=["a"]) == {"a": 6001, "b": 6001}


def test_where_only_names_are_known_the_inventory_has_the_rest():
    found = partial.flask_backends_kept([backend("a"), backend("b")], [{"name": "b"}, {"name": "old"}], "a", [])
    assert [one["servers"] for one in found] == [backend("a")["servers"], backend("b")["servers"]]


def test_app_that_is_deployed_alone_takes_away_no_other():
    assert kept(["b"], ["b", "other"], only="b") == {"b": 6001, "other": 5001}


THEIRS = backend("shop") | {"inventory": "example.org/shop"}


def test_each_backend_has_the_inventory_that_deployed_it():
    found = partial.flask_backends_kept([backend("a")], [THEIRS], "a", [], "example.org/a")
    # What no other is meant for still goes where it went.
    assert [(one["name"], one["inventory"]) for one in found] == [("shop", "example.org/shop"), ("a", "example.org/a")]
    assert partial.flask_backends_kept([backend("a")], [THEIRS], "", [], "example.org/a") == [
        backend("a") | {"inventory": "example.org/a"}
    ]


@pytest.mark.parametrize(
    ("listed", "only", "let_go", "names"),
    [
        (["a"], "a", "", ["a", "b", "shop"]),
        (["a"], "a", "b", ["a", "shop"]),
        (["a"], "a", "b,shop", ["a"]),
        # The last of ours: others have theirs still.
        ([], "", "a,b", ["shop"]),
        ([], "", "a,b,shop", []),
    ],
)
def test_what_is_to_go_goes_and_nothing_of_others(listed, only, let_go, names):
    ours = [backend(name) | {"inventory": "example.org/a"} for name in ("a", "b")]
    known = [*ours, THEIRS]
    found = partial.flask_backends_kept([backend(name) for name in listed], known, only, [], "example.org/a", let_go)
    assert [one["name"] for one in found] == names


def test_route_of_another_inventory_is_not_taken():
    apps = [{"name": "a", "source": ".", "wsgi": "app:app", "port": 5001}]
    backends = [
        {"name": name, "hostnames": ["a.test"], "path": "", "inventory": where}
        for name, where in (("a", "example.org/a"), ("old", "example.org/a"), ("shop", "example.org/shop"))
    ]
    (found,) = partial.flask_route_problems(backends, apps, "example.org/a")
    assert found.startswith("flask_apps: a and shop are both to answer 'a.test'. Fix: another hostnames or path")
    # What it has replaced itself, or an earlier release knows, is none.
    assert (
        partial.flask_route_problems([*backends[:2], {"name": "b", "hostnames": [], "path": ""}], apps, "example.org/a")
        == []
    )


@pytest.mark.parametrize(
    ("listed", "known", "let_go", "words"),
    [
        (
            ["a"],
            [backend("a"), THEIRS],
            "",
            ["shop is in no list here", "from example.org/shop, and this is example.org/a"],
        ),
        (["a"], [backend("a"), THEIRS], "shop", []),
        (["shop"], [THEIRS], "", []),
        # Its own, also as an earlier release knows it.
        (["a"], [THEIRS | {"inventory": "example.org/a"}, {"name": "old"}], "", []),
        ([], [backend("a"), backend("b")], "a", ["flask_apps is [], and b would lose its route.", "-e let_go=a,b,"]),
        ([], [backend("a"), backend("b")], ["a", "b"], []),
        ([], [backend("a"), backend("b")], "b, a", []),
        ([], [backend("a"), THEIRS], "a", []),
        ([], [backend("a"), THEIRS], "", ["shop is in no list here"]),
        ([], [], "", []),
    ],
)
def test_run_takes_away_nothing_by_mistake(listed, known, let_go, words):
    found = partial.flask_going_problems(
        [{"name": name, "source": ".", "wsgi": "app:app", "port": 5001} for name in listed],
        known,
        "example.org/a",
        let_go,
    )
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "It failed:\nlines of a traceback"}, "It failed."),
        ({"msg": "One or more items failed", "results": [{"msg": "a"}, {"msg": "b", "failed": True}]}, "b."),
        ({"results": [{"msg": "no route to host", "unreachable": True}]}, "no route to host."),
        ({}, "it failed without a message."),
        ({"msg": "x" * 1000}, "x" * 700 + "…"),
    ],
)
def test_reason_is_one_line(result, reason):
    assert partial.flask_reason(result) == reason


def test_failures_are_listed_by_app():
    found = partial.flask_failures(["h1", "h2"], [{"b": "x.", "a": "y."}, {"a": "z."}])
    assert [(one["app"], one["host"], one["reason"]) for one in found] == [
        ("a", "h1", "y."), ("a", "h2", "z."), ("b", "h1", "x."),
    ]  # fmt: skip


APPS = [{"name": "hello", "source": ".", "wsgi": "app:app", "port": 5001, "hosts": "workers"}]
GROUPS = {
    "all": ["web1", "web2", "web3"], "app_servers": ["web1", "web2"], "load_balancers": ["web1"], "workers": ["web1"],
}  # fmt: skip
REMOVE = "ansible-playbook flask_haproxy.deploy.remove -e app="


def test_app_that_gets_no_request_is_named_with_the_fix():
    first, routed = {"name": "hello", "hostnames": [], "path": ""}, {"name": "wiki", "path": "/wiki"}
    assert partial.flask_unasked([first, routed], "hello") == partial.flask_unasked([first, routed], "wiki") == []
    assert partial.flask_unasked([], "hello") == []
    assert partial.flask_unasked([routed, first], "hello") == [
        "hello gets no request: it has no hostnames and no path, and what is meant for no app goes to wiki. "
        "Fix: hostnames or path for hello."
    ]


def test_what_is_there_and_in_no_list_is_named_with_the_fix():
    found = partial.flask_unlisted(APPS, ["web1", "web2"], [["hello", "lost+found", "old"], ["hello"]], GROUPS)
    assert len(found) == 2
    assert found[0].startswith(
        "old is on web1 and in no list: no balancer has it now, and it stays there, with its secrets. Fix: "
        + REMOVE
        + "old "
    )
    still = partial.flask_unlisted(APPS, ["web1"], [["hello", "old"]], GROUPS, ["hello", "old"])
    assert still == ["old is on web1 and in no list here; the balancers have it still."]
    (gone,) = partial.flask_unlisted(APPS, ["web1"], [["hello", "old"]], GROUPS, ["hello", "old"], "old")
    assert "no balancer has it now" in gone
    (trial,) = partial.flask_unlisted(APPS, ["web1"], [["old"]], GROUPS, trial=True)
    assert "no balancer would have it then" in trial
    assert found[1].startswith("hello is on web2, which is not in its group workers")
    assert f"{REMOVE}hello -e host=web2 takes it away" in found[1]


def test_host_that_is_no_balancer_any_more():
    found = partial.flask_former_balancers(["web1", "web2", "web3"], [True, True, False], GROUPS)
    assert len(found) == 1
    assert found[0].startswith("web2 is in no list of balancers, and HAProxy is there")


def test_host_that_has_left_its_groups():
    known = [{"name": "hello", "servers": [{"name": "web1-1"}, {"name": "gone-1"}]}, {"name": "old"}]
    ever = ["hello/gone-1", "hello/gone-2", "hello/long-gone-1", "hello/web1-1", "hello/web3-1", "old/web-3-1"]
    left = partial.flask_left(ever, known, GROUPS)
    assert left == [
        {"app": "hello", "host": "gone", "there": False},
        {"app": "hello", "host": "web3", "there": True},
    ]
    assert partial.flask_left_words(left[1:], [{"item": left[1], "live": []}], APPS) == []
    on_it = partial.flask_left_words(left, [{"item": left[1], "live": [{"number": 1}]}], APPS)
    assert on_it[0].startswith("hello was on gone, which the inventory no longer has")
    assert on_it[1].endswith(f"Fix: {REMOVE}hello -e host=web3 takes it away.")
    lost = partial.flask_left_words(left[1:], [{"item": left[1], "unreachable": True}], APPS)
    assert "cannot be asked" in lost[0]
    assert not any("processes" in words for words in [*on_it, *lost])


def test_what_a_host_runs_on_beside_an_app_is_named():
    mail, nightly = {"name": "mail", "hosts": "all"}, {"name": "nightly", "hosts": "first"}
    apps = [APPS[0] | {"processes": [mail], "timers": [nightly]}]
    beside = (
        "with its secrets. Its processes and timers (mail, nightly) run there as well; what is to run on one host alone (nightly) "
        f"may run on two. Fix: {REMOVE}hello -e host=web2 takes it away"
    )
    assert beside in partial.flask_unlisted(apps, ["web2"], [["hello"]], GROUPS)[0]
    for there, live in ((False, []), (True, [{"number": 1}]), (True, None)):
        left = [{"app": "hello", "host": "web2", "there": there}]
        (said,) = partial.flask_left_words(left, [{"item": left[0], "live": live}], apps)
        assert "Its processes and timers (mail, nightly) run there as well; what is to run on one host" in said
        (said,) = partial.flask_left_words(left, [{"item": left[0], "live": live}], [APPS[0] | {"processes": [mail]}])
        assert "Its processes and timers (mail) run there as well. Fix: " in said


@pytest.mark.parametrize(
    ("name", "host", "known", "words"),
    [
        ("../etc", "web1", [], "app is '../etc'. Fix: -e app=NAME"),
        ("", "web1", [], "Fix: -e app=NAME"),
        ("hello", "web1", [], "hello is in flask_apps, and web1 in its group. Fix: take its entry out"),
        (
            "old",
            "web1",
            [{"name": "old", "servers": [{"name": "web1-1"}]}],
            "a balancer still sends requests to old on web1",
        ),
        ("old", "web1", [{"name": "old"}], "run flask_haproxy.deploy.site first"),
        ("hello", "web3", [{"name": "hello", "servers": [{"name": "web1-1"}]}], ""),
        ("old", "web1", [{"name": "hello", "servers": [{"name": "web1-1"}]}], ""),
    ],
)
def test_what_may_be_taken_away(name, host, known, words):
    found = partial.flask_removal_problem(APPS, name, [host], GROUPS, known)
    assert words in found
    assert bool(found) == bool(words)


def test_all_hosts_where_an_app_is_in_use_are_named_at_once():
    both = [{"name": "old", "servers": [{"name": "web1-1"}, {"name": "web2-1"}]}]
    found = partial.flask_removal_problem(APPS, "old", ["web1", "web2", "web3"], GROUPS, both)
    assert "requests to old on web1, web2. Fix" in found
    found = partial.flask_removal_problem(APPS, "hello", ["web1", "web2"], GROUPS | {"workers": ["web1", "web2"]}, [])
    assert "and web1, web2 in its group. Fix: take its entry out, or them out of the group;" in found
