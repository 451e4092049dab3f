"""`snowshed tenants`: who keys belong to."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="tenants",
    modules={
        "create": "gateway.cli.tenants.create",
        "list": "gateway.cli.tenants.list",
        "change": "gateway.cli.tenants.change",
    },
    help="Make tenants, list them, change what is theirs.",
)
