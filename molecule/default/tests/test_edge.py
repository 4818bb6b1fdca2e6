"""The balancer's edge, over the wire: what is a request, whose it is, what an app gets to see, and what never gets there."""

import json
import time

import pytest

from tests.support import address_of, apps, ask, converge, eventually, hosts_of, playbook, refused, variables

WEB = hosts_of("app_servers")[0]
CLIENT = hosts_of("clients")[0]

# Runs on the client host: requests as they are, each on a connection of its own, all of one list at once or in turn.
RAW = """
import concurrent.futures, json, socket, sys, time
host, port, at_once, requests = json.loads(sys.argv[1])
def send(text):
    began, events, answer, broken = time.monotonic(), [], b"", ""
    with socket.create_connection((host, port), timeout=20) as connection:
        try:
            connection.sendall(text["head"].encode("latin-1"))
            for _ in range(text.get("blocks", 0)):
                connection.sendall(bytes(10000))
        except OSError as error:
            broken = type(error).__name__
        try:
            while data := connection.recv(65536):
                answer += data
                events.append(time.monotonic() - began)
        except OSError as error:
            broken = broken or type(error).__name__
    head, _, body = answer.partition(b"\\r\\n\\r\\n")
    first, *lines = head.decode("latin-1").split("\\r\\n")
    return {
        "status": int(first.split()[1]) if first else 0, "body": body.decode("latin-1"), "broken": broken, "events": events,
        "headers": {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)},
    }
with concurrent.futures.ThreadPoolExecutor(len(requests) if at_once else 1) as pool:
    print(json.dumps(list(pool.map(send, requests))))
"""


def send(web_client, *requests, port=80, at_once=False, of=None):
    """Send raw requests (text, or {head, blocks of 10,000 bytes}) from a host and return what came of each."""
    texts = [{"head": one} if isinstance(one, str) else one for one in requests]
    done = web_client.run("python3 -c %s %s", RAW, json.dumps([of or address_of(WEB), port, at_once, texts]))
    assert done.rc == 0, done.stderr
    return json.loads(done.stdout)


def get(target="/", *headers, method="GET", version="HTTP/1.1", host="probe.test"):
    """Return the text of a request; `host` None leaves the header out."""
    lines = [f"{method} {target} {version}", *([f"Host: {host}"] if host is not None else []), *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""])


def seen_by(answer):
    """Return {name: value} of the headers that the probe saw."""
    assert answer["status"] == 200, answer
    return dict(json.loads(answer["body"])["headers"])


# Host header: who answers, or the status.
HOSTS = {
    "probe.test": "probe", "PROBE.test:80": "probe", "probe.test.": "probe", "probe.test.:80": "probe", "probe.test:": "probe",
    "other.test": "hello", "192.0.2.1:8080": "hello", "[2001:db8::1]:80": "hello", "under_score.test": "hello",
    "probe.test, other.test": 400, "other.test, probe.test": 400, "probe.test other.test": 400, "probe.test/": 400,
    "user@probe.test": 400, "'probe.test'": 400, '"probe.test"': 400, "probe.test..": 400, ".probe.test": 400, "": 400,
    "probe.test:http": 400, "probe.test:80:80": 400, "[2001:db8::1": 400, "prob\xe9.test": 400, "probe.test\\": 400,
    "probe.test\r\nHost: other.test": 400,
}  # fmt: skip


def test_host_is_one_name_or_none_at_all(client):
    answers = send(client, *(get(host=host) for host in HOSTS))
    found = {
        host: answer["status"] if answer["status"] != 200 else "probe" if "x-instance" in answer["headers"] else "hello"
        for host, answer in zip(HOSTS, answers, strict=True)
    }
    assert found == HOSTS


def test_host_may_be_missing_in_http_1_0_only(client):
    old, new = send(client, get(version="HTTP/1.0", host=None), get(host=None))
    assert (old["status"], new["status"]) == (200, 400)


