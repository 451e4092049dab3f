"""`snowshed model`: the embedded model's file."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="model",
    modules={"pull": "gateway.cli.model_pull"},
    help="The embedded model, which runs on this machine's CPU.",
)
