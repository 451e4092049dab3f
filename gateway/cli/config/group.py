"""`snowshed config`: the configuration, without starting anything."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="config",
    modules={
        "check": "gateway.cli.config.check",
        "show": "gateway.cli.config.show",
        "schema": "gateway.cli.config.schema",
    },
    help="Check a configuration, show it, or describe what may stand in one.",
)
