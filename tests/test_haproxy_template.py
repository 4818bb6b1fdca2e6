"""The template of haproxy.cfg, over a matrix of inventories, by HAProxy's own parser."""

import re

import pytest

from tests.rendering import render

HOSTS = ["web1", "web2", "web3"]


def backends_of(flask_apps, apps, hosts=("web1",), **hostvars):
    groups = {"app_servers": list(hosts), "load_balancers": ["web1"]}
    variables = {host: {"app_address": f"192.0.2.{number}"} | hostvars for number, host in enumerate(hosts, 1)}
    return flask_apps.flask_backends(apps, groups, variables)


def app(name="hello", **more):
    return {"name": name, "source": "files/hello", "wsgi": "app:app", "port": 5001} | more


def servers(config):
    """Return {backend: [(server, address:port), …]} of a configuration."""
    found: dict[str, list[tuple[str, str]]] = {}
    backend = ""
    for line in config.splitlines():
        if match := re.match(r"(backend|frontend) (\S+)$", line):
            backend = match[2]
        elif match := re.match(r"    server (\S+) (\S+) check$", line):
            found.setdefault(backend, []).append((match[1], match[2]))
    return found


MATRIX = {
    "one server": ([app(instances=1)], HOSTS[:1], {}),
    "the seed": ([app()], HOSTS[:1], {}),
    "fifty servers": ([app(instances=25, port=7000)], HOSTS[:2], {}),
    "one on each of three hosts": ([app(instances=1)], HOSTS, {}),
    "several apps": (
        [
            app(),
            app("api", port=6001, path="/api", hostnames=["www.example.org", "example.org"]),
            app("shop", port=7001, path="/shop/"),
            app(
                "admin", port=8001, hostnames=["admin.example.org"], haproxy_extra=["http-request deny if { path /x }"]
            ),
        ],
        HOSTS[:1],
        {},
    ),
    "trusted proxies": ([app()], HOSTS[:1], {"haproxy_trusted_proxies": ["198.51.100.0/24", "2001:db8::/32"]}),
    "IPv6 binds": ([app()], HOSTS[:1], {"haproxy_binds": ["*:80", ":::80 v6only"], "haproxy_stats_bind": "[::1]:8404"}),
    "extras everywhere": (
        [app()],
        HOSTS[:1],
        {
            "haproxy_global_extra": ["maxconn 5000"],
            "haproxy_defaults_extra": ["timeout tunnel 1h"],
            "haproxy_frontend_extra": ["http-request deny if { path_reg ^/secret(/|$) }"],
            "haproxy_extra": "listen other\n    bind 127.0.0.1:8405\n    server one 127.0.0.1:9000",
        },
    ),
}


@pytest.mark.parametrize(("apps", "hosts", "variables"), MATRIX.values(), ids=MATRIX)
def test_parser_accepts(flask_apps, parser, apps, hosts, variables):
    config = render(backends_of(flask_apps, apps, hosts), **variables)
    assert parser.words(config) == "", config


def test_parser_accepts_ipv6_servers(flask_apps, parser):
    config = render(backends_of(flask_apps, [app()], app_address="2001:db8::7"))
    assert servers(config)["hello"][0] == ("web1-1", "[2001:db8::7]:5001")
    assert parser.words(config) == ""


def test_parser_sees_a_warning_as_an_error(flask_apps, parser):
    # If this one passed, none of the others would mean anything.
    config = render(backends_of(flask_apps, [app()]), haproxy_timeout_client="50s\n    option forceclose")
    assert parser.words(config) != ""


def test_seed_is_all_there(flask_apps):
    config = render(backends_of(flask_apps, [app()]))
    for line in (
        "    mode http", "    option httplog", "    option dontlognull", "    timeout connect 5s", "    timeout client 50s",
        "    timeout server 50s", "frontend http_front\n    bind *:80\n", "    default_backend hello", "    balance roundrobin",
    ):  # fmt: skip
        assert line in config
    assert servers(config) == {
        "hello": [("web1-1", "192.0.2.1:5001"), ("web1-2", "192.0.2.1:5002"), ("web1-3", "192.0.2.1:5003")]
    }
    assert config.endswith("\n")
    assert "\n\n\n" not in config


def test_default_backend_is_the_first_app(flask_apps):
    config = render(backends_of(flask_apps, [app("b", port=6001), app("a", hostnames=["a.test"])]))
    assert "    default_backend b\n" in config
    assert "use_backend b " not in config
