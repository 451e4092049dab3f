"""The gateway's own sections: its listeners, its bounds, its patience and its words."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from engines.choices import OneOf
from engines.units import Duration, Seconds
from gateway.config.values import Bytes, Host, Port
from gateway.log_form import LEVELS, Form


class Section(BaseModel):
    """Settings by name, of which none may be unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """The public listener. Without authentication it must stay on loopback, unless `open` says that this is meant."""

    host: Host = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="Port to listen on; 0 picks a free one.")
    open: bool = Field(default=False, description="Serve whoever can reach the address, under any Host.")
    names: tuple[str, ...] = Field(
        (), description="Further names that a Host header may carry, besides localhost, 127.0.0.1 and [::1]."
    )
    drain_delay: Duration = Field(
        2.0, ge=0, le=3600, description="How long new requests are still served after SIGTERM, while not ready."
    )
    drain_cap: Seconds = Field(120.0, description="How long streams may go on after that.")


class Ops(Section):
    """The listener for probes and scrapes: `/livez`, `/readyz` and `/metrics` only."""

    host: Host = Field("127.0.0.1", description="Address to listen on; any may be used.")
    port: Port = Field(8081, description="Port to listen on; 0 picks a free one.")


class Limits(Section):
    """How much is taken in at a time."""

    head: Bytes = Field(32 * 1024, description="A request's line and headers.")
    body: Bytes = Field(8 * 1024 * 1024, description="One request body.")
    bodies: Bytes = Field(256 * 1024 * 1024, description="All request bodies held at one time; beyond it 503.")
    connections: int = Field(10_000, ge=1, description="Client connections; beyond it 503.")


class Timeouts(Section):
    """How long each wait may take."""

    head: Seconds = Field(10.0, description="For a request's headers to arrive.")
    body: Seconds = Field(30.0, description="For a request's body to arrive.")
    idle: Seconds = Field(75.0, description="A keep-alive connection without a request.")
    stall: Seconds = Field(30.0, description="A client that does not read what it asked for.")
    connect: Seconds = Field(5.0, description="For a connection to a model server.")
    first_token: Seconds = Field(
        120.0, description="For the first content of a stream; from an openai replica, for a whole unary answer."
    )
    inter_token: Seconds = Field(60.0, description="For the next content of a stream.")
    total: Seconds = Field(600.0, description="For the whole request; a caller may ask for less.")
    comment_grace: Seconds = Field(15.0, description="Before the first keep-alive comment of a silent stream.")
    comment_every: Seconds = Field(10.0, description="Between further keep-alive comments.")


class Logs(Section):
    """What is said: a line per request on standard output, and events of the gateway's own on standard error."""

    format: Form | None = Field(
        None, description="Lines for people or for machines; without it console on a terminal, json elsewhere."
    )
    level: Annotated[str, OneOf(LEVELS)] = Field(
        "info", description="The least of the events that are told; requests are all written down."
    )
