"""What the commands of ``decomon`` do; the command line itself is in `decomon_widgets.cli`."""

import importlib.metadata


class UsageError(Exception):
    """The arguments cannot be used; the message is one line that says why and the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class IncompleteError(Exception):
    """Some samples could not be computed; the message is one line that says which and why."""


def version() -> str:
    """Version of the installed package."""
    try:
        return importlib.metadata.version("decomon")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
