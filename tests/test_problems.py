"""What is refused of an inventory, and how that is said."""

import re
import subprocess

import pytest
from jinja2 import UndefinedError

from tests.conftest import PROJECT, load
from tests.rendering import render

flask_problems = load("plugin_utils/inventory_problems.py").flask_problems
flask_apps_agreed = load("plugin_utils/host_problems.py").flask_apps_agreed
flask_app_allow = load("plugin_utils/apps.py").flask_app_allow
flask_source = load("plugin_utils/sources.py").flask_source
GROUPS = {"app_servers": ["web1"], "load_balancers": ["web1"]}
FLEET = {"app_servers": ["web1", "web2"], "load_balancers": ["lb1", "lb2"]}
ADDRESSES = {"web1": {"app_address": "192.0.2.1"}, "web2": {"app_address": "192.0.2.2"}, "lb1": {}, "lb2": {}}


def app(**more):
    return {"name": "hello", "source": "files/hello", "wsgi": "app:app", "port": 5001} | more


def problems(*apps, groups=GROUPS, hostvars=None):
    return flask_problems(list(apps), groups, hostvars or {"web1": {}})


def test_answer_that_a_reload_would_cut_off_is_refused():
    long = app(answer_timeout=60)
    assert problems(long, hostvars={"web1": {"haproxy_hard_stop_after": "2m"}}) == []
    assert problems(app(answer_timeout=59)) == []
    assert problems(long) == [
        "flask_apps: answer_timeout of hello is 60, and haproxy_hard_stop_after of web1 is '60s': a reload would cut such "
        "an answer off. Fix: haproxy_hard_stop_after: 70s, or a shorter answer_timeout."
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("haproxy_threads", -1, "haproxy_threads is -1. Fix: a whole number from 0."),
        ("haproxy_max_requests_per_source", "many", "is 'many'. Fix: write a whole number."),
        ("haproxy_hard_stop_after", "60", "is '60'. Fix: a number with a unit"),
        (
            "haproxy_timeout_client",
            "30d",
            "is '30d'. Fix: a number with a unit, like 500ms, 30s or 5m, of at most 24 days.",
        ),
        ("haproxy_beside_apps", True, "there is no variable haproxy_beside_apps. Fix: one of"),
        ("haproxy_certificates", "a.pem", "web1: haproxy_certificates is 'a.pem'. Fix: write a list"),
        ("haproxy_certificates", ["a.pem"], "web1: haproxy_certificates has 'a.pem'. Fix: write a mapping."),
        ("haproxy_certificates", [{"cert": "a.pem"}], "has no key 'cert'. Fix: certificate, if that is meant."),
        (
            "haproxy_certificates",
            [{"key": "a.key"}],
            "Fix: `certificate` (and `key`), files on this machine, or `path`",
        ),
        ("haproxy_certificates", [{"path": "a.pem"}], "or `path`, an absolute one on the balancer."),
        ("haproxy_tls", {"profile": "old"}, "web1: haproxy_tls.profile is 'old'. Fix: one of intermediate, modern."),
        ("haproxy_tls", {"hsts": -1}, "web1: haproxy_tls.hsts is -1. Fix: a whole number from 0."),
        ("haproxy_tls", {"binds": ["443"]}, "web1: haproxy_tls.binds has '443'. Fix: address:port, like *:80."),
        ("haproxy_tls", {"binds": []}, "web1: haproxy_tls.binds is []. Fix: at least one"),
        (
            "haproxy_stats_bind",
            "*:80",
            "web1: haproxy_stats_bind has '*:80', and haproxy_binds '*:80', which is the same port. Fix: another one",
        ),
        (
            "haproxy_tls",
            {"binds": ["192.0.2.1:80"]},
            "web1: haproxy_tls.binds has '192.0.2.1:80', and haproxy_binds '*:80', which is the same port.",
        ),
        (
            "haproxy_default_server",
            "inter 1s rise 2\n",
            "haproxy_default_server is 'inter 1s rise 2\\n'. Fix: one line of text; a block of YAML has none at its end with `>-`.",
        ),
        ("haproxy_acme", {"email": "hostmaster"}, "web1: haproxy_acme.email is 'hostmaster'. Fix: an address, like"),
        ("haproxy_acme", {"directory": "acme.test/dir"}, "Fix: a URL that begins with https://."),
        ("haproxy_acme", {"eab_kid": "a"}, "haproxy_acme has eab_kid and no eab_hmac_key. Fix: both of them, or none."),
        ("haproxy_binds", ["*:99999"], "web1: haproxy_binds has '*:99999'. Fix: address:port, like *:80."),
        ("haproxy_binds", ["*:80,*"], "web1: haproxy_binds has '*:80,*'. Fix: address:port, like *:80."),
        ("haproxy_binds", ["*:90-80"], "web1: haproxy_binds has '*:90-80'. Fix: address:port, like *:80."),
        ("haproxy_binds", ["*:0"], "web1: haproxy_binds has '*:0'. Fix: address:port, like *:80."),
        ("haproxy_binds", ["* ssl crt /a:443"], "web1: haproxy_binds has '* ssl crt /a:443'. Fix: address:port"),
        ("haproxy_stats_bind", 8404, "web1: haproxy_stats_bind has '8404'. Fix: address:port, like *:80."),
        (
            "haproxy_frontend_extra",
            ["# ours", "listen smtp"],
            "web1: haproxy_frontend_extra has 'listen smtp', which begins another section. Fix: lines of its own section only; "
            "whole ones are haproxy_extra, a text.",
        ),
        ("haproxy_binds", None, "web1: haproxy_binds is None. Fix: write a list."),
        ("haproxy_binds", 80, "web1: haproxy_binds is 80. Fix: write a list."),
        ("haproxy_tls", "modern", "web1: haproxy_tls is 'modern'. Fix: write a mapping."),
        ("haproxy_tls", None, "web1: haproxy_tls is None. Fix: write a mapping."),
        ("haproxy_tls", {"binds": 443}, "web1: haproxy_tls.binds is 443. Fix: a list of single lines of text."),
        ("haproxy_tls", {"binds": "*:443"}, "web1: haproxy_tls.binds is '*:443'. Fix: a list of single lines of text."),
        ("haproxy_tls", {"binds": [443]}, "web1: haproxy_tls.binds is [443]. Fix: a list of single lines of text."),
        ("haproxy_tls", {"binds": {}}, "web1: haproxy_tls.binds is {}. Fix: write a list."),
    ],
)
def test_variable_of_a_balancer_is_refused(variable, value, message):
    # Ports of the balancer are compared with those of apps where a host is in both groups, which both need.
    issued = {"haproxy_acme": {"email": "a@b.test"}} if variable == "haproxy_tls" else {}
    found = problems(app(), hostvars={"web1": {variable: value} | issued})
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "bind", ["*:5002,*:80", "*:5000-5001", ":5003 v4v6", "${ADDRESS}:5001", "[::]:5003 ssl crt /a"]
)
def test_all_ports_of_a_balancer_are_compared_with_those_of_apps(bind):
    (found,) = problems(app(), hostvars={"web1": {"haproxy_binds": ["*:443", bind]}})
    assert re.match(r"flask_apps: port 500[123] of hello \(5001 to 5003\) is also that of haproxy's frontends", found)


