"""A canary: which instance, with which weights, and what is counted of it."""

import re

import pytest

from tests.conftest import load

canary = load("module_utils/haproxy_canary.py")
canaries = load("plugin_utils/canaries.py")

CONFIG = """global
    log stdout

backend shop
    default-server check
    server web1-1 192.0.2.1:5001 check
    server web2-1 192.0.2.2:5001 check weight 2
    server web3-1 192.0.2.3:5001 check backup
    server web4-1 192.0.2.4:5001 check disabled

backend wiki
    server web1-1 192.0.2.1:5101 check
"""
CANARY = {"server": "web1-1", "share": 10}


@pytest.mark.parametrize("share", [1, 5, 10, 33, 50, 90, 99])
@pytest.mark.parametrize("others", [[1], [1, 1], [1] * 29, [2, 1, 1], [256], [100, 7]], ids=str)
def test_share_is_the_nearest_that_weights_can_give(share, others):
    weight, factor = canary.weights(others, share)
    assert 1 <= weight <= 256
    assert max(others) * factor <= 256
    best = min(
        abs(one / (one + of * sum(others)) - share / 100)
        for of in range(1, 256 // max(others) + 1)
        for one in range(1, 257)
    )
    assert abs(weight / (weight + factor * sum(others)) - share / 100) == pytest.approx(best, abs=1e-12)


def test_share_is_exact_and_its_weights_are_small():
    assert canary.weights([1, 1, 1], 10) == (1, 3)
    assert canary.weights([1], 50) == (1, 1)


def test_weights_are_those_of_what_serves():
    """What is out by hand or spare gets none; the others keep the proportions that the inventory gives them."""
    text = canary.with_canaries(CONFIG, {"shop": CANARY})
    assert re.findall(r"server (\S+) .* weight (\d+) # canary", text) == [("web1-1", "2"), ("web2-1", "18")]
    assert canary.real_share(text, "shop", CANARY) == 10
    assert "5101 check\n" in text
    # 256 is the heaviest.
    heavy = CONFIG.replace("check weight 2", "check weight 200").replace("check backup", "check")
    assert canary.real_share(heavy, "shop", {"server": "web1-1", "share": 99}) == 56.02


def test_others_have_the_places_that_they_had_without_it():
    """Else those who find none in them go to the canary, whatever its weight."""
    places = CONFIG.replace("default-server check", "default-server check minconn 2 maxconn 200")
    text = canary.with_canaries(places, {"shop": CANARY})
    assert re.findall(r"server (\S+) .* minconn (\d+) maxconn (\d+) # canary", text) == [("web2-1", "4", "400")]
    assert canary.with_canaries(text, {}) == places
    threads = places.replace("maxconn 200", "maxconn 2")
    assert "minconn 4" not in canary.with_canaries(threads, {"shop": CANARY})


def test_lifted_canary_leaves_nothing():
    given = canary.with_canaries(CONFIG, {"shop": CANARY, "wiki": CANARY})
    assert canary.with_canaries(given, {"shop": CANARY, "wiki": CANARY}) == given
    assert canary.with_canaries(given, {}) == CONFIG


def test_lone_server_keeps_all():
    assert canary.with_canaries(CONFIG, {"wiki": CANARY}) == CONFIG
    assert canary.real_share(CONFIG, "wiki", CANARY) is None
    assert canary.with_canaries(CONFIG, {"gone": CANARY}) == CONFIG


def test_parser_takes_it(parser):
    server = "backend shop\n    mode http\n    server one 192.0.2.1:5001 check weight 3\n    server two 192.0.2.2:5001 check\n"
    times = "".join(f"    timeout {what} 1s\n" for what in ("connect", "client", "server"))
    config = f"defaults\n    mode http\n{times}\nfrontend http\n    bind *:80\n    default_backend shop\n\n{server}"
    assert parser.words(canary.with_canaries(config, {"shop": {"server": "one", "share": 40}})) == ""


HEAD = "# pxname,svname,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,rtime,rtime_max"


def rows(one, two):
    """Return what HAProxy says of two servers, of which these many have answered 200."""
    return f"{HEAD}\nshop,web1-1,0,{one},0,0,1,0,0,1,4,20\nshop,web2-1,0,{two},0,0,0,0,0,0,2,9\n"


@pytest.fixture
def balancer(monkeypatch):
    """Give a function that says which worker runs and what it has counted."""

    def says(worker, one, two):
        monkeypatch.setattr(canary, "processes", lambda: type("Processes", (), {"workers": (worker,)}))
        monkeypatch.setattr(canary, "ask", lambda _: rows(one, two))
        return canary.Counting()

    return says


def test_counts_begin_when_told_and_go_on_over_reloads(balancer):
    canary_now = CANARY | balancer(7, 10, 100).begin("shop")
    since = balancer(7, 15, 145).since("shop", canary_now)
    assert (since["web1-1"]["requests"], since["web1-1"]["2xx"], since["web2-1"]["2xx"]) == (5, 5, 45)
    assert since["web1-1"]["failed"] == 0
    # A reload that this project does; then one that somebody else did.
    canary_now |= balancer(7, 20, 190).carried("shop", canary_now)
    assert balancer(8, 0, 0).since("shop", canary_now)["web1-1"]["2xx"] == 10
    assert balancer(8, 3, 27).since("shop", canary_now)["web2-1"]["2xx"] == 117
    assert balancer(9, 1, 1).since("shop", canary_now)["web1-1"]["2xx"] == 11


def test_what_does_not_answer_counts_nothing(monkeypatch):
    def nobody():
        raise OSError

    monkeypatch.setattr(canary, "processes", nobody)
    assert canary.Counting().since("shop", CANARY | {"worker": 0, "before": {}, "earlier": {}}) == {}


SERVERS = [
    {"name": f"web{number}-1", "address": f"192.0.2.{number}", "port": 5001, "options": ""} for number in (1, 2, 3)
]
SHOP = {"name": "shop", "servers": SERVERS, "health": "/health", "health_status": "200"}


def found(**changes):
    return {"backends": [SHOP], "canaries": {}, "by_hand": []} | changes


def chosen(*balancers, backends=(SHOP,), app="shop", **asked):
    return canaries.flask_canary(list(backends), app, asked, list(balancers) or [found()])


def test_first_server_is_the_canary_where_nothing_speaks_against_it():
    answer = chosen(weight=10)
    assert answer == {"server": "web1-1", "host": "web1", "number": 1, "running": False, "was": "", "problem": ""}
    assert chosen(found(), found(by_hand=["shop/web1-1"]), weight=10)["server"] == "web2-1"
    spare = SHOP | {"servers": [SERVERS[0] | {"options": " backup"}, *SERVERS[1:]]}
    assert chosen(found(backends=[spare]), backends=[spare], weight=10)["server"] == "web2-1"


def test_one_that_runs_stays_the_canary():
    running = found(canaries={"shop": {"server": "web3-1", "was": "0a1b2c3d4e5f"}})
    answer = chosen(found(), running, weight="20")
    assert (answer["server"], answer["running"], answer["was"], answer["problem"]) == (
        "web3-1",
        True,
        "0a1b2c3d4e5f",
        "",
    )
    assert (
        chosen(running, promote=True)["problem"]
        == chosen(running, abort=True)["problem"]
        == chosen(running)["problem"]
        == ""
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"app": "", "weight": 10}, "app is ''. Fix: -e app=NAME, one of shop."),
        ({"weight": 0}, "weight is 0. Fix: a whole number from 1 to 99"),
        ({"weight": "ten"}, "weight is 'ten'. Fix: a whole number"),
        ({"weight": 10, "abort": True}, "weight and abort are given. Fix: one of them"),
        ({"weight": 10, "limit": "web1"}, "--limit is web1. Fix: leave it out."),
        ({"promote": True}, "shop has no canary. Fix: -e weight=10 begins one"),
        ({"abort": True}, "shop has no canary."),
        ({}, "shop has no canary."),
        ({"weight": 10, "backends": [SHOP | {"servers": SERVERS[:1]}]}, "instances of shop is 1, on one host: a canary"),
        ({"weight": 10, "backends": [SHOP | {"health": "/up"}]}, "health of shop is not what the balancers ask for. Fix:"),
        (
            {"weight": 10, "backends": [SHOP | {"servers": [one | {"port": 6001} for one in SERVERS]}]},
            "no instance of shop is one that every balancer has as the inventory has it. Fix: run flask_haproxy.deploy.site first.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_is_refused(options, words):
    assert words in chosen(**options)["problem"]


def test_balancer_without_the_app_is_told():
    assert (
        "no balancer has shop yet. Fix: run flask_haproxy.deploy.site first."
        in chosen(found(backends=[]), weight=10)["problem"]
    )


@pytest.mark.parametrize(
    ("app", "failed", "trying", "limited", "over"),
    [
        ("", [], False, False, ["shop", "wiki"]),
        ("", ["wiki"], False, False, ["shop"]),
        ("shop", [], False, False, ["shop"]),
        ("shop", ["shop"], False, False, []),
        ("hello", [], False, False, []),
        # Hosts that are left as they are may have instances that are on something else.
        ("", [], False, True, []),
        ("shop", [], True, False, []),
        ("shop", ["shop"], True, False, []),
        # One that could not begin.
        ("hello", ["hello"], True, False, ["hello"]),
        ("hello", [], True, False, []),
    ],
)
def test_canary_is_over_where_all_are_on_one_deployment(app, failed, trying, limited, over):
    running = {"shop": CANARY, "wiki": CANARY}
    assert canaries.flask_canaries_over(running, app, iter(failed), trying, limited) == over


def test_numbers_of_all_balancers_are_side_by_side():
    keys = ("requests", "1xx", "2xx", "3xx", "4xx", "5xx", "other", "failed")
    counts = {
        "web1-1": dict.fromkeys(keys, 0) | {"requests": 10, "2xx": 9, "5xx": 1, "failed": 2},
        "web2-1": dict.fromkeys(keys, 0) | {"requests": 90, "2xx": 90},
    }
    times = {"web1-1": {"mean": 8, "longest": 40}, "web2-1": {"mean": 4, "longest": 9}}
    one = CANARY | {
        "since": "2026-11-26T09:00:00+0000",
        "who": "anna@laptop",
        "real": 10.0,
        "counts": counts,
        "times": times,
    }
    lines = canaries.flask_canary_lines("shop", [{"shop": one}, {"shop": one}, {}])
    assert lines[:2] == [
        "shop: web1-1 is the canary since 2026-11-26 09:00:00, by anna@laptop.",
        "10 % were asked for, its weight gives it 10 %.",
    ]
    assert [line.split() for line in lines[3:]] == [
        ["REQUESTS", "SHARE", "1XX", "2XX", "3XX", "4XX", "5XX", "FAILED", "MEAN", "LONGEST"],
        ["web1-1", "20", "10.0", "%", "0", "18", "0", "0", "2", "4", "8", "ms", "40", "ms"],
        ["the", "others", "180", "90.0", "%", "0", "180", "0", "0", "0", "0", "4", "ms", "9", "ms"],
    ]
    assert canaries.flask_canary_lines("shop", [{}]) == ["shop has no canary."]
