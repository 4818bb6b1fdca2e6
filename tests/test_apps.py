"""The model: from what a user writes to what the roles take."""

import pytest

GROUPS = {"app_servers": ["web1"], "load_balancers": ["web1"]}
FLEET = {"app_servers": ["web1", "web2"], "load_balancers": ["lb1", "lb2"]}
ADDRESSES = {"web1": {"app_address": "192.0.2.1"}, "web2": {"app_address": "192.0.2.2"}, "lb1": {}, "lb2": {}}


def app(**more):
    return {"name": "hello", "source": "files/hello", "wsgi": "app:app", "port": 5001} | more


def test_servers_of_several_hosts_alternate(apps_model):
    backend = apps_model.flask_backends([app(instances=2)], FLEET, ADDRESSES)[0]
    assert [(server["name"], server["address"], server["port"]) for server in backend["servers"]] == [
        ("web1-1", "192.0.2.1", 5001),
        ("web2-1", "192.0.2.2", 5001),
        ("web1-2", "192.0.2.1", 5002),
        ("web2-2", "192.0.2.2", 5002),
    ]


def test_app_without_a_server_is_found(apps_model):
    backends = apps_model.flask_backends([app(), app(name="b", port=6001, instances=1)], FLEET, ADDRESSES)
    assert apps_model.flask_all_out(backends, {"b/web1-1": {}, "hello/web1-1": {}, "old/web1-1": {}}) == []
    assert apps_model.flask_all_out(backends, {"b/web1-1": {}, "hello/web1-1": {}, "b/web2-1": {}}) == ["b"]


def test_host_that_is_its_only_balancer_uses_loopback(apps_model):
    assert apps_model.app_address("web1", GROUPS, {"web1": {}}) == "127.0.0.1"
    assert apps_model.app_address("web1", FLEET, {"web1": {}}) is None


@pytest.mark.parametrize(
    ("threads", "balancers", "servers", "grow", "expected"),
    [
        (4, 1, 3, True, (4, 200, 400)),
        (4, 2, 3, True, (2, 200, 400)),
        (5, 2, 1, True, (3, 200, 133)),
        (1, 3, 6, True, (1, 200, 700)),
        (256, 1, 3, True, (256, 256, 512)),
        (4, 1, 3, False, (4, 4, 8)),
        (1, 1, 1, False, (1, 1, 1)),
    ],
)
def test_places_grow_from_the_threads(apps_model, threads, balancers, servers, grow, expected):
    assert tuple(apps_model.balancer_places(threads, balancers, servers, grow).values()) == expected


@pytest.mark.parametrize("threads", [1, 2, 4, 8])
@pytest.mark.parametrize("servers", [1, 2, 3, 6, 20])
def test_a_request_finds_a_place_however_many_are_held(apps_model, threads, servers):
    """As HAProxy counts (srv_dynamic_maxconn): a lone visitor is served beside any number of slow clients."""
    places = apps_model.balancer_places(threads, 1, servers, True)
    for held in range(1, servers * places["maxconn"]):
        each = max(places["minconn"], min(places["maxconn"], held * places["maxconn"] // places["fullconn"]))
        assert each * servers >= held, (held, each)


def test_what_a_server_does_not_do_itself_the_balancer_does(apps_model):
    apps = [app(max_body="1K"), app(name="fast", port=6001, server="granian", max_body="1K")]
    waitress, granian = apps_model.flask_backends(apps, GROUPS, {"web1": {}})
    assert (waitress["max_body"], granian["max_body"]) == (0, 1024)
    assert waitress["places"]["minconn"] < waitress["places"]["maxconn"]
    assert granian["places"]["minconn"] == granian["places"]["maxconn"]


def test_balancers_without_haproxy_are_not_asked(apps_model):
    found = [{"not_there": True}, {"not_there": False}, {}]
    assert apps_model.flask_app_balancers(["new", "old", "unchecked"], found) == ["old", "unchecked"]


def test_source_of_an_app_is_one_for_all_its_hosts(apps_model):
    """Hosts may be from several inventories, in folders of their own."""
    hostvars = {host: one | {"inventory_dir": f"/srv/{host}"} for host, one in ADDRESSES.items()}
    app = {"name": "hello", "source": "../app", "wsgi": "app:app", "port": 5001}
    here = apps_model.flask_apps_here(apps_model.flask_apps_complete([app]), FLEET, hostvars)["hello"]
    assert {one["source_base"] for one in here.values()} == {"/srv/web1"}