def test_issuer_finds_an_answer_at_every_balancer():
    entry, acme = app(hostnames=["a.test"]), {"haproxy_acme": {"email": "a@b.test"}}
    one = ADDRESSES | {"lb2": acme}
    assert problems(entry, groups=FLEET, hostvars=one) == [
        "haproxy_acme is in the variables of lb2 and not of lb1, which the issuer may ask as well. Fix: the same in those of all "
        "balancers, as in group_vars/load_balancers.yml; or haproxy_acme.hook."
    ]
    assert problems(entry, groups=FLEET, hostvars=one | {"lb1": acme}) == []
    by_dns = {"haproxy_acme": {"email": "a@b.test", "hook": "/usr/local/bin/dns"}}
    assert problems(entry, groups=FLEET, hostvars=ADDRESSES | {"lb2": by_dns}) == []


def test_several_addresses_of_one_frontend_are_no_clash():
    several = {
        "haproxy_binds": ["192.0.2.1:80", ":::80 v6only", "192.0.2.2:80"],
        "haproxy_stats_bind": "127.0.0.1:8404",
    }
    secure = {"haproxy_acme": {"email": "a@b.test"}, "haproxy_tls": {"binds": ["192.0.2.1:443", "192.0.2.2:443"]}}
    apart = {"haproxy_binds": ["192.0.2.1:80"], "haproxy_stats_bind": "127.0.0.1:80"}
    for variables in (several, several | secure, apart):
        assert problems(app(), hostvars={"web1": variables}) == []


def test_good_inventories_have_no_problems():
    assert problems(app()) == []
    assert problems(app(), app(name="api", port=6001, path="/api"), groups=FLEET, hostvars=ADDRESSES) == []
    assert problems(app(wsgi="app:hello", instances=1, environment={"A": "b"}, sandbox={"PrivateUsers": False})) == []
    assert problems(app(environment={"A": "x" * 131069})) == []


