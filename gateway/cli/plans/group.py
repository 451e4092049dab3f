"""`snowshed plans`: plans of limits, in running gateways."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="plans",
    modules={
        "list": "gateway.cli.plans.list",
        "set": "gateway.cli.plans.set",
        "clear": "gateway.cli.plans.clear",
    },
    help="List plans of limits, set them in running gateways.",
)
