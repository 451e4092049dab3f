"""Who may ask: everybody on this machine, or whoever has a key, a token, or a mesh that vouches for them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from engines.credentials import SecretReference
from engines.units import Seconds
from gateway.config.mesh import Mesh
from gateway.config.sections import Section
from gateway.config.tokens import Jwt

AuthKind = Literal["none", "keys", "jwt", "mesh"]


class Auth(Section):
    """Who may ask. Unless it is everybody, the gateway may be bound to any address, and answers under any Host."""

    kind: AuthKind = Field(
        "none",
        description="none: whoever reaches the address; keys: whoever has a key; jwt: whoever has an issuer's token; "
        "mesh: whoever a service mesh vouches for.",
    )
    sqlite: Path = Field(Path("snowshed.db"), description="File with tenants and keys, made at the first start.")
    database: SecretReference | None = Field(
        None,
        description="Where the URL of a PostgreSQL database (postgresql://user:password@host/name) is, to use instead.",
    )
    grace: Seconds = Field(900.0, description="How long known keys work while the database can't be asked.")
    jwt: Jwt | None = Field(
        None, description="Tokens of an OIDC issuer: with kind jwt those alone, with kind keys as well."
    )

    mesh: Mesh | None = Field(
        None, description="Identities of a service mesh: with kind mesh those alone, with keys and jwt as well."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.kind in ("jwt", "mesh") and getattr(self, self.kind) is None:
            raise ValueError(f"kind {self.kind} takes a section {self.kind}")
        if self.jwt is not None and self.kind not in ("jwt", "keys"):
            raise ValueError("a section jwt takes kind jwt or keys")
        if self.mesh is not None and self.kind == "none":
            raise ValueError("a section mesh takes kind mesh, keys or jwt")
        return self

    def url(self) -> str:
        """Where tenants and keys are kept. Raises ValueError, without the URL, if it is not where it should be."""
        return self.database.read() if self.database else f"sqlite:///{quote(str(self.sqlite))}"