REFUSED = {
    "unknown key": ([app(instance=3)], "there is no key 'instance' (value 3). Fix: instances, if that is meant."),
    "no mapping": (["hello"], "is str, not shown. Fix: write a mapping"),
    "empty list": ([], "flask_apps is []. Fix: make it a list"),
    "missing source": ([{k: v for k, v in app().items() if k != "source"}], "source is missing. Fix: add `source: …`"),
    "folder that is not there": (
        [app(source="files/goodbye")],
        "'files/goodbye', seen from the current folder; there is no folder",
    ),
    "duplicate name": ([app(), app(port=6001, path="/b")], "the name 'hello' is used 2 times. Fix: one name an app"),
    "overlapping ports": (
        [app(), app(name="b", port=5003, path="/b")],
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
    "module that is not there": ([app(wsgi="app.main:app")], "has no module app.main. Fix: the module that holds"),
    "callable that is not there": ([app(wsgi="app:application")], "nothing called application is defined in"),
    "health path": ([app(health="health")], "health is 'health'. Fix: a path that begins with /"),
    "path that no request has": (
        [app(path="/a//b")],
        "path is '/a//b'; no request could go there. Fix: single slashes",
    ),
    "path with half an encoding": ([app(path="/100%")], "path is '/100%'; no request could go there"),
    "path of bytes": ([app(path="/%ff")], "path is '/%ff'; no request could go there"),
    "endless answers": ([app(answer_timeout=-1)], "answer_timeout is -1. Fix: a number from 0 to 86400"),
    "host name": ([app(hostnames=["http://a.test"])], "hostnames has 'http://a.test'. Fix: a host name without scheme"),
    "asterisk": ([app(hostnames=["a.*.test"])], "hostnames has 'a.*.test'. Fix: a host name without scheme"),
    "name that could be written in two ways": (
        [app(hostnames=["stra\u00dfe.test"])],
        "Fix: a host name without scheme and port, like www.example.org; this one as xn--…, as the registrar has it.",
    ),
    "canonical": (
        [app(hostnames=["a.test", "*.a.test"], canonical="b.a.test")],
        "canonical is 'b.a.test'. Fix: one of hostnames (a.test).",
    ),
    "password": (
        [app(auth={"anna": "secret"})],
        "auth.anna is no whole hash (value not shown). Fix: all that `openssl passwd -5` prints, which begins with $5$",
    ),
    "salt that crypt does not take": ([app(auth={"anna": "$5$a\\b$" + "a" * 43})], "auth.anna is no whole hash"),
    "part of a password": ([app(auth={"anna": "$5$somesalt$" + "a" * 42})], "auth.anna is no whole hash"),
    "user that is none to YAML": (
        [app(auth={False: "$5$somesalt$" + "a" * 43})],
        "auth has the user False, no text to YAML. Fix: put the name in quotes.",
    ),
    "variable that is none to YAML": (
        [app(environment={True: "x"})],
        "environment has the key True, no text to YAML. Fix: put the name in quotes.",
    ),
    "user": ([app(auth={"an na": "$5$a$b"})], "auth has the user 'an na'. Fix: letters, digits and . _ @ -."),
    "maintenance": ([app(maintenance={"pages": "a"})], "maintenance has no key 'pages'. Fix: page, if that is meant."),
    "rate": ([app(rate_limit="100")], "rate_limit is '100'. Fix: requests/time, like 100/10s"),
    "rate of a month": (
        [app(rate_limit="5/600h")],
        "rate_limit is '5/600h'. Fix: requests/time, like 100/10s or 1000/1m, of at most 24 days.",
    ),
    "tunnel of a month": (
        [app(tunnel_timeout=30 * 86400)],
        "tunnel_timeout is 2592000. Fix: a number from 0 to 2073600.",
    ),
    "mask the other way round": (
        [app(maintenance={"allow": ["192.0.2.0/255.255.255.0", "192.0.2.0/0.0.0.255"]})],
        "maintenance.allow has '192.0.2.0/0.0.0.255'. Fix: an address or a network, like 192.0.2.0/24.",
    ),
    "let through": ([app(maintenance={"allow": ["me"]})], "maintenance.allow has 'me'. Fix: an address or a network"),
    "same name in two ways": (
        [app(hostnames=["b\u00fccher.test"]), app(name="b", port=6001, hostnames=["xn--bcher-kva.TEST."])],
        "hello and b are both to answer 'xn--bcher-kva.test'",
    ),
    "environment value": (
        [app(environment={"A": 1})],
        "environment.A is no text (value not shown). Fix: put it in quotes",
    ),
    "environment value that no process is started with": (
        [app(environment={"A": "x" * 131070})],
        "environment.A takes 131073 bytes, and the kernel starts no process (status=203/EXEC, argument list too long)",
    ),
    "environment that no process is started with": (
        [app(environment={f"A{number}": "x" * 100_000 for number in range(21)})],
        "environment takes 2100263 bytes in all, and the kernel starts no process (status=203/EXEC",
    ),
    "text that no file can hold": (
        [app(environment={"A": "x", "B": "\ud800"})],
        "environment is dict, not shown. Fix: characters that UTF-8 has, not half of a pair (in B).",
    ),
    "command that no file can hold": (
        [app(release_command=["flask db upgrade", "echo \udcff"])],
        "release_command is ['flask db upgrade', 'echo \\udcff']. Fix: characters that UTF-8 has, not half of a pair (in 1).",
    ),
    "range of states that is the wrong way round": (
        [app(health={"path": "/", "status": "200,499-400"})],
        "health.status is '200,499-400'. Fix: a status, a range of them, or several, like 200, 200-299 or 200,302.",
    ),
    "health header of no name": (
        [app(health={"headers": {True: "x"}})],
        "health.headers has True. Fix: the name of a header, like X-Forwarded-Proto.",
    ),
    "health header of a number": (
        [app(health={"path": "/", "headers": {1: "x"}})],
        "health.headers has 1. Fix: the name of a header",
    ),
    "reserved environment": (
        [app(environment={"APP_PORT": "1", "APP_SETTINGS": "mine"})],
        "environment has the key APP_PORT. Fix: another name",
    ),
    "what a process is called": (
        [app(environment={"APP_PROCESS": "mail"})],
        "environment has the key APP_PROCESS. Fix: another name",
    ),
    "setting of a unit that has a key": (
        [app(sandbox={"TimeoutStopSec": 5, "IPAddressDeny": "192.0.2.0/24"})],
        "sandbox has the key TimeoutStopSec, of which more depends than the unit. Fix: the key stop_timeout of the app.",
    ),
    "pattern that leaves out nothing": (
        [app(ignore=["/tests", "./secrets"])],
        "ignore has './secrets', which means no file. Fix: a pattern of gitignore(5), like /tests or *.log.",
    ),
    "pattern that brings back nothing": ([app(ignore=["!"])], "ignore has '!', which means no file."),
    "comment among patterns": ([app(ignore=["# secrets"])], "ignore has '# secrets', which means no file."),
    "same route twice": (
        [app(hostnames=["a.test"]), app(name="b", port=6001, hostnames=["A.test"])],
        "hello and b are both to answer 'a.test'",
    ),
    "same path in two ways": (
        [app(path="/wiki"), app(name="b", port=6001, path="/%77iki/")],
        "hello and b are both to answer '/wiki'",
    ),
    "app that nothing is asked of": (
        [app(hostnames=["a.test"]), app(name="b", port=6001)],
        "flask_apps: b has neither hostnames nor path, and what is meant for no app goes to hello, the first one: b would get "
        "no request. Fix: hostnames or path for b; or its entry as the first one.",
    ),
    "section among the lines of a backend": (
        [app(haproxy_extra=["timeout tunnel 1h", " backend other"])],
        "haproxy_extra has ' backend other', which begins another section. Fix: lines of a backend only; whole sections are the "
        "variable haproxy_extra of the balancers.",
    ),
    "release command": (
        [app(release_command=["flask db upgrade", "echo 'a"])],
        'release_command has "echo \'a". Fix: close',
    ),
    "release commands of numbers": ([app(release_command=[7])], "release_command has 7. Fix: one line of text"),
    "empty release command": ([app(release_command="")], "release_command has ''. Fix: one line of text"),
    "process without command": (
        [app(processes=[{"name": "mail"}])],
        "processes[0].command is missing. Fix: add `command: …`.",
    ),
    "process with an unknown key": (
        [app(processes=[{"name": "mail", "command": "rq worker", "count": 2}])],
        "processes[0] has no key 'count'. Fix: one of command, hosts, instances, name, stop_timeout.",
    ),
    "process that is no mapping": ([app(processes=["rq worker"])], "processes[0] is 'rq worker'. Fix: a mapping"),
    "name of a process": ([app(processes=[{"name": "mail-1", "command": "x"}])], "processes has the name 'mail-1'"),
    "two of a name": (
        [app(processes=[{"name": "a", "command": "x"}], timers=[{"name": "a", "command": "x", "calendar": "03:00"}])],
        "timers has the name 'a' a second time",
    ),
    "calendar": ([app(timers=[{"name": "a", "command": "x", "calendar": "@night"}])], "timers.a.calendar is '@night'"),
    "package": ([app(apt=["libpq5 ffmpeg"])], "apt has 'libpq5 ffmpeg'. Fix: the name of a Debian package"),
    "state outside": ([app(state_paths=["../secrets"])], "state_paths has '../secrets'. Fix: a folder of the source"),
    "state in another state": (
        [app(state_paths=["uploads", "uploads2", "a", "uploads/img/small"])],
        "state_paths has uploads and, in it, uploads/img/small. Fix: leave out the latter; what lies in a folder is kept with it.",
    ),
    "file as state": (
        [app(state_paths=["instance", "requirements.txt"])],
        "state_paths has 'requirements.txt', a file of the source. Fix: a folder, like instance, for it to lie in; the app "
        "finds that at the same path.",
    ),
    "file that is not there yet as state": (
        [app(state_paths=["instance", "db.sqlite3"])],
        "state_paths has 'db.sqlite3', which would be a folder, and is called like a file. Fix: a folder, like instance, for the "
        "file to lie in.",
    ),
    "empty source": ([app(source=" ")], "source is ' '. Fix: a folder or a wheel on this machine, git+URL@REF"),
    "folder of a repository that nobody reads": (
        [app(source="git+https://git.test/shop@v1#subdir=web&egg=x")],
        "source is 'git+https://git.test/shop@v1#subdir=web&egg=x'; 'subdir=web' means nothing there. Fix: #subdirectory=FOLDER, "
        "or nothing after the ref.",
    ),
    "group": ([app(hosts="nobody")], "hosts is 'nobody', a group that is missing. Fix: a group with hosts"),
}


@pytest.mark.parametrize(("apps", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_one_message(apps, message):
    found = problems(*apps)
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"command": ["rq", "worker"]}, "command is ['rq', 'worker']. Fix: write text."),
        ({"command": True}, "command is True. Fix: write text."),
        ({"name": None}, "name is None. Fix: write text."),
        ({True: 1}, "has no key True. Fix: one of calendar, catch_up, command, hosts, name, stop_timeout."),
        ({"stop_timeout": float("inf")}, "stop_timeout is inf. Fix: write a whole number."),
        ({"hosts": "some"}, "hosts is 'some'. Fix: one of all, first."),
        ({"catch_up": "perhaps"}, "catch_up is 'perhaps'. Fix: write true or false."),
        ({"calendar": 750}, "calendar is 750, a number to YAML. Fix: put it in quotes, like '03:00'."),
    ],
)
def test_entry_of_a_timer_is_as_strict_as_that_of_an_app(entry, message):
    (found,) = problems(app(timers=[{"name": "a", "command": "x", "calendar": "03:00"} | entry]))
    assert found.startswith("flask_apps[0] (hello): timers[0]")
    assert message in found


