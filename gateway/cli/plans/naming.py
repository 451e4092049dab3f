"""Where a plan is found in the admin listener."""

from __future__ import annotations

from gateway.cli.trouble import Mistake
from security.api import IS_NAME


def path_of(name: str) -> str:
    """Raises Mistake for what can't be a plan's name: it would be another path."""
    if not IS_NAME(name):
        raise Mistake(f"{name}: takes a plan's name: letters, digits and ._-, the first of them no sign.")
    return f"/v1/plans/{name}"
