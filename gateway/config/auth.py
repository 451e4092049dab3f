"""Who may ask: everybody on this machine, whoever has a key, or whoever has a token."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from engines.credentials import SecretReference
from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.tokens import Jwt

AuthKind = Literal["none", "keys", "jwt"]


class Auth(Section):
    """Who may ask. With keys or tokens, the gateway may be bound to any address, and answers under any Host."""

    kind: AuthKind = Field(
        "none",
        description="none: whoever reaches the address; keys: whoever has a key; jwt: whoever has an issuer's token.",
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

    @model_validator(mode="after")
    def _tokens_or_not(self) -> Self:
        if self.kind == "jwt" and self.jwt is None:
            raise ValueError("kind jwt takes a section jwt")
        if self.kind == "none" and self.jwt is not None:
            raise ValueError("a section jwt takes kind jwt or keys")
        return self

    def url(self) -> str:
        """Where tenants and keys are kept. Raises ValueError, without the URL, if it is not where it should be."""
        return self.database.read() if self.database else f"sqlite:///{quote(str(self.sqlite))}"
