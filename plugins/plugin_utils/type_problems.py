"""What is wrong with the keys and the types of a mapping that argument specs describe, and how that is said."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.git import without_secrets
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.roles import app_keys

WORDS = {
    "str": "text",
    "int": "a whole number",
    "bool": "true or false",
    "dict": "a mapping",
    "list": "a list",
    "raw": "text, or a list of texts",
}
# Mappings of a balancer, with a key of somebody's account among them.
HOLD_SECRETS = ("haproxy_acme",)
# Letters that a name has to have for another to be thought of because of its beginning.
LEAST = 3
HALF = re.compile("[\ud800-\udfff]")


def type_problem(value: Any, spec: Mapping[str, Any]) -> str:  # noqa: ANN401
    """Return how a value that Ansible does not take for an option is mended; empty for one that it takes.

    What comes from `-e` or an INI file is text, which Ansible's own types are made from.
    """
    kind = spec.get("type", "str")
    options = {name: spec[name] for name in ("type", "elements", "choices") if name in spec}
    if half := next(_halves(value), ""):
        return f"characters that UTF-8 has, not half of a pair (in {half})"
    if kind == "raw":
        # A value of several types, which is looked at where its meaning is.
        return ""
    strange = value is None or (isinstance(value, bool) and kind != "bool")
    if kind in ("str", "int") and (strange or isinstance(value, (list, dict))):
        return f"write {WORDS[kind]}"
    # Ansible would make one of 1e3 and 3.0 as well, but not every place where they are used.
    if kind == "int" and not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
        return f"write {WORDS[kind]}"
    if not strange and not ArgumentSpecValidator({"value": options}).validate({"value": value}).error_messages:
        return ""
    return f"one of {', '.join(spec['choices'])}" if "choices" in spec and not strange else f"write {WORDS[kind]}"


def _halves(value: Any, where: str = "it") -> Iterator[str]:  # noqa: ANN401
    """Yield where a value has half of a pair of UTF-16, which YAML can write, and no file can hold."""
    if isinstance(value, str) and HALF.search(value):
        yield where
    elif isinstance(value, dict):
        yield from (place for key in value for place in _halves(key, "a key"))
        yield from (place for key, one in value.items() for place in _halves(one, str(key)))
    elif isinstance(value, (list, tuple)):
        yield from (place for number, one in enumerate(value) for place in _halves(one, str(number)))


def mapping_problems(name: str, entry: Any, option: Mapping[str, Any], ranges: bool = False) -> Iterator[str]:  # noqa: ANN401
    """Yield what is wrong with a mapping, of which the argument specs describe the keys; its numbers may have `ranges`."""
    secret = name in HOLD_SECRETS
    if not isinstance(entry, dict):
        yield f"{name} has {'a value that is not shown' if secret else repr(entry)}. Fix: write a mapping."
        return
    keys = option["options"]
    for key, value in entry.items():
        if key not in keys:
            yield f"{name} has no key {key!r}. Fix: {nearest(str(key), keys)}."
        elif fix := type_problem(value, keys[key]):
            yield f"{name}.{key} is {'not shown' if secret else repr(value)}. Fix: {fix}."
        elif not ranges and keys[key]["type"] == "int" and int(value) < 0:
            yield f"{name}.{key} is {value}. Fix: a whole number from 0."
    for key, spec in keys.items():
        if spec.get("required") and key not in entry:
            yield f"{name}.{key} is missing. Fix: add `{key}: …`."


def nearest(name: str, names: Iterable[str], prefix: str = "") -> str:
    """Return the name that was probably meant, or all of them. What they have in common does not make two alike."""
    short = {one.removeprefix(prefix): one for one in names}
    said = name.removeprefix(prefix)
    close = difflib.get_close_matches(said, list(short), n=1, cutoff=0.75)
    # `env` and `healthcheck` are the beginning of a name, or begin with one.
    close = close or [
        one for one in short if min(len(one), len(said)) >= LEAST and (one.startswith(said) or said.startswith(one))
    ]
    if len(close) == 1:
        return f"{short[close[0]]}, if that is meant"
    return f"one of {', '.join(sorted(short[one] for one in close or short))}"


def shown(key: str, value: Any) -> str:  # noqa: ANN401
    """Return a value for a message; what may hold a secret is not shown.

    That is the environment, under this or a mistaken name: of a key that is none of ours, only numbers are shown.
    """
    strange = key not in app_keys() and value and not isinstance(value, (int, float))
    if strange or key in ("environment", "auth", "notify_command"):
        # Ansible's own text has a type of its own.
        kind = next((one.__name__ for one in (str, dict, list) if isinstance(value, one)), type(value).__name__)
        return f"{kind}, not shown"
    return without_secrets(repr(value))
