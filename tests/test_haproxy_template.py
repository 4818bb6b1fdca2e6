"""The template of haproxy.cfg, over a matrix of inventories, by HAProxy's own parser."""

import re

import pytest

from tests.rendering import render

HOSTS = ["web1", "web2", "web3"]


def backends_of(apps_model, apps, hosts=("web1",), **hostvars):
    groups = {"app_servers": list(hosts), "load_balancers": ["web1"]}
    variables = {host: {"app_address": f"192.0.2.{number}"} | hostvars for number, host in enumerate(hosts, 1)}
    return apps_model.flask_backends(apps, groups, variables)


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
    "what HAProxy does for granian": (
        [app(server="granian", max_body="10M", answer_timeout=30, path="/caf%C3%A9%20'x'", hostnames=["A.test"])],
        HOSTS[:1],
        {},
    ),
    "clients that come back, WebSockets, cold caches, unequal hosts": (
        [app(sticky=True, tunnel_timeout=3600, slow_start=30), app("plain", port=6001)],
        HOSTS,
        {"app_weight": "10", "app_backup": "yes"},
    ),
    "names of all kinds": (
        [
            app(
                hostnames=["a.test", "www.a.test", "*.a.test"], canonical="a.test", auth={"anna": "$5$rounds=1000$s$h"}
            ),
            app("b", port=6001, hostnames=["*.a.test", "B\u00fccher.test."], path="/b", canonical="b\u00fccher.test"),
            app(
                "c",
                port=7001,
                rate_limit="100/10s",
                maintenance={"allow": ["192.0.2.1", "2001:db8::/32"], "retry_after": 60},
            ),
        ],
        HOSTS[:1],
        {},
    ),
    "the longest times": (
        [
            app(
                tunnel_timeout=24 * 86400,
                answer_timeout=86400,
                slow_start=3600,
                rate_limit="1/576h",
                health={"interval": "34560m"},
            )
        ],
        HOSTS[:1],
        {"haproxy_timeout_client": "24d", "haproxy_timeout_queue": "24d", "haproxy_hard_stop_after": "24d"},
    ),
    "more names and addresses than a line has words": (
        [
            app(
                hostnames=[f"{number}.a.test" for number in range(70)] + [f"*.{number}.a.test" for number in range(70)],
                canonical="1.a.test",
                maintenance={"allow": [f"192.0.2.{number}" for number in range(70)]},
            ),
            app("b", port=6001, path="/b", hostnames=[f"{number}.b.test" for number in range(70)]),
        ],
        HOSTS[:1],
        {},
    ),
    "limit for each source": (
        [app()],
        HOSTS[:1],
        {"haproxy_max_requests_per_source": 32, "haproxy_trusted_proxies": ["::ffff:192.0.2.1", "192.0.2.2"]},
    ),
    "threads": ([app()], HOSTS[:1], {"haproxy_threads": 2, "haproxy_global_extra": ["cpu-map auto:1/1-2 0-1"]}),
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
def test_parser_accepts(apps_model, parser, apps, hosts, variables):
    config = render(backends_of(apps_model, apps, hosts, **variables), **variables)
    assert parser.words(config) == "", config


def test_every_one_of_many_names_has_its_route(apps_model):
    names = [f"{number}.b.test" for number in range(70)]
    config = render(backends_of(apps_model, [app(), app("b", port=6001, path="/b", hostnames=names)]))
    routes = [line.partition(" || ") for line in config.splitlines() if line.startswith("    use_backend b if")]
    for of_route in (0, 2):
        assert [name for route in routes for name in re.findall(r"\S+\.b\.test", route[of_route])] == names
    assert max(len(line.split()) for line in config.splitlines() if "use_backend" in line) <= 64


def test_parser_accepts_ipv6_servers(apps_model, parser):
    config = render(backends_of(apps_model, [app()], app_address="2001:db8::7"))
    assert servers(config)["hello"][0] == ("web1-1", "[2001:db8::7]:5001")
    assert parser.words(config) == ""


def test_parser_sees_a_warning_as_an_error(apps_model, parser):
    # If this one passed, none of the others would mean anything.
    config = render(backends_of(apps_model, [app()]), haproxy_timeout_client="50s\n    option forceclose")
    assert parser.words(config) != ""


def test_seed_is_all_there(apps_model):
    config = render(backends_of(apps_model, [app()]))
    for line in (
        "    mode http", "    option httplog", "    option dontlognull", "    timeout connect 5s", "    timeout client 50s",
        "    timeout server 50s", "frontend http_front\n    bind *:80 proto h1\n", "    default_backend hello",
        "    balance roundrobin",
    ):  # fmt: skip
        assert line in config
    assert servers(config) == {
        "hello": [("web1-1", "192.0.2.1:5001"), ("web1-2", "192.0.2.1:5002"), ("web1-3", "192.0.2.1:5003")]
    }
    assert config.endswith("\n")
    assert "\n\n\n" not in config


def test_backend_has_no_empty_lines(apps_model):
    config = render(backends_of(apps_model, [app(auth={"anna": "$5$s$h"}), app("b", port=6001)]))
    blocks = config[config.index("userlist") :].split("\n\n")
    assert [block.split()[0] for block in blocks if block.strip()] == ["userlist", "backend", "backend", "frontend"]


def test_default_backend_is_the_first_app(apps_model):
    config = render(backends_of(apps_model, [app("b", port=6001), app("a", hostnames=["a.test"])]))
    assert "    default_backend b\n" in config
    assert "use_backend b " not in config


def test_without_an_app_nothing_is_there(parser):
    config = render([])
    assert parser.words(config) == "", config
    assert (
        "    default_backend no_app\n\nbackend no_app\n    http-request deny deny_status 404\n\nfrontend stats\n"
        in config
    )


