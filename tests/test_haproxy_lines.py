"""What the role haproxy writes into single lines of its configuration."""

import re

import pytest
import yaml

from tests.conftest import PROJECT


def test_routes_put_the_most_specific_first(haproxy_lines):
    backends = [
        {"name": "all"},
        {"name": "api", "path": "/api"},
        {"name": "v2", "path": "/api/v2/"},
        {"name": "shop", "hostnames": ["Shop.test", "www.shop.test"]},
        {"name": "cart", "hostnames": ["shop.test"], "path": "/cart"},
    ]
    routes = haproxy_lines.haproxy_routes(backends)
    assert [route["backend"] for route in routes] == ["cart", "shop", "v2", "api"]
    host, folder = "{ var(txn.host) -m str shop.test }", "{ var(txn.path) -m"
    assert routes[0]["condition"] == f"{host} {folder} str '/cart' }} || {host} {folder} beg '/cart/' }}"
    assert routes[1]["condition"] == "{ var(txn.host) -m str shop.test www.shop.test }"
    assert routes[3]["condition"] == f"{folder} str '/api' }} || {folder} beg '/api/' }}"


def test_host_name_that_stands_for_many_comes_after_names_and_before_none(haproxy_lines):
    backends = [
        {"name": "folder", "path": "/a"},
        {"name": "many", "hostnames": ["*.shop.test"]},
        {"name": "one", "hostnames": ["a.shop.test", "*.other.test"]},
    ]
    routes = haproxy_lines.haproxy_routes(backends)
    assert [route["backend"] for route in routes] == ["one", "many", "one", "folder"]
    assert routes[1]["condition"] == r"{ var(txn.host) -m reg '^[^.]+\.shop\.test$' }"


def test_aliases_are_all_but_the_canonical_one(haproxy_lines):
    names = ["a.test", "www.a.test", "*.a.test"]
    assert haproxy_lines.haproxy_aliases({"hostnames": names, "canonical": ""}) == []
    assert haproxy_lines.haproxy_aliases({"hostnames": ["a.test"], "canonical": "a.test"}) == []
    assert haproxy_lines.haproxy_aliases({"hostnames": names, "canonical": "www.a.test"}) == [
        "{ var(txn.host) -m str a.test }",
        r"{ var(txn.host) -m reg '^[^.]+\.a\.test$' } !{ var(txn.host) -m str www.a.test }",
    ]


def test_path_of_a_route_is_decoded_and_quoted(haproxy_lines):
    routes = haproxy_lines.haproxy_routes([{"name": "a", "path": "/a%20b%27c"}])
    assert routes[0]["condition"].startswith("{ var(txn.path) -m str '/a b'\\''c' }")


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("*:80", "*:80 proto h1"),
        (":::80 v4v6", ":::80 v4v6 proto h1"),
        ("*:443 ssl crt /etc/site.pem alpn h2", "*:443 ssl crt /etc/site.pem alpn h2"),
        ("*:80 proto h2", "*:80 proto h2"),
    ],
)
def test_plain_bind_speaks_http_1(haproxy_lines, bind, expected):
    assert haproxy_lines.haproxy_binds([bind]) == [expected]


@pytest.mark.parametrize(
    ("threads", "beside_apps", "cores", "expected"),
    [
        (0, True, 1, 1),
        (0, True, 2, 1),
        (0, True, 4, 1),
        (0, True, 16, 4),
        (0, False, 16, 0),
        (3, True, 2, 3),
        (3, False, 2, 3),
    ],
)
def test_threads_follow_what_the_host_does_and_has(haproxy_lines, threads, beside_apps, cores, expected):
    assert haproxy_lines.haproxy_nbthread(threads, beside_apps, cores) == expected


def test_header_names(haproxy_lines):
    names = yaml.safe_load((PROJECT / "roles/haproxy/vars/main.yml").read_text())["__haproxy_dropped_headers"]
    pattern = haproxy_lines.haproxy_header_names(names)
    for name in (
        # The address, the host and the scheme, by the proxies and networks that say them.
        "forwarded", "forwarded-for", "forwarded-host", "forwarded-proto", "x-forwarded-for", "x-forwarded-ssl", "x-forward-for",
        "x-real-ip", "proxy-client-ip", "wl-proxy-client-ip", "cf-connecting-ip", "x-vercel-forwarded-for", "incap-client-ip",
        "x-appengine-user-ip", "cloudfront-viewer-address", "akamai-origin-hop", "x-nf-client-connection-ip", "do-connecting-ip",
        "remote-addr", "remote-host", "x-remote-host", "x-remote-ip", "x-original-proto", "x-original-url",
        "x-original-forwarded-for", "x-proto", "x-protocol", "x-ssl", "proxy",
        # Who is logged in, and the certificate of the client.
        "remote-user", "remote-groups", "remote-name", "remote-email", "x-remote-groups", "client-cert", "client-cert-chain",
        "x-client-dn", "x-client-verify", "x-client-cert", "x-ssl-client-dn", "x-auth-user", "x-auth-username", "x-vouch-user",
        "oidc-claim-sub", "shib-session-id", "x-pomerium-jwt-assertion", "x-amzn-mtls-clientcert",
    ):  # fmt: skip
        assert re.search(pattern, name), name
    for name in (
        "cookie", "authorization", "x-requested-with", "proxy-authorization", "hostile", "x-hosted", "host", "x-auth-token",
        "x-client-version", "x-client-id", "x-protocol-version", "x-csrftoken", "x-http-method-override", "sec-websocket-protocol",
        "cdn-loop", "x-amzn-trace-id", "x-remoteness", "x-api-key",
    ):  # fmt: skip
        assert not re.search(pattern, name), name
    assert haproxy_lines.haproxy_header_names(["A.b", "C-*"]) == r"^(a\.b|c-.*)$"