@pytest.mark.parametrize("seconds", [-5, 0, 86401, 10**17])
def test_time_that_a_process_has_to_stop_has_its_range(seconds):
    found = problems(app(processes=[{"name": "a", "command": "x", "stop_timeout": seconds}]))
    assert found == [f"flask_apps[0] (hello): processes.a.stop_timeout is {seconds}. Fix: a number from 1 to 86400."]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("flask db upgrade && flask seed", "&&"),
        ("python manage.py migrate; python manage.py check", "migrate;"),
        ("flask report | mail root", "|"),
        ("rq worker > worker.log", ">"),
        ("rq worker 2>&1", "2>&1"),
        ("rq worker &", "&"),
        ("rq worker --url $REDIS_URL", "$REDIS_URL"),
        ("rq worker --name=w-${HOSTNAME}", "--name=w-${HOSTNAME}"),
        ("flask report $(date)", "$(date)"),
        ("flask report `date`", "`date`"),
    ],
)
def test_what_only_a_shell_understands_is_refused(command, word):
    found = problems(app(release_command=command))
    assert found == [
        f"flask_apps[0] (hello): release_command has {command!r}. Fix: a command without {word}, which a shell alone "
        "understands; `sh -c '…'` is how a shell reads it."
    ]
    (found,) = problems(app(processes=[{"name": "a", "command": f"SECRET=1 {command}"}]))
    assert found.endswith("Fix: `env SECRET=…` before it, or the key environment.")


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'flask db upgrade && flask seed'",
        'sh -c "rq worker --url $REDIS_URL 2>&1 | logger"',
        "env FLASK_DEBUG=1 flask init-db",
        "flask db upgrade\n",
        "flask shell --expression 'a > b; c'",
        r"find . -name x -exec rm {} \;",
        r"grep \$HOME x",
        r"echo it\'s",
        "flask price --currency US$ --below=5",
        "celery -A shop worker -Q a,b -c 4",
    ],
)
def test_command_that_is_as_it_is_read(command):
    assert problems(app(release_command=command)) == []


