"""What is wrong with the variables of a balancer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.access_problems import is_network
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.apps import App, Groups, HostVars
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.binds import begins_section, clashes, has_ports
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.durations import MOST_DAYS, is_duration, seconds
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import balancer_defaults, balancer_options
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.type_problems import (
    HOLD_SECRETS,
    mapping_problems,
    nearest,
    type_problem,
)

# Of one group of threads, which is what HAProxy has by itself.
MOST_THREADS = 64


def balancer_problems(host: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the variables of one balancer: names that the role haproxy does not have, types, values."""
    found = list(_variable_problems(host, variables))
    yield from found or (
        f"{host}: {one}" for one in (*_acme_problems(variables.get("haproxy_acme", {})), *clashes(variables))
    )


def _variable_problems(host: str, variables: Mapping[str, Any]) -> Iterator[str]:
    options = balancer_options()
    for name in variables:
        if not name.startswith("haproxy_"):
            continue
        if name not in options:
            yield f"{host}: there is no variable {name}. Fix: {nearest(name, options, 'haproxy_')}."
            continue
        value = variables[name]
        # The template takes lists as they are; a text, which Ansible would split, is none.
        no_list = not isinstance(value, list) and options[name]["type"] == "list"
        # Of mappings in a list, each has its own message.
        spec = {key: one for key, one in options[name].items() if key != "elements" or one != "dict"}
        if fix := "write a list" if no_list else type_problem(value, spec):
            yield f"{host}: {name} is {'not shown' if name in HOLD_SECRETS else repr(value)}. Fix: {fix}."
        elif "options" in options[name]:
            entries = value if isinstance(value, list) else [value]
            yield from (f"{host}: {one}" for entry in entries for one in mapping_problems(name, entry, options[name]))
        elif isinstance(value, list) and not all(isinstance(line, str) and line and "\n" not in line for line in value):
            yield f"{host}: {name} is {value!r}. Fix: a list of single lines of text."
        elif isinstance(value, list) and (others := [line for line in value if begins_section(line)]):
            yield (
                f"{host}: {name} has {others[0]!r}, which begins another section. Fix: lines of its own section only; "
                "whole ones are haproxy_extra, a text."
            )
        elif options[name]["type"] == "str" and name != "haproxy_extra" and "\n" in str(value):
            yield f"{host}: {name} is {value!r}. Fix: one line of text; a block of YAML has none at its end with `>-`."
        elif options[name]["type"] == "int" and int(value) < 0:
            yield f"{host}: {name} is {value}. Fix: a whole number from 0."
        elif name == "haproxy_threads" and int(value) > MOST_THREADS:
            yield f"{host}: {name} is {value}. Fix: a whole number from 0 to {MOST_THREADS}."
        elif (name.startswith("haproxy_timeout_") or name == "haproxy_hard_stop_after") and not is_duration(str(value)):
            yield f"{host}: {name} is {value!r}. Fix: a number with a unit, like 500ms, 30s or 5m, of at most {MOST_DAYS} days."
    yield from (f"{host}: {one}" for one in _certificate_problems(variables.get("haproxy_certificates")))
    proxies = variables.get("haproxy_trusted_proxies", [])
    for network in proxies if isinstance(proxies, list) else []:
        if not is_network(network):
            yield f"{host}: haproxy_trusted_proxies has {network!r}. Fix: an address or a network, like 192.0.2.0/24."
    yield from (f"{host}: {one}" for one in _bind_problems(variables))


def _acme_problems(acme: Mapping[str, Any]) -> Iterator[str]:
    """Yield what certbot would refuse once the applications run."""
    if acme.get("email") and not re.fullmatch(r"[^@\s]+@[^@\s]+", acme["email"]):
        yield f"haproxy_acme.email is {acme['email']!r}. Fix: an address, like hostmaster@example.org; or leave it out."
    if acme.get("directory") and not re.fullmatch(r"https?://\S+", acme["directory"]):
        yield f"haproxy_acme.directory is {acme['directory']!r}. Fix: a URL that begins with https://."
    for one, other in (("eab_kid", "eab_hmac_key"), ("eab_hmac_key", "eab_kid"), ("cleanup_hook", "hook")):
        if acme.get(one) and not acme.get(other):
            yield f"haproxy_acme has {one} and no {other}. Fix: both of them, or none."


def _bind_problems(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses without a port. What is of another type than Ansible takes was said before."""
    tls, stats = variables.get("haproxy_tls"), variables.get("haproxy_stats_bind")
    of_tls = tls.get("binds") if isinstance(tls, dict) else None
    # Ansible makes a list of one text or number; the template takes lists as they are.
    of_one = isinstance(of_tls, (str, int, float)) and not isinstance(of_tls, bool)
    if of_one or (isinstance(of_tls, list) and not all(isinstance(bind, str) for bind in of_tls)):
        yield f"haproxy_tls.binds is {of_tls!r}. Fix: a list of single lines of text."
    # A port alone is a number.
    is_bind = isinstance(stats, (str, int)) and not isinstance(stats, bool)
    for name, binds in {
        "haproxy_binds": variables.get("haproxy_binds"),
        "haproxy_tls.binds": of_tls,
        "haproxy_stats_bind": [str(stats)] if is_bind else None,
    }.items():
        for bind in binds if isinstance(binds, list) else []:
            if isinstance(bind, str) and not has_ports(bind):
                yield f"{name} has {bind!r}. Fix: address:port, like *:80."
        if binds == []:
            yield f"{name} is []. Fix: at least one, like *:80."


def _certificate_problems(entries: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield what is wrong with `haproxy_certificates` before its files are looked at."""
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.keys() <= {"certificate", "key", "path"} and not _names_one(entry):
            yield (
                f"haproxy_certificates has {entry!r}. "
                "Fix: `certificate` (and `key`), files on this machine, or `path`, an absolute one on the balancer."
            )


def _names_one(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry of `haproxy_certificates` names files here, or one on the balancer, in a way HAProxy can read."""
    if "path" in entry:
        return set(entry) == {"path"} and bool(re.fullmatch(r"/[^\s'\"\\#$]*", str(entry["path"])))
    return bool(entry.get("certificate"))


def issuer_problems(groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield the balancers that would have no answer for an issuer of certificates, who may ask any of those of a name."""
    acme = {host: hostvars[host].get("haproxy_acme") or {} for host in groups.get("load_balancers", [])}
    for host in (one for one, its in acme.items() if not its):
        asking = [one for one, its in acme.items() if isinstance(its, dict) and its and not its.get("hook")]
        if asking:
            yield (
                f"haproxy_acme is in the variables of {asking[0]} and not of {host}, which the issuer may ask as well. "
                "Fix: the same in those of all balancers, as in group_vars/load_balancers.yml; or haproxy_acme.hook."
            )


def answer_problems(apps: Sequence[App], groups: Groups, hostvars: HostVars) -> Iterator[str]:
    """Yield the balancers whose old worker may end, after a reload, before an answer that a complete app may take long for."""
    for host in groups.get("load_balancers", []):
        stop = str(hostvars[host].get("haproxy_hard_stop_after", balancer_defaults()["haproxy_hard_stop_after"]))
        for app in apps:
            if is_duration(stop) and seconds(stop) <= app["answer_timeout"]:
                yield (
                    f"flask_apps: answer_timeout of {app['name']} is {app['answer_timeout']}, and haproxy_hard_stop_after of "
                    f"{host} is {stop!r}: a reload would cut such an answer off. "
                    f"Fix: haproxy_hard_stop_after: {app['answer_timeout'] + 10}s, or a shorter answer_timeout."
                )