@pytest.mark.parametrize("method", ["TRACE", "trace", "TRACK", "CONNECT"])
def test_method_that_is_no_business_of_an_app(client, method):
    answer = send(client, get("probe.test:80" if method == "CONNECT" else "/", "Cookie: a=b", method=method))[0]
    assert answer["status"] == 405
    assert "GET" in answer["headers"]["allow"]
    assert "x-instance" not in answer["headers"]


def test_methods_of_web_dav_reach_the_app(client):
    # The probe has no such method, and says so itself.
    answer = send(client, get(method="PROPFIND"))[0]
    assert (answer["status"], "x-instance" in answer["headers"]) == (405, True)


def test_http_2_is_not_spoken_without_tls(client):
    preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\0\0\0\4\0\0\0\0\0"
    upgrade = get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    first, second = send(client, preface, upgrade)
    assert first["status"] == 400
    assert second["status"] == 200


FORGED = [
    "Forwarded", "X-Forwarded-For", "X-FORWARDED-HOST", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
    "X-Forwarded-Ssl", "X-Forwarded", "X-Real-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Client-IP",
    "CF-Connecting-IP", "Fastly-Client-IP", "X-Original-Forwarded-For", "X-Original-URL", "X-Rewrite-URL", "X-Original-Host",
    "X-Host", "X-Script-Name", "X-Scheme", "X-Url-Scheme", "Front-End-Https", "Remote-User", "X-Remote-User", "X-SSL-Client-DN",
    "Forwarded-For", "X-Forward-For", "Proxy-Client-IP", "Remote-Groups", "X-Remote-Host", "Client-Cert", "X-Client-DN",
    "X-Auth-User", "OIDC-Claim-Sub", "X-Original-Proto", "X-Proto", "X-SSL", "CloudFront-Viewer-Address",
    "SSL-Client-Cert", "Proxy", "X-Auth-Request-Email", "X_Real_IP", "X_Forwarded_For", "Remote_User", "X.Forwarded.For",
]  # fmt: skip


def test_nothing_that_only_a_proxy_may_say_gets_through(client):
    honest = ["Cookie: a=b", "Authorization: Basic YTpi", "X-Requested-With: fetch", "If-None-Match: x"]
    answer = send(client, get("/", *honest, *(f"{name}: forged.test" for name in FORGED)))[0]
    seen = seen_by(answer)
    assert [name for name, value in seen.items() if "forged" in value] == []
    assert seen["x-forwarded-for"] == address_of(CLIENT)
    assert {name: seen[name] for name in ("cookie", "authorization", "x-requested-with", "if-none-match")} == {
        "cookie": "a=b", "authorization": "Basic YTpi", "x-requested-with": "fetch", "if-none-match": "x"
    }  # fmt: skip


def test_no_answer_names_the_software(client):
    answers = send(client, get(), get(host="other.test"), get(method="TRACE"), get(host="a b"), "nonsense\r\n\r\n")
    for answer in answers:
        assert answer["status"]
        assert "server" not in answer["headers"]
        assert "haproxy" not in (answer["body"] + str(answer["headers"])).lower()


def test_pages_are_worth_showing(web, client):
    # What is no HTTP, or cut off within its head, gets HAProxy's own words, which nothing can change.
    half = get("/received", "Content-Length: 10", method="POST") + "half"
    bad, method, slow = send(client, get(host="probe..test"), get(method="TRACE"), half, at_once=True)
    for port in (6001, 6002, 6003):
        web.check_output("curl --silent --fail -X POST http://127.0.0.1:%s/health/500", str(port))
    try:
        down = eventually(lambda: (one := send(client, get())[0])["status"] == 503 and one, what="503")
    finally:
        for port in (6001, 6002, 6003):
            web.check_output("curl --silent --fail -X POST http://127.0.0.1:%s/health/200", str(port))
    eventually(lambda: {one["status"] for one in send(client, *[get()] * 6)} == {200}, what="all back")
    assert [one["status"] for one in (bad, method, slow, down)] == [400, 405, 408, 503]
    assert down["headers"]["retry-after"] == "5"
    for answer in (bad, method, slow, down):
        assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
        assert answer["headers"]["cache-control"] == "no-store"
        assert "<h1>" in answer["body"]
        assert "ry again" in answer["body"] or "Go back" in answer["body"]