def test_hashes_that_openssl_prints_are_taken():
    for kind in ("-5", "-6"):
        for salt in ("somesalt", "rounds=1000$somesalt"):
            command = ["openssl", "passwd", kind, "-salt", salt, "secret"]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            assert problems(app(auth={"anna": shown})) == []


def test_all_that_is_wrong_with_several_entries_is_said():
    found = problems(app(processes=[{"name": "a", "command": True}, {"name": "b", "instances": float("inf")}, "c"]))
    assert [one.removeprefix("flask_apps[0] (hello): ") for one in found] == [
        "processes[0].command is True. Fix: write text.",
        "processes[1].instances is inf. Fix: write a whole number.",
        "processes[1].command is missing. Fix: add `command: …`.",
        "processes[2] is 'c'. Fix: a mapping, beginning with `- name: …`.",
    ]
    for text in ("name=a command=x", {"name": "a", "command": "x"}):
        (problem,) = problems(app(processes=text))
        assert problem.endswith("Fix: write a list."), problem


def test_all_that_is_wrong_with_an_entry_is_said_at_once():
    found = problems(
        app(port="x", instnces=3, wsgi="app", health="health", environment={"A": 1}, memory_max="512MB", hosts="nobody")
    )
    keys = ("port", "instnces", "wsgi", "health", "environment.A", "memory_max", "hosts")
    assert [sum(key in problem for problem in found) for key in keys] == [1] * 7, found
    assert len(found) == 7
    assert "there is no key 'instnces' (value 3). Fix: instances, if that is meant." in "\n".join(found)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("env", "environment, if that is meant."),
        ("healthcheck", "health, if that is meant."),
        ("hostname", "hostnames, if that is meant."),
        ("state", "state_paths, if that is meant."),
        ("start", "start_timeout, if that is meant."),
        ("release", "one of release_command, release_timeout."),
    ],
)
def test_key_of_another_tool_has_the_one_that_is_like_it(key, meant):
    assert problems(app(**{key: 3})) == [f"flask_apps[0] (hello): there is no key {key!r} (value 3). Fix: {meant}"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("app_wieght", "app_weight"),
        ("app_adress", "app_address"),
        ("app_backkup", "app_backup"),
        ("number_bas", "number_base"),
        ("flask_aps", "flask_apps"),
    ],
)
def test_variable_of_a_host_that_is_mistyped_is_named(name, meant):
    assert problems(app(), hostvars={"web1": {name: 5}}) == [
        f"web1: there is no variable {name}. Fix: {meant}, if that is meant; else another name."
    ]


def test_what_the_role_takes_is_no_mistyped_variable():
    assert problems(app(), hostvars={"web1": {"flask_app": {}}}) == []


def test_variable_of_ones_own_is_nobody_elses_business():
    names = ("app_address_v6", "my_app_weight", "app_backups", "api_address", "app", "app_version", "number_bases")
    assert problems(app(), hostvars={"web1": dict.fromkeys(names, "hello")}) == []


def test_name_that_is_a_number_is_refused_beside_the_one_of_a_run():
    found = problems(app(name=5), hostvars={"web1": {"app": "x"}})
    assert [one.partition(". Fix")[0] for one in found] == [
        "flask_apps[0]: name is '5'",
        "app is 'x', which no entry of flask_apps is called",
    ]


class Template(dict):
    """A mapping as Ansible gives it, in which `name` has a template that names what nobody defines."""

    def __getitem__(self, key):
        if key == "name":
            raise UndefinedError("'who' is undefined")
        return super().__getitem__(key)