def test_threads_are_limited_beside_apps_only(apps_model):
    backends = backends_of(apps_model, [app()])
    assert "nbthread" not in render(backends)
    assert "    nbthread 1\n" in render(backends, haproxy_beside_apps=True)
    assert "    nbthread 2\n" in render(backends, haproxy_threads=2)


def test_answer_timeout_is_that_of_its_backend(apps_model):
    config = render(backends_of(apps_model, [app(answer_timeout=30), app("b", port=6001)]))
    assert config.count("    timeout server 30s\n") == 1
    assert config.index("backend hello") < config.index("timeout server 30s") < config.index("backend b")


def test_share_of_a_host_is_that_of_its_variables(apps_model):
    groups = {"app_servers": ["web1", "web2"], "load_balancers": ["web1"]}
    variables = {
        "web1": {"app_address": "192.0.2.1", "app_weight": "10"},
        "web2": {"app_address": "192.0.2.2", "app_backup": True},
    }
    config = render(apps_model.flask_backends([app(instances=1)], groups, variables))
    assert "    server web1-1 192.0.2.1:5001 check weight 10\n" in config
    assert "    server web2-1 192.0.2.2:5001 check backup\n" in config
    # Of several, HAProxy would else ask the first only.
    assert config.count("    option allbackups\n") == 1
    assert "allbackups" not in render(backends_of(apps_model, [app()], HOSTS, app_weight=3))
    assert "    cookie " not in config


def test_pages_are_whole(apps_model):
    lines = re.findall(r"http-error status \d+ .*", render(backends_of(apps_model, [app()])))
    assert len(lines) == 11
    assert all(re.search(r"<h1>[^<]+</h1><p>[^<]+\.</p>' hdr", line) for line in lines)


def test_longest_times_that_are_taken_are_taken_by_the_parser(apps_model, flask_problems, parser):
    """HAProxy ends its milliseconds at 31 bits."""
    groups = {"app_servers": ["web1"], "load_balancers": ["web1"]}
    entry = app(tunnel_timeout=24 * 86400, rate_limit="1/576h", health={"path": "/", "interval": "34560m"})
    variables = {"haproxy_timeout_client": "24d", "haproxy_hard_stop_after": "576h", "haproxy_timeout_queue": "24d"}
    assert flask_problems([entry], groups, {"web1": variables}) == []
    assert parser.words(render(backends_of(apps_model, [entry]), **variables)) == ""
    longer = app(tunnel_timeout=25 * 86400, rate_limit="1/577h", health={"path": "/", "interval": "34561m"})
    assert "overflow" in parser.words(render(backends_of(apps_model, [longer]))), "not before the applications run"
    found = flask_problems([longer], groups, {"web1": dict.fromkeys(variables, "25d")})
    assert [one.partition(". Fix: ")[0] for one in found] == [
        "flask_apps[0] (hello): tunnel_timeout is 2160000",
        "flask_apps[0] (hello): health.interval is '34561m'",
        "flask_apps[0] (hello): rate_limit is '1/577h'",
        *(f"web1: {name} is '25d'" for name in variables),
    ]
    assert found[-1].endswith("Fix: a number with a unit, like 500ms, 30s or 5m, of at most 24 days.")


def test_what_is_written_as_text_is_what_it_says(apps_model):
    """From `-e` and INI files, `false` is a text, which is true to a template."""
    said = {"redirect": "false", "hsts": "0"}
    certificate = {"__haproxy_files": {"paths": ["/etc/haproxy/a.pem"]}}
    backends = backends_of(apps_model, [app(sticky=True)])
    config = render(backends, haproxy_tls=said, **certificate)
    assert config == render(backends, haproxy_tls={"redirect": False, "hsts": 0}, **certificate)
    assert "Strict-Transport-Security" not in config
    assert "redirect prefix https" not in config


@pytest.mark.parametrize("form", ["host{}.example.test", "*.host{}.example.test"])
def test_hundreds_of_names_and_addresses_are_taken_by_the_parser(apps_model, flask_problems, parser, form):
    """A line has room for 64 words."""
    names = ["a.test", *(form.format(number) for number in range(200))]
    allow = [f"192.0.2.{number}" for number in range(200)]
    # With the longest conditions that there are.
    entry = app(hostnames=names, canonical="a.test", path="/shop", maintenance={"allow": allow})
    assert flask_problems([entry], {"app_servers": ["web1"], "load_balancers": ["web1"]}, {"web1": {}}) == []
    config = render(backends_of(apps_model, [entry]))
    assert parser.words(config) == ""
    assert all(len(line.split()) <= 64 for line in config.splitlines() if "host" in line or "192.0.2" in line)
    assert all(config.count(re.escape(name).replace("\\*", "[^.]+") if "*" in name else name) for name in names)


def test_largest_numbers_that_are_taken_are_taken_by_the_parser(apps_model, flask_problems, parser):
    groups = {"app_servers": ["web1"], "load_balancers": ["web1"]}
    headers = {f"X-{number}": "a b" for number in range(16)}
    entry = app(server="granian", max_body=f"{2**23 - 1}T", health={"path": "/", "headers": headers})
    assert flask_problems([entry], groups, {"web1": {"haproxy_threads": 64}}) == []
    assert parser.words(render(backends_of(apps_model, [entry]))) == ""
    entry = app(server="granian", max_body=f"{2**23}T", health={"path": "/", "headers": headers | {"X": "y"}})
    assert [
        one.partition(". Fix: ")[0] for one in flask_problems([entry], groups, {"web1": {"haproxy_threads": 65}})
    ] == [
        "flask_apps[0] (hello): health.headers has 17 entries",
        f"flask_apps[0] (hello): max_body is '{2**23}T'",
        "web1: haproxy_threads is 65",
    ]
