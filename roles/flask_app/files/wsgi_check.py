"""Import a WSGI application and do nothing with it: run in the unit's sandbox before any instance is switched.

Usage: python3 -m wsgi_check module:callable, with GRANIAN_FACTORY=true where the callable makes the application.
"""

import importlib
import operator
import os
import sys


def check(target: str, factory: bool) -> None:
    """Import `module:callable` (with dots on both sides allowed) and raise whatever goes wrong on the way."""
    module, _, name = target.partition(":")
    application = operator.attrgetter(name)(importlib.import_module(module))
    if factory:
        application = application()
    if not callable(application):
        raise TypeError(f"{target} is {application!r}, which a WSGI server cannot call (PEP 3333)")


if __name__ == "__main__":
    check(sys.argv[1], os.environ.get("GRANIAN_FACTORY") == "true")
