"""An OIDC issuer over HTTP: where its keys are, and what is there; bounded in time and size, led nowhere else."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from gateway.version import VERSION
from security.api import StoreAway
from security.jwt.urls import check_url

PATIENCE: Final = 5.0
"""Seconds for all of an answer."""
LARGEST: Final = 256 * 1024
"""Bytes of an answer."""
WELL_KNOWN: Final = "/.well-known/openid-configuration"


class _Discovery(msgspec.Struct):
    issuer: str
    jwks_uri: str


class Issuer:
    """A KeySource. `jwks_url` None: it is asked for. It trusts the usual authorities, and those in SSL_CERT_FILE."""

    def __init__(self, issuer: str, jwks_url: str | None, patience: float = PATIENCE) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._patience = patience
        self._tls = ssl.create_default_context()

    def __repr__(self) -> str:
        return f"<Issuer {self._issuer}>"

    async def fetch(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience), self._client() as client:
                return await _get(client, self._jwks_url or await self._discover(client))
        except TimeoutError:
            raise StoreAway(f"no answer within {self._patience:g} s") from None
        except StoreAway:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a client and the network come up with
            raise StoreAway(type(error).__name__) from None

    def _client(self) -> httpx2.AsyncClient:
        """A proxy, if the environment names one, is for what is not on this machine."""
        return httpx2.AsyncClient(
            verify=self._tls,
            trust_env=self._issuer.startswith("https:"),
            timeout=None,  # all of it has one: see fetch
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": f"snowshed/{VERSION}"},
        )

    async def _discover(self, client: httpx2.AsyncClient) -> str:
        """Where its keys are. Raises StoreAway."""
        try:
            found = msgspec.json.decode(await _get(client, self._issuer.rstrip("/") + WELL_KNOWN), type=_Discovery)
        except (msgspec.DecodeError, RecursionError):
            raise StoreAway("its discovery document is none") from None
        if found.issuer != self._issuer:
            raise StoreAway("its discovery document is about another issuer")
        try:
            url = check_url(found.jwks_uri)
        except ValueError:
            url = ""
        if urlsplit(url).scheme not in ("https", urlsplit(self._issuer).scheme):
            raise StoreAway("its discovery document has no usable jwks_uri")
        return url


async def _get(client: httpx2.AsyncClient, url: str) -> bytes:
    """The body of an answer as it came. Raises StoreAway, and what the client raises; redirects are not followed."""
    async with client.stream("GET", url) as answer:
        if answer.status_code != httpx2.codes.OK:
            raise StoreAway(f"status {answer.status_code}")
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > LARGEST:
                raise StoreAway("its answer is too large")
        return bytes(body)