def test_entry_whose_name_nobody_knows_is_looked_at_all_the_same():
    apps = [app(), Template(app(port=80, path="/b"))]
    hostvars = {"web1": {"flask_apps": apps, "app": "other"}}
    assert flask_problems(flask_apps_agreed(GROUPS, hostvars), GROUPS, hostvars, sources=False) == [
        "flask_apps[1].name of web1 cannot be evaluated: 'who' is undefined. Fix: mend its template, or define what it names for "
        "that host.",
        "flask_apps[1]: port is 80. Fix: a number from 1024 to 65535.",
    ]


def test_one_app_alone_may_be_asked_for_nothing():
    """Another repository's may be the first one then, which no list here has."""
    assert problems(app(), app(name="b", port=6001), hostvars={"web1": {"app": "b"}}) == []


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("def make():\n    global app\n    app = 1\nmake()\n", True),
        ("globals()['app'] = 1\n", True),
        ("def __getattr__(name):\n    return 1\n", True),
        ("match 1:\n    case app:\n        pass\n", True),
        ("class A:\n    def __getattr__(self, name):\n        return 1\n", False),
        ("def make():\n    app = 1\n", False),
    ],
)
def test_application_may_be_bound_in_many_ways(tmp_path, text, known):
    (tmp_path / "app.py").write_text(text)
    assert [("nothing called app is defined" in one) for one in problems(app(source=str(tmp_path)))] == [True] * (
        not known
    )


def test_relative_source_starts_at_the_folder_of_the_inventory(tmp_path):
    (tmp_path / "app.py").write_text("app = None\n")
    there = {"web1": {"inventory_dir": str(tmp_path / "deploy")}}
    assert problems(app(source=".."), hostvars=there) == []
    assert flask_source("..", str(tmp_path / "deploy")) == str(tmp_path)
    assert flask_source("/srv/app", str(tmp_path / "deploy")) == "/srv/app"
    found = problems(app(source="../nowhere"), hostvars=there)
    assert found == [
        f"flask_apps[0] (hello): source is '../nowhere', seen from {tmp_path}/deploy; there is no folder {tmp_path}/nowhere. "
        "Fix: a folder or a wheel on this machine, git+URL@REF (with #subdirectory=FOLDER), or a package of the index with "
        "its version, like httpbin==0.10.2."
    ]


def test_environment_values_are_never_shown():
    for bad in (
        {"environment": "s3cr3t"},
        {"environment": {"A": ["s3cr3t"]}},
        {"environmnt": {"A": "s3cr3t"}},
        {"vars": "s3cr3t"},
    ):
        found = problems(app(**bad))
        assert found
        assert not any("s3cr3t" in problem for problem in found)
    mapping = flask_problems(app(environment={"A": "s3cr3t"}), GROUPS, {"web1": {}})
    assert len(mapping) == 1
    assert "s3cr3t" not in mapping[0]


def test_secrets_elsewhere_are_not_shown_either():
    tokens = [app(source=f"git+https://ci:s3cr3t@p@git.example.test/shop@{ref}") for ref in ("v1", "v2")]
    found = agreed({"web1": [tokens[0]], "web2": [tokens[1]], "lb1": [tokens[1]]})[1]
    assert (
        "source of hello is 'git+https://git.example.test/shop@v1', not 'git+https://git.example.test/shop@v2'"
        in found[0]
    )
    found += problems(app(health={"path": "/", "headers": {"Authorization": "Bearer s3cr3t\n"}}))
    for acme in ("eab_hmac_key=s3cr3t", ["s3cr3t"], {"eab_hmac_key": ["s3cr3t"]}, {"eab_hmac": "s3cr3t"}, "s3cr3t"):
        found += problems(app(), hostvars={"web1": {"haproxy_acme": acme}})
    assert len(found) == 7
    assert not [one for one in found if "s3cr3t" in one]


def test_balancers_that_no_egress_would_lock_out_are_named():
    known = ADDRESSES | {"lb1": {"ansible_host": "192.0.2.8"}, "lb2": {"app_address": "192.0.2.9"}}
    assert problems(app(egress="none"), groups=FLEET, hostvars=known) == []
    # The host's own checks come from its own address.
    assert flask_app_allow("web1", FLEET, known) == ["192.0.2.1", "192.0.2.8", "192.0.2.9"]
    found = problems(app(egress="none"), groups=FLEET, hostvars=known | {"lb2": {"ansible_host": "lb2.test"}})
    assert "egress is none, and the balancer lb2 has no address that web1 could let through" in found[0]
    assert flask_app_allow("web1", GROUPS, {"web1": {}}) == []


def test_address_is_asked_for_where_balancers_are_elsewhere():
    found = problems(app(), groups=FLEET, hostvars=ADDRESSES | {"web2": {}})
    assert found == [
        "flask_apps[0] (hello): the host web2 has no app_address, and it is not the only balancer itself. "
        "Fix: app_address: <the address at which balancers reach it> in the variables of web2."
    ]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "fe80::1", "127.0.0.1", "::1"])
def test_address_at_which_no_balancer_would_find_the_host_is_refused(address):
    found = problems(app(), groups=FLEET, hostvars=ADDRESSES | {"web2": {"app_address": address}})
    assert found == [
        f"flask_apps[0] (hello): app_address of web2 is {address}, at which the balancer lb1 cannot reach it. "
        "Fix: the address of web2 that balancers reach."
    ]


