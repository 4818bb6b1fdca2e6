"""The data model: from what a user writes to what the roles take, and what is refused on the way."""

import pytest

GROUPS = {"app_servers": ["web1"], "load_balancers": ["web1"]}
FLEET = {"app_servers": ["web1", "web2"], "load_balancers": ["lb1", "lb2"]}
ADDRESSES = {"web1": {"app_address": "192.0.2.1"}, "web2": {"app_address": "192.0.2.2"}, "lb1": {}, "lb2": {}}


def app(**more):
    return {"name": "hello", "source": "files/hello", "wsgi": "app:app", "port": 5001} | more


def problems(flask_apps, *apps, groups=GROUPS, hostvars=None):
    return flask_apps.flask_problems(list(apps), groups, hostvars or {"web1": {}})


def test_servers_of_several_hosts_alternate(flask_apps):
    backend = flask_apps.flask_backends([app(instances=2)], FLEET, ADDRESSES)[0]
    assert [(server["name"], server["address"], server["port"]) for server in backend["servers"]] == [
        ("web1-1", "192.0.2.1", 5001),
        ("web2-1", "192.0.2.2", 5001),
        ("web1-2", "192.0.2.1", 5002),
        ("web2-2", "192.0.2.2", 5002),
    ]


def test_host_that_is_its_only_balancer_uses_loopback(flask_apps):
    assert flask_apps.app_address("web1", GROUPS, {"web1": {}}) == "127.0.0.1"
    assert flask_apps.app_address("web1", FLEET, {"web1": {}}) is None


@pytest.mark.parametrize(("threads", "balancers", "expected"), [(4, 1, 4), (4, 2, 2), (5, 2, 3), (1, 3, 1)])
def test_threads_are_shared_among_the_balancers(flask_apps, threads, balancers, expected):
    assert flask_apps.balancer_maxconn(threads, balancers) == expected


def test_routes_put_the_most_specific_first(flask_apps):
    backends = [
        {"name": "all"},
        {"name": "api", "path": "/api"},
        {"name": "v2", "path": "/api/v2/"},
        {"name": "shop", "hostnames": ["shop.test"]},
        {"name": "cart", "hostnames": ["shop.test"], "path": "/cart"},
    ]
    routes = flask_apps.haproxy_routes(backends)
    assert [route["backend"] for route in routes] == ["cart", "shop", "v2", "api"]
    host = "{ req.hdr(host),field(1,:) -i shop.test }"
    assert routes[0]["condition"] == f"{host} {{ path /cart }} || {host} {{ path_beg /cart/ }}"
    assert routes[3]["condition"] == "{ path /api } || { path_beg /api/ }"


def test_unit_settings(flask_apps):
    lines = flask_apps.flask_unit_settings({"MemoryDenyWriteExecute": False}, "none", "512M", ["192.0.2.9"])
    assert lines == [
        "IPAddressDeny=any",
        "IPAddressAllow=localhost 192.0.2.9",
        "MemoryMax=512M",
        "MemoryDenyWriteExecute=no",
    ]
    assert flask_apps.flask_unit_settings({}, "any", "", []) == []


def test_good_inventories_have_no_problems(flask_apps):
    assert problems(flask_apps, app()) == []
    assert problems(flask_apps, app(), app(name="api", port=6001, path="/api"), groups=FLEET, hostvars=ADDRESSES) == []
    assert (
        problems(
            flask_apps, app(wsgi="app:hello", instances=1, environment={"A": "b"}, sandbox={"PrivateUsers": False})
        )
        == []
    )


