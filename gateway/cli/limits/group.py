"""`snowshed limits`: how much callers may ask for."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="limits",
    modules={"show": "gateway.cli.limits.show", "simulate": "gateway.cli.limits.simulate"},
    help="Look at the limits that bind callers, and try other ones.",
)
