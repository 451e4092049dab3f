"""The listener for those who run the gateway: where it is, who may reach it, and how often."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from engines.credentials import SecretReference
from gateway.config.sections import Section
from gateway.config.values import Host, Port
from security.exposure import is_loopback


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        msg = "takes an address or a network, such as 10.0.0.0/8"
        raise ValueError(msg) from None


Network = Annotated[str, AfterValidator(_network)]


class AdminTls(Section):
    """Both sides show certificates; who has none that `clients` has signed gets no answer."""

    certificate: Path = Field(description="PEM file with the listener's certificate, and those that it rests on.")
    key: Path = Field(description="PEM file with its key.")
    clients: Path = Field(description="PEM file with the authorities whose certificates clients may show.")


class Admin(Section):
    """The listener for those who run the gateway: open once there is a key with the scope viewer, operator or admin."""

    host: Host = Field("127.0.0.1", description="Address to listen on; beyond loopback only with tls.")
    port: Port = Field(8082, description="Port to listen on; 0 picks a free one.")
    tls: AdminTls | None = Field(None, description="Ask for certificates; without it the listener speaks plain HTTP.")
    rate: int = Field(300, ge=1, le=1_000_000, description="Requests a minute from one address; beyond it 429.")
    rate_store: SecretReference | None = Field(
        None, description="Where the URL of a Redis (redis://host) is that counts for several gateways together."
    )
    proxies: tuple[Network, ...] = Field(
        (), description="Networks of proxies whose X-Forwarded-For tells the address that is counted."
    )

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if self.tls is None and not is_loopback(self.host):
            msg = "a host that other machines can reach takes tls"
            raise ValueError(msg)
        return self
