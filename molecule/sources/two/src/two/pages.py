"""The other file."""

from importlib.metadata import version


def greet() -> str:
    """Say who it is."""
    return f"two {version('two')}\n"
