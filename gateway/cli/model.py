"""`snowshed model`: versions of models set as a whole, and the embedded model's file."""

from __future__ import annotations

from gateway.cli.lazy import LazyGroup

command = LazyGroup(
    name="model",
    modules={
        "set": "gateway.cli.model_set",
        "clear": "gateway.cli.model_clear",
        "pull": "gateway.cli.model_pull",
    },
    help="Set versions of models in running gateways; fetch the embedded model.",
)
