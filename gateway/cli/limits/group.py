"""`snowshed limits`: how much callers may ask for."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="limits",
    modules={"show": "gateway.cli.limits.show"},
    help="Look at the limits that bind callers.",
)
