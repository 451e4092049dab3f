"""What a configuration says of a LoRA adapter."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AdapterOptions(BaseModel):
    """One of a model, as the server knows it. Clients call it by the model's name, a colon and its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[\x21-\x39\x3b-\x7e]{1,64}$",
        description="Printable ASCII without spaces or colons.",
        examples=["poet"],
    )
    id: int = Field(ge=1, lt=2**63, description="The number by which the server knows it.", examples=[1])
    path: str = Field("", description="Where it lies on the server's disk, for servers that load it themselves.")
