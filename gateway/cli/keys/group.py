"""`snowshed keys`: who may ask, by key."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="keys",
    modules={
        "create": "gateway.cli.keys.create",
        "list": "gateway.cli.keys.list",
        "revoke": "gateway.cli.keys.revoke",
        "rotate": "gateway.cli.keys.rotate",
    },
    help="Make keys, list them, take them back.",
)
