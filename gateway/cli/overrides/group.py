"""`snowshed overrides`: single figures of plans that are other for a tenant or a key, in running gateways."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="overrides",
    modules={
        "list": "gateway.cli.overrides.list",
        "set": "gateway.cli.overrides.set",
        "clear": "gateway.cli.overrides.clear",
    },
    help="Give single tenants and keys other limits than their plan's, in running gateways.",
)