def test_events_arrive_when_they_are_sent(client, record_property):
    """Held back until more comes, they are 200 ms late, each time; a busy machine is so now and then."""

    def in_time():
        arrived = send(client, get("/apart/3"))[0]["events"]
        found = all(any(due <= seconds < due + 0.12 for seconds in arrived) for due in (0.0, 0.5, 1.0))
        return arrived if found else None

    arrived = eventually(in_time, within=60, what="events that arrive when they are sent")
    record_property("events arrived after seconds", ", ".join(f"{seconds:.3f}" for seconds in arrived))


def test_too_large_an_upload_is_told_so(client):
    # The client reads when it has sent all, as many do.
    upload = get("/received", "Content-Length: 3000000", method="POST")
    answers = send(client, *[{"head": upload, "blocks": 300}] * 60)
    assert [(answer["status"], answer["broken"]) for answer in answers] == [(413, "")] * 60


def test_early_answer_to_a_large_upload_arrives(client):
    # The probe answers POST on / with 405 and reads nothing.
    upload = get("/", "Content-Length: 1000000", method="POST")
    answers = send(client, *[{"head": upload, "blocks": 100}] * 60)
    assert [(answer["status"], answer["broken"]) for answer in answers] == [(405, "")] * 60


@pytest.mark.parametrize(("size", "status"), [("1000", 204), ("1000000", 204), ("3000000", 413)])
def test_client_that_waits_for_100_continue(client, size, status):
    command = (
        "head -c %s /dev/zero | curl --silent --output /dev/null --write-out '%%{http_code} %%{time_total}' -H 'Host: probe.test'"
        " -H 'Expect: 100-continue' --expect100-timeout 8 --data-binary @- http://%s/received"
    )
    found, seconds = client.check_output(command, size, address_of(WEB)).split()
    assert int(found) == status
    # It was told to go on, and did not wait until it lost patience.
    assert float(seconds) < 4


def answers_of(host):
    """Return what HAProxy says of itself (`show info`)."""
    ask_it = "import socket\ns=socket.socket(socket.AF_UNIX)\ns.connect('/run/haproxy/admin.sock')\ns.send(b'show info\\n')\n"
    shown = host.check_output("python3 -c %s", ask_it + "while d:=s.recv(9999): print(d.decode(), end='')")
    return dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)


