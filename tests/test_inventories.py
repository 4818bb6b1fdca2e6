"""A thousand inventories nobody thought of: refused by preflight, or accepted by HAProxy and served in full."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rendering import render
from tests.test_haproxy_template import servers

SEEN = {"refused": 0, "accepted": 0}


def mostly(good, bad):
    """Return a strategy that gives a bad value now and then, so that whole inventories are of both kinds."""
    return st.sampled_from([good] * 59 + [bad]).flatmap(st.sampled_from)


LINES = st.lists(st.sampled_from(["# nothing", "timeout tunnel 1h", "option abortonclose"]), max_size=2, unique=True)
APP = st.fixed_dictionaries(
    {
        "name": mostly(
            ["hello", "api", "shop-2", "a", "b_c", "default", "http", "stats", "http_front", "x" * 26],
            ["Hello", "x" * 27, "", "app server", "défaut", "a\n", 7],
        ),
        "source": mostly(["files/hello"], ["files/none", ""]),
        "wsgi": mostly(["app:app", "app:hello", "app:hello()"], ["app", "x:y", "app:x", "app:app "]),
        "port": mostly(
            [5001, 5020, 6001, 7001, 9000, 10000, 65500], [80, 0, -1, 8404, 8403, 65535, 65536, 5003, "5001"]
        ),
    },
    optional={
        "instances": mostly([1, 2, 3, 8], [0, -1, 201, "3", True, None]),
        "threads": mostly([1, 4, 64], [0, 1.5, "4"]),
        "health": mostly(
            ["/health", "/", "/a/b%20c", "/~x;y=1,2"], ["/a b", "health", "/x\n", "/{%}", "/#", "/a?b", ""]
        ),
        "hostnames": st.lists(
            mostly(["a.test", "A.test", "b.test", "c"], ["*.test", "", "x y", "é.test", "a.test\n", 7]), max_size=2
        ),
        "path": mostly(["", "/api", "/api/", "/a/b"], ["/", "/a b", "/x{y}", "api", "/%5B/ ", "/x\n"]),
        "egress": mostly(["any", "none"], ["all", None]),
        "environment": st.dictionaries(
            mostly(["A", "b"], ["B C", "PYTHONPATH", "1"]), mostly(["x", ""], [1, None]), max_size=2
        ),
        "haproxy_extra": st.one_of(LINES, LINES, LINES, st.just("option abortonclose")),
        "hosts": mostly(["app_servers"], ["some", "nobody"]),
    },
).flatmap(lambda app: st.sampled_from([app] * 30 + [app | {"colour": "blue"}]))
HOSTS = st.lists(st.sampled_from(["web1", "web2", "web-3", "web.four", "lb1"]), min_size=1, max_size=4, unique=True)
ADDRESSES = mostly(
    ["192.0.2.1", "2001:db8::1", "192.0.2.2"], [None, "127.0.0.1", "fe80::1%eth0", "web1.test", "", 7, "192.0.2.1\n"]
)
BALANCER = st.fixed_dictionaries(
    {},
    optional={
        "haproxy_binds": mostly(
            [["*:80"], ["*:80", ":::80 v6only"], ["127.0.0.1:8000"]], [["*:5003"], [], "*:80", ["*"], [80]]
        ),
        "haproxy_timeout_queue": mostly(["10s", "500ms", "1m"], ["10", 10, "soon", "", "10s\n", "99999999d"]),
        "haproxy_trusted_proxies": mostly(
            [[], ["192.0.2.0/24"], ["2001:db8::/32", "192.0.2.7"]], ["192.0.2.0/24", ["proxy one"]]
        ),
        "haproxy_frontend_extra": mostly([["http-request deny if { path /x }"], []], ["one line", ["a\nb"], [""]]),
    },
)


@given(
    apps=st.lists(APP, min_size=1, max_size=3, unique_by=(lambda app: app["name"], lambda app: app["port"])).flatmap(
        lambda apps: st.sampled_from([apps] * 40 + [None, "hello", {"name": "hello"}, [None], [[]], []])
    ),
    app_servers=HOSTS.flatmap(lambda hosts: st.sampled_from([hosts] * 30 + [[]])),
    some=HOSTS,
    balancers=HOSTS.flatmap(lambda hosts: st.sampled_from([hosts] * 30 + [[]])),
    addresses=st.lists(ADDRESSES, min_size=5, max_size=5),
    balancer=BALANCER,
)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def check(apps_model, flask_problems, parser, apps, app_servers, some, balancers, addresses, balancer):
    groups = {"app_servers": app_servers, "some": some, "load_balancers": balancers}
    names = {*app_servers, *some, *balancers}
    hostvars = {name: {} for name in names}
    for name, address in zip(sorted(names), addresses, strict=False):
        if address is not None:
            hostvars[name]["app_address"] = address
    for name in balancers:
        hostvars[name] |= balancer
    found = flask_problems(apps, groups, hostvars)
    assert all(isinstance(problem, str) and "Fix: " in problem for problem in found), found
    if found:
        SEEN["refused"] += 1
        return
    SEEN["accepted"] += 1
    config = render(apps_model.flask_backends(apps, groups, hostvars), **balancer)
    assert parser.words(config) == "", (config, parser.words(config))
    expected = {
        app["name"]: {
            (f"{host}-{number}", app["port"] + number - 1)
            for host in groups[app.get("hosts", "app_servers")]
            for number in range(1, app.get("instances", 3) + 1)
        }
        for app in apps
    }
    rendered = {
        name: {(server, int(address.rpartition(":")[2])) for server, address in found}
        for name, found in servers(config).items()
    }
    assert rendered == expected


GOOD_APPS = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.just("files/hello"),
            "wsgi": st.just("app:app"),
            "instances": st.integers(1, 20),
            "threads": st.integers(1, 64),
        },
        optional={
            "health": st.sampled_from(["/health", "/", "/a/b%20c", "/a;b=c,d", "/~x"]),
            "hostnames": st.lists(st.sampled_from(["a.test", "b.test", "xn--caf-dma.test"]), max_size=2, unique=True),
            "haproxy_extra": LINES,
        },
    ),
    min_size=1,
    max_size=5,
)


@given(apps=GOOD_APPS, app_servers=HOSTS.filter(bool), balancers=HOSTS.filter(bool), ipv6=st.booleans())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def check_good(apps_model, flask_problems, parser, apps, app_servers, balancers, ipv6):
    for index, app in enumerate(apps):
        app |= {"name": f"app{index}", "port": 10000 + 100 * index, "path": f"/app{index}"}
    names = sorted({*app_servers, *balancers})
    hostvars = {name: {"app_address": f"2001:db8::{n}" if ipv6 else f"192.0.2.{n}"} for n, name in enumerate(names, 1)}
    groups = {"app_servers": app_servers, "load_balancers": balancers}
    assert flask_problems(apps, groups, hostvars) == []
    config = render(apps_model.flask_backends(apps, groups, hostvars))
    assert parser.words(config) == "", (config, parser.words(config))
    assert sum(len(found) for found in servers(config).values()) == sum(app["instances"] for app in apps) * len(
        app_servers
    )
    SEEN["accepted"] += 1


@pytest.mark.long
def test_inventories_are_refused_or_served(apps_model, flask_problems, parser):
    for key in SEEN:
        SEEN[key] = 0
    check(apps_model=apps_model, flask_problems=flask_problems, parser=parser)
    check_good(apps_model=apps_model, flask_problems=flask_problems, parser=parser)
    print(SEEN)
    # Were all of one kind, the other half of the property would have been tested on nothing.
    assert SEEN["refused"] >= 100
    assert SEEN["accepted"] >= 500
    assert sum(SEEN.values()) >= 1000