REFUSED = {
    "unknown key": ([app(instance=3)], "there is no key 'instance' (value 3). Fix: one of"),
    "no mapping": (["hello"], "is str, not shown. Fix: write a mapping"),
    "empty list": ([], "flask_apps is []. Fix: make it a list"),
    "missing source": ([{k: v for k, v in app().items() if k != "source"}], "source is missing. Fix: add `source: …`"),
    "folder that is not there": ([app(source="files/goodbye")], "source is 'files/goodbye'; there is no folder"),
    "duplicate name": ([app(), app(port=6001)], "the name 'hello' is used 2 times. Fix: one name an app"),
    "overlapping ports": (
        [app(), app(name="b", port=5003)],
        "port 5003 of b (5003 to 5005) is also that of hello. Fix: another port",
    ),
    "stats page's port": ([app(port=8402)], "port 8404 of hello (8402 to 8404) is also that of haproxy's frontends"),
    "low port": ([app(port=80)], "port is 80. Fix: a number from 1024 to 65535"),
    "high port": ([app(port=65534)], "port is 65534; 3 instances would reach beyond 65535"),
    "no instances": ([app(instances=0)], "instances is 0. Fix: a number from 1 to 200"),
    "word for a number": ([app(threads="four")], "threads is 'four'. Fix: write a whole number"),
    "boolean for a number": ([app(threads=True)], "threads is True. Fix: write a whole number"),
    "choice": ([app(egress="some")], "egress is 'some'. Fix: one of any, none"),
    "unit name": ([app(name="Hello World")], "name is 'Hello World'. Fix: at most 26 of a-z"),
    "wsgi without colon": ([app(wsgi="app")], "wsgi is 'app'. Fix: module:callable, like app:app"),
    "module that is not there": ([app(wsgi="main:app")], "has no module main. Fix: the module that holds"),
    "callable that is not there": ([app(wsgi="app:application")], "nothing called application is defined in"),
    "health path": ([app(health="health")], "health is 'health'. Fix: a path that begins with /"),
    "host name": ([app(hostnames=["http://a.test"])], "hostnames has 'http://a.test'. Fix: a host name without scheme"),
    "environment value": (
        [app(environment={"A": 1})],
        "environment.A is no text (value not shown). Fix: put it in quotes",
    ),
    "reserved environment": (
        [app(environment={"GRANIAN_PORT": "1"})],
        "environment has the key GRANIAN_PORT. Fix: another name",
    ),
    "same route twice": (
        [app(hostnames=["a.test"]), app(name="b", port=6001, hostnames=["A.test"])],
        "hello and b are both to answer 'a.test'",
    ),
    "group": ([app(hosts="nobody")], "hosts is 'nobody', a group that is missing. Fix: a group with hosts"),
}


@pytest.mark.parametrize(("apps", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_one_message(flask_apps, apps, message):
    found = problems(flask_apps, *apps)
    assert len(found) == 1, found
    assert message in found[0]


def test_environment_values_are_never_shown(flask_apps):
    for bad in (
        {"environment": "s3cr3t"},
        {"environment": {"A": ["s3cr3t"]}},
        {"environmnt": {"A": "s3cr3t"}},
        {"vars": "s3cr3t"},
    ):
        found = problems(flask_apps, app(**bad))
        assert found
        assert not any("s3cr3t" in problem for problem in found)
    mapping = flask_apps.flask_problems(app(environment={"A": "s3cr3t"}), GROUPS, {"web1": {}})
    assert len(mapping) == 1
    assert "s3cr3t" not in mapping[0]


def test_balancers_that_no_egress_would_lock_out_are_named(flask_apps):
    known = ADDRESSES | {"lb1": {"ansible_host": "192.0.2.8"}, "lb2": {"app_address": "192.0.2.9"}}
    assert problems(flask_apps, app(egress="none"), groups=FLEET, hostvars=known) == []
    # The host's own checks come from its own address.
    assert flask_apps.flask_app_allow("web1", FLEET, known) == ["192.0.2.1", "192.0.2.8", "192.0.2.9"]
    found = problems(
        flask_apps, app(egress="none"), groups=FLEET, hostvars=known | {"lb2": {"ansible_host": "lb2.test"}}
    )
    assert "egress is none, and the balancer lb2 has no address that web1 could let through" in found[0]
    assert flask_apps.flask_app_allow("web1", GROUPS, {"web1": {}}) == []


def test_address_is_asked_for_where_balancers_are_elsewhere(flask_apps):
    found = problems(flask_apps, app(), groups=FLEET, hostvars=ADDRESSES | {"web2": {}})
    assert found == [
        "flask_apps[0] (hello): the host web2 has no app_address, and it is not the only balancer itself. "
        "Fix: app_address: <the address at which balancers reach it> in the variables of web2."
    ]


@pytest.mark.parametrize("group", ["app_servers", "load_balancers"])
def test_groups_need_hosts(flask_apps, group):
    for groups in (GROUPS | {group: []}, {name: hosts for name, hosts in GROUPS.items() if name != group}):
        assert any(f"the group {group} is" in problem for problem in problems(flask_apps, app(), groups=groups))


def test_balancers_without_haproxy_are_not_asked(flask_apps):
    groups = {"load_balancers": ["new", "old", "unchecked"]}
    hostvars = {
        "new": {"__haproxy_check": {"not_there": True}},
        "old": {"__haproxy_check": {"not_there": False}},
        "unchecked": {},
    }
    assert flask_apps.flask_app_balancers(groups, hostvars) == ["old", "unchecked"]
