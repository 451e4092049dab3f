"""What is set for one replica behind an OpenAI-compatible server."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engines.credentials import SecretReference


class OpenAIOptions(BaseModel):
    """One replica: the URL up to and including `/v1`, and how to sign in there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Up to and including /v1.", examples=["http://127.0.0.1:9001/v1"])
    api_key: SecretReference | None = Field(None, description="Where the key is that is sent there; never the key.")
    connections: int = Field(1024, ge=1, description="At most so many at a time.")
    server: Literal["any", "trtllm-serve"] = Field("any", description="Whose own words on health and load to use.")

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        """All that the connection pool takes for granted; nothing of it is dropped in silence."""
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be an http:// or https:// URL of printable ASCII characters")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL with a host")
        if "@" in parts.netloc:
            raise ValueError("must hold no credentials: refer to them with api_key")
        if parts.query or parts.fragment:
            raise ValueError("must end with a path")
        if parts.port == 0 or any(not 0 < len(label) < 64 for label in parts.hostname.rstrip(".").split(".")):
            raise ValueError("must have a host and a port that can exist")
        return url
