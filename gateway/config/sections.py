"""The gateway's own sections: its listeners, its bounds and its patience."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.values import Bytes, Port, Seconds


class Section(BaseModel):
    """Settings by name, of which none may be unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """The public listener. Without authentication it must stay on loopback, unless `open` says that this is meant."""

    host: str = "127.0.0.1"
    port: Port = 8080
    open: bool = False
    names: tuple[str, ...] = ()
    drain_delay: float = Field(default=2.0, ge=0, le=3600)
    drain_cap: Seconds = 120.0


class Ops(Section):
    """The listener for probes and scrapes."""

    host: str = "127.0.0.1"
    port: Port = 8081


class Limits(Section):
    """Sizes in bytes."""

    head: Bytes = 32 * 1024
    body: Bytes = 8 * 1024 * 1024
    bodies: Bytes = 256 * 1024 * 1024
    connections: int = Field(default=10_000, ge=1)


class Timeouts(Section):
    """In seconds."""

    head: Seconds = 10.0
    body: Seconds = 30.0
    idle: Seconds = 75.0
    stall: Seconds = 30.0
    connect: Seconds = 5.0
    first_token: Seconds = 120.0
    inter_token: Seconds = 60.0
    total: Seconds = 600.0
    comment_grace: Seconds = 10.0
    comment_every: Seconds = 10.0