def test_loopback_address_is_for_who_balances_alone():
    alone = {"web1": {"app_address": "127.0.0.1"}}
    assert problems(app(), hostvars=alone) == []
    two = {"app_servers": ["web1"], "load_balancers": ["web1", "lb1"]}
    (found,) = problems(app(), groups=two, hostvars=alone | {"lb1": {}})
    assert "app_address of web1 is 127.0.0.1, at which the balancer lb1 cannot reach it." in found


def agreed(lists, groups=FLEET):
    """Return the list that counts, and what is wrong, where hosts have a list of their own."""
    hostvars = {host: one | ({"flask_apps": lists[host]} if host in lists else {}) for host, one in ADDRESSES.items()}
    found = flask_apps_agreed(groups, hostvars)
    return found, flask_problems(found, groups, hostvars)


def test_what_one_host_has_otherwise_is_named():
    odd = app(port=5111, instances=2, environment={"KEY": "s3cr3t"})
    apps, found = agreed({"web1": [odd], "web2": [app()], "lb1": [app()], "lb2": [app()]})
    assert apps == [app()]
    assert len(found) == 1
    assert found[0].startswith(
        "flask_apps of web1 is not that of web2: port of hello is 5111, not 5001; instances of hello is 2, not left out; "
        "environment of hello is dict, not shown, not left out. Fix: one flask_apps for all hosts, in group_vars/all.yml"
    )
    other = [app(environment={"KEY": "another"})]
    found = agreed({"web1": [app(environment={"KEY": "s3cr3t"})], "web2": other, "lb1": other})[1]
    assert "web1 is not that of web2: environment of hello is another one, not shown." in found[0]
    assert (
        "not that of web2: 2 entries against 1 entries."
        in agreed({"web1": [app()] * 2, "web2": other, "lb1": other})[1][0]
    )


def test_host_without_apps_agrees_with_the_others():
    assert agreed({"web1": [app()], "web2": [app()]}) == ([app()], [])
    assert agreed({"lb2": [app()]}) == ([app()], [])
    assert agreed({})[0] == []
    assert flask_apps_agreed({}, {}) == []


@pytest.mark.parametrize(
    "name", ["web#1", "wéb1", "web 1", 'we"b', "we'b", "web/1", "web%1", "-web", "w" * 254, "web,1", "web\n"]
)
def test_name_that_no_server_of_haproxy_can_have_is_refused(name):
    found = problems(app(), groups={"app_servers": [name], "load_balancers": [name]}, hostvars={name: {}})
    assert found == [
        f"the name of the host {name!r} cannot be that of a server of HAProxy. Fix: at most 253 of a-z, A-Z, 0-9, ., _, : and -, "
        "beginning with a letter or a digit; what it is reached at is its ansible_host."
    ]


@pytest.mark.parametrize("name", ["web1", "Web_1.example.org", "2001:db8::1", "192.0.2.1", "w" * 253])
def test_name_that_a_server_of_haproxy_can_have_is_taken_by_its_parser(name, apps_model, parser):
    groups, hostvars = {"app_servers": [name], "load_balancers": [name]}, {name: {}}
    assert problems(app(), groups=groups, hostvars=hostvars) == []
    assert parser.words(render(apps_model.flask_backends([app()], groups, hostvars))) == ""


def test_two_names_of_one_host_are_refused():
    twice = ADDRESSES | {"web2": ADDRESSES["web1"]}
    assert problems(app(), groups=FLEET, hostvars=twice) == [
        "app_address of web2 is 192.0.2.1, which is that of web1. Fix: an address of its own for each host."
    ]
    apart = FLEET | {"first": ["web1"], "second": ["web2"]}
    other = app(name="b", port=6001, hosts="second", path="/b")
    assert problems(app(hosts="first"), other, groups=apart, hostvars=twice) == []


def test_last_app_goes_where_somebody_says_so():
    assert "Where the last app is to go: -e let_go=NAME." in problems()[0]
    assert problems(hostvars={"web1": {"let_go": "hello"}}) == []
    assert flask_problems([], GROUPS, {"web1": {}}, unlisted=True) == []
    (found,) = problems(app(), hostvars={"web1": {"let_go": ["hello"]}})
    assert found == "let_go has 'hello', which is in flask_apps. Fix: take its entry out; or leave hello out of let_go."


def test_app_alone_needs_no_source_of_another():
    other = app(name="b", port=6001, source="files/goodbye", path="/b")
    assert problems(app(), other, hostvars={"web1": {"app": "hello"}}) == []
    for variables in ({}, {"app": "b"}, {"app": ""}):
        assert "there is no folder" in problems(app(), other, hostvars={"web1": variables})[0]


# What -e and an INI file bring is text.
@pytest.mark.parametrize(
    ("variable", "good", "bad", "fix"),
    [
        ("number_base", ["0", 3, "3"], ["-1", "x", True, None, 1.5], "number_base of web1 is"),
        ("lock_wait", ["300", 300], ["soon", "", None, "5m"], "Fix: write a whole number."),
        (
            "lift",
            ["true", "yes", "1", True, "False", "on", 1],
            ["ture", "", None, "maybe"],
            "Fix: write true or false.",
        ),
        ("going_back", ["false", True], ["back"], "Fix: write true or false."),
        ("flask_app_force", ["true", "1"], ["please"], "Fix: write true or false."),
        ("haproxy_takeover", ["true", "yes", "1", True], ["perhaps", None], "Fix: write true or false."),
        ("haproxy_restart", ["true", "yes", "1", True], ["now"], "Fix: write true or false."),
        ("haproxy_threads", ["2", 2, "0"], ["two", "-1", True], "haproxy_threads is"),
        ("app", ["hello", ""], ["hallo"], "app is 'hallo', which no entry of flask_apps is called. Fix: hello, if"),
    ],
)
def test_text_is_taken_as_ansible_takes_it(variable, good, bad, fix):
    for value in good:
        assert problems(app(), hostvars={"web1": {variable: value}}) == [], value
    for value in bad:
        found = problems(app(), hostvars={"web1": {variable: value}})
        assert len(found) == 1, (value, found)
        assert fix in found[0]


