"""Import an application as the server does: run in the unit's sandbox before any instance is switched.

Usage: python3 -m wsgi_check module:callable, or 'module:factory()'.
"""

from __future__ import annotations

import importlib
import inspect
import operator
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# With two arguments WSGI, with three ASGI.
Application = Callable[..., Any]


def load(target: str) -> Application:
    """Import `module:callable` or `module:factory()`, dots on both sides allowed, and return the application.

    Raises whatever goes wrong on the way. The servers get their application from here as well, so that what was proven
    is what runs.
    """
    module, name = target.removesuffix("()").split(":")
    application = operator.attrgetter(name)(importlib.import_module(module))
    if target.endswith("()"):
        application = application()
    if not callable(application):
        raise TypeError(f"{target} is {application!r}, which a server cannot call (PEP 3333, ASGI)")
    if os.environ.get("APP_SERVER") != "uvicorn" and (problem := _arguments_problem(application)):
        hint = "" if target.endswith("()") else f". Fix: wsgi: {target}(), where that makes the application"
        raise TypeError(f"{target} cannot be called with (environ, start_response) (PEP 3333): {problem}{hint}")
    return application


def _arguments_problem(application: Application) -> str:
    """Say why it does not take two arguments, empty where it does or does not tell."""
    try:
        # What wraps another one may take more than that says.
        taken = inspect.signature(application, follow_wrapped=False)
    except (TypeError, ValueError):
        return ""
    try:
        taken.bind({}, print)
    except TypeError as error:
        return str(error)
    return ""


def failure(error: BaseException) -> str:
    """Return the traceback of an error of `load` without the frames that are Python's and ours: what is left is the app's."""
    found = traceback.TracebackException.from_exception(error)
    for one in _chain(found):
        kept = [frame for frame in one.stack if not _is_on_the_way(frame.filename)]
        # Without a frame there is no heading either.
        one.stack = traceback.StackSummary.from_list(kept) if kept else None  # type: ignore[assignment]
    return "".join(found.format()).rstrip()


def _chain(found: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield an error and those that it came from."""
    yield found
    for one in (found.__cause__, found.__context__, *(found.exceptions or [])):
        if one:
            yield from _chain(one)


def _is_on_the_way(path: str) -> bool:
    """Say whether a frame is of what leads to the application and from one of its imports to the next."""
    ours = Path(path).parent == Path(__file__).parent and Path(path).stem in ("wsgi_check", "wsgi_serve")
    return ours or path.startswith(("<frozen importlib", "<frozen runpy", str(Path(importlib.__file__).parent)))


if __name__ == "__main__":
    try:
        load(sys.argv[1])
    # An application that ends the process while it is imported cannot be served either, whatever status it gives.
    except BaseException as problem:
        sys.exit(failure(problem))
