"""Who may ask: everybody on this machine, or whoever has a key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from engines.credentials import SecretReference
from engines.units import Seconds
from gateway.config.sections import Section

AuthKind = Literal["none", "keys"]


class Auth(Section):
    """Who may ask. With keys, the gateway may be bound to any address, and answers under any Host."""

    kind: AuthKind = Field("none", description="none: whoever reaches the address; keys: whoever has a key.")
    sqlite: Path = Field(Path("snowshed.db"), description="File with tenants and keys, made at the first start.")
    database: SecretReference | None = Field(
        None,
        description="Where the URL of a PostgreSQL database (postgresql://user:password@host/name) is, to use instead.",
    )
    grace: Seconds = Field(900.0, description="How long known keys work while the database can't be asked.")

    def url(self) -> str:
        """Where tenants and keys are kept. Raises ValueError, without the URL, if it is not where it should be."""
        return self.database.read() if self.database else f"sqlite:///{quote(str(self.sqlite))}"