def test_numbers_of_an_app_may_be_text():
    keys = load("plugin_utils/roles.py").app_keys()
    numbers = {key: str(spec.get("default", 5001)) for key, spec in keys.items() if spec.get("type") == "int"}
    assert len(numbers) > 5
    assert problems(app(**numbers)) == []
    model = load("plugin_utils/apps.py")
    here = model.flask_apps_here(
        model.flask_apps_complete([app()]), GROUPS, {name: {"number_base": "3"} for name in GROUPS["app_servers"]}
    )
    assert {one["number_base"] for one in here[app()["name"]].values()} == {3}


def test_lists_may_be_text():
    """As `-e` and INI files have them; Ansible would leave the spaces, and split what HAProxy needs whole."""
    model = load("plugin_utils/apps.py")
    line = "http-response set-header Cache-Control no-store,private"
    entry = app(
        hostnames="a.test, b.test", ignore="/tests, *.md", apt="ffmpeg,libpq5", haproxy_extra=f"{line}\n# ours\n"
    )
    assert problems(entry) == []
    (found,) = model.flask_apps_complete([entry])
    assert {key: found[key] for key in ("hostnames", "ignore", "apt", "haproxy_extra")} == {
        "hostnames": ["a.test", "b.test"],
        "ignore": ["/tests", "*.md"],
        "apt": ["ffmpeg", "libpq5"],
        "haproxy_extra": [line, "# ours"],
    }


@pytest.mark.parametrize("key", ["start_timeout", "stop_timeout", "drain_timeout"])
def test_time_that_systemd_would_ignore_or_take_for_ever_is_refused(key):
    # An instance may be stopped without being waited for, but it is not given no time at all.
    least = 0 if key == "drain_timeout" else 1
    assert problems(app(**{key: least})) == problems(app(**{key: 86400})) == []
    for seconds in (-5, least - 1, 86401, 10**17):
        assert problems(app(**{key: seconds})) == [
            f"flask_apps[0] (hello): {key} is {seconds}. Fix: a number from {least} to 86400."
        ]


@pytest.mark.parametrize("size", ["512M", "1.5G", "infinity", "20%", "1048576", ""])
def test_memory_that_systemd_takes(size):
    assert problems(app(memory_max=size)) == []


@pytest.mark.parametrize("size", ["512MB", "0", "-1", "lots", "512 MB", "500", "512m", "1M\n", "120%", "100K", "0.5K"])
def test_memory_that_systemd_would_ignore_is_refused(size):
    found = problems(app(memory_max=size))
    assert len(found) == 1
    assert f"memory_max is {size!r}" in found[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sandbox", {"LimitNOFILE": 65536, "OOMScoreAdjust": 0, "Nice": 1, "PrivateUsers": False}),
        ("apt", ["libpq5:amd64", "postgresql-client=15+*", "libc6:i386=2.36-9+deb12u4"]),
        ("timers", [{"name": "a", "command": "x", "calendar": "03:00 America/North_Dakota/New_Salem"}]),
    ],
)
def test_what_systemd_and_apt_have_is_taken(key, value):
    assert problems(app(**{key: value})) == []


def test_numbers_of_the_sandbox_are_numbers():
    """And not yes and no, to which they are equal in Python."""
    sandbox = {"Nice": 1, "OOMScoreAdjust": 0, "PrivateUsers": False, "ProtectProc": "default", "RemoveIPC": True}
    lines = load("filter/units.py").flask_unit_settings(sandbox, "any", "", [])
    assert lines == ["Nice=1", "OOMScoreAdjust=0", "PrivateUsers=no", "ProtectProc=default", "RemoveIPC=yes"]


def test_what_a_message_advises_is_taken():
    """Each `-e NAME=VALUE` of a message or a page, given as it is written there."""
    files = [
        path for folder in ("plugins", "roles", "playbooks") for path in (PROJECT / folder).rglob("*") if path.is_file()
    ]
    text = "\n".join(
        path.read_text() for path in [*files, PROJECT / "README.md"] if path.suffix in (".py", ".yml", ".md")
    )
    advised = set(re.findall(r"-e (\w+)=(\w+)", text))
    assert {("haproxy_takeover", "true"), ("haproxy_restart", "true"), ("flask_app_force", "true")} <= advised
    # Apps have the names of examples.
    for name, value in {one for one in advised if one[0] != "app"}:
        assert problems(app(), hostvars={"web1": {name: value}}) == [], name


@pytest.mark.parametrize("group", ["app_servers", "load_balancers"])
def test_groups_need_hosts(group):
    for groups in (GROUPS | {group: []}, {name: hosts for name, hosts in GROUPS.items() if name != group}):
        assert any(f"the group {group} is" in problem for problem in problems(app(), groups=groups))