def test_threads_leave_the_processors_to_the_apps(web):
    assert answers_of(web)["Nbthread"] == str(max(1, int(web.check_output("nproc")) // 4))


# Runs on the client host: 3,000 requests a second, which HAProxy answers by itself.
FLOOD = """
import socket, sys, time
began, host, mark, many = time.monotonic(), sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.create_connection((host, 80), timeout=60) as connection:
    for block in range(many // 50):
        time.sleep(max(0, began + block / 60 - time.monotonic()))
        connection.sendall(f"GET /teapot-1?{mark} HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n".encode() * 50)
        answers = b""
        while answers.count(b"HTTP/1.1 418") < 50:
            answers += connection.recv(65536)
"""


# A machine that is too busy for the flood loses lines as well; by chance it is not so twice.
@pytest.mark.flaky(reruns=1)
@pytest.mark.long
def test_every_request_has_its_line_in_the_access_log(web, client, record_property):
    # More than journald takes from a service in 30 seconds by default, which is up to 60,000 on a large disk.
    many, mark, since = 65000, f"mark{time.time_ns()}", web.check_output("date +%s")
    dropped, began = int(answers_of(web)["DroppedLogs"]), time.monotonic()
    client.check_output("python3 -c %s %s %s %s", FLOOD, address_of(WEB), mark, str(many))
    record_property("access lines a second", round(many / (time.monotonic() - began)))

    def lines():
        # grep ends with 1 where it finds nothing.
        shown = web.run("journalctl --unit=haproxy.service --output=cat --since=@%s | grep --count %s", since, mark)
        return int(shown.stdout)

    eventually(lambda: lines() == many, what=f"{many} lines")
    assert int(answers_of(web)["DroppedLogs"]) == dropped


@pytest.fixture
def two_nodes(web):
    """Have HAProxy's unit see a machine with two NUMA nodes, and its configuration leave the threads to HAProxy."""
    web.check_output(
        "mkdir -p /root/nodes/node0 /root/nodes/node1 /etc/systemd/system/haproxy.service.d"
        " && echo 0 > /root/nodes/node0/cpulist && echo 1 > /root/nodes/node1/cpulist"
        " && echo 1 > /root/nodes/node0/cpumap && echo 2 > /root/nodes/node1/cpumap"
        " && echo 0-1 | tee /root/nodes/online /root/nodes/possible > /root/nodes/has_cpu"
        " && cp -p /etc/haproxy/haproxy.cfg /root/haproxy.cfg && sed -i '/nbthread/d' /etc/haproxy/haproxy.cfg"
        " && printf '[Service]\\nBindReadOnlyPaths=/root/nodes:/sys/devices/system/node\\n'"
        " > /etc/systemd/system/haproxy.service.d/nodes.conf && systemctl daemon-reload"
    )
    yield
    web.check_output(
        "cp -p /root/haproxy.cfg /etc/haproxy/haproxy.cfg && rm /etc/systemd/system/haproxy.service.d/nodes.conf"
        " && systemctl daemon-reload && systemctl restart haproxy.service"
    )


@pytest.mark.usefixtures("two_nodes")
def test_starts_and_reloads_on_a_machine_with_two_nodes(web):
    restarts = web.check_output("systemctl show --property=NRestarts --value haproxy.service")
    for verb in ("restart", "reload"):
        web.check_output("systemctl %s haproxy.service", verb)
        eventually(lambda: {one["status"] for one in ask(3, of=WEB)} == {200}, what=f"answers after {verb}")
    # What HAProxy saw of the machine: it keeps to the first node.
    assert answers_of(web)["Nbthread"] == "1"
    assert web.check_output("systemctl show --property=NRestarts --value haproxy.service") == restarts


def test_what_the_sandbox_forbids_is_refused_before_it_is_live(web):
    web.check_output("echo 192.0.2.1 > /home/admin/addresses")
    before = web.check_output("sha256sum /etc/haproxy/haproxy.cfg")
    done = playbook(*variables(haproxy_frontend_extra=["http-request deny if { src -f /home/admin/addresses }"]))
    refused(done, "HAProxy does not accept the configuration", "/home/admin/addresses")
    assert web.check_output("sha256sum /etc/haproxy/haproxy.cfg") == before


@pytest.fixture(scope="class")
def other_settings():
    """Give the balancer what the inventory leaves at its defaults."""
    found = apps()
    found[1] = found[1] | {"hostnames": [], "path": "/api", "answer_timeout": 2}
    own = "http-request return status 418 if { path_reg ^/teapot-[0-9]+$ }"
    converge(
        *variables(
            flask_apps=found,
            haproxy_binds=["*:80", ":::8081 v4v6"],
            haproxy_trusted_proxies=[address_of(CLIENT)],
            haproxy_max_requests_per_source=4,
            haproxy_global_extra=["cpu-map auto:1/1 0"],
            haproxy_frontend_extra=[own],
        )
    )
    yield
    converge()


# Target: who answers, and the path that it sees.
PATHS = {
    "/api": "/api", "/api/x": "/api/x", "//api/x": "/api/x", "///api": "/api", "/%61pi/x": "/api/x", "/api%2fx": "/api/x",
    "/%2fapi/x": "/api/x", "//%2Fapi": "/api", "/api?a=/b": "/api", "/api/../x": "/api/../x", "/api/%2e%2e/x": "/api/../x",
    "http://any.test/api/x": "/api/x", "http://any.test//api/x": "/api/x", "/api/a+b": "/api/a%2Bb", "/api/%25": "/api/%25",
    "/api/caf%C3%A9": "/api/caf%C3%A9",
    "/": "", "/apix": "", "/API": "", "/api;x": "", "/%2561pi/x": "", "/x/../api": "", "/./api": "", "/?/api": "",
    "/api%20": "", "/%5Capi": "", "/x?a=%zz": "",
    "api/x": 400, "*": 400, "/api#x": 400, "/#/api": 400, "/api%00": 400, "/%00/api": 400, "/%zz/api": 400, "/api/%": 400,
    "ftp://any.test/api": 400, "\\api": 400, "http://other.test/api": 400, "?/api": 400,
}  # fmt: skip


@pytest.mark.usefixtures("other_settings")
class TestOtherSettings:
    """What the inventory of the scenario leaves at its defaults."""

    def test_route_is_that_of_the_path_that_the_app_sees(self, client):
        answers = send(client, *(get(target, host="any.test") for target in PATHS))
        found = {
            target: 400 if answer["status"] == 400 else answer["headers"].get("x-path", "")
            for target, answer in zip(PATHS, answers, strict=True)
        }
        assert found == PATHS

    @pytest.mark.parametrize("port", [80, 8081])
    def test_proxy_that_is_trusted_is_believed_and_helped_out(self, client, port):
        said = [
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Host: site.test",
            "X-Forwarded-Proto: https",
            "X-Request-ID: one",
        ]
        loud, silent = map(seen_by, send(client, get("/api/", *said), get("/api/"), port=port))
        told = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id")
        assert [loud[name] for name in told] == ["192.0.2.7", "site.test", "https", "one"]
        assert [silent[name] for name in told[:3]] == [address_of(CLIENT), "probe.test", "http"]
        assert len(silent["x-request-id"]) == 36

    def test_address_is_the_same_over_an_ipv6_socket(self, web):
        # Not a trusted proxy.
        seen = seen_by(send(web, get("/api/", "X-Forwarded-For: 192.0.2.7"), port=8081)[0])
        assert seen["x-forwarded-for"] == address_of(WEB)

    def test_answer_has_the_time_that_the_app_gives_it(self, client):
        short, long = send(client, get("/api/sleep/0.5"), get("/api/sleep/5.0"), at_once=True)
        assert short["status"] != 504
        assert long["status"] == 504
        assert 1.9 < long["events"][0] < 3.5
        assert "No answer in time" in long["body"]

    def test_one_source_has_so_many_requests_under_way(self, web, client):
        slow = [get("/api/sleep/1.0")] * 8
        own = send(web, *slow, at_once=True)
        assert [answer["status"] for answer in own].count(429) == 4
        assert {answer["headers"].get("retry-after") for answer in own if answer["status"] == 429} == {"5"}
        # A trusted proxy speaks for many.
        assert 429 not in [answer["status"] for answer in send(client, *slow, at_once=True)]

    @pytest.mark.long
    def test_processors_may_be_chosen(self, web):
        web.check_output("systemctl restart haproxy.service")
        eventually(lambda: {one["status"] for one in ask(3, of=WEB)} == {200}, what="answers")
        worker = web.check_output("pgrep --parent $(systemctl show --property=MainPID --value haproxy.service)")
        assert "Cpus_allowed_list:\t0\n" in web.check_output("cat /proc/%s/task/*/status", worker.split()[0])
