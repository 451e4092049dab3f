"""The whole configuration, and what must be true of it as a whole."""

from __future__ import annotations

from itertools import combinations
from typing import Self

from pydantic import Field, field_validator, model_validator

from gateway.config.admin import Admin
from gateway.config.auth import Auth
from gateway.config.errors import ConfigError
from gateway.config.models import ModelSpec
from gateway.config.sections import Limits, Logs, Ops, Section, Server, Timeouts
from security.exposure import is_loopback

DEFAULT_MODELS = ({"name": "smollm2-135m-instruct", "engine": "embedded"},)
"""What runs when nothing is configured."""
EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104  # compared, not bound


class Config(Section):
    """Everything. Without a file: the embedded model, on loopback."""

    server: Server = Field(Server(), description="The public listener.")
    ops: Ops = Field(Ops(), description="The listener for probes and scrapes.")
    limits: Limits = Field(Limits(), description="How much is taken in at a time.")
    timeouts: Timeouts = Field(Timeouts(), description="How long each wait may take.")
    logs: Logs = Field(Logs(), description="What is said, and how; options of `serve` go over it.")
    auth: Auth = Field(Auth(), description="Who may ask.")
    admin: Admin = Field(Admin(), description="The listener for those who run the gateway.")
    models: tuple[ModelSpec, ...] = Field(description="The models that clients may call.")

    @field_validator("models")
    @classmethod
    def _some_and_distinct(cls, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        if not models:
            msg = "takes a list with at least one entry"
            raise ValueError(msg)
        names = [name for model in models for name in model.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"named twice: {', '.join(twice)}"
            raise ValueError(msg)
        return models

    @model_validator(mode="after")
    def _one_door(self) -> Self:
        doors: list[tuple[str, Server | Ops | Admin]] = [("server", self.server), ("ops", self.ops)]
        if self.auth.kind == "keys":
            doors.append(("admin", self.admin))  # else it is never opened
        for (one, here), (other, there) in combinations(doors, 2):
            if here.port == there.port != 0 and _meet(here.host, there.host):
                msg = f"{one}.port and {other}.port must differ"
                raise ValueError(msg)
        return self


def _meet(one: str, other: str) -> bool:
    """Whether two listeners would be at the same address, as far as hosts tell without being looked up."""
    hosts = {one, other}
    return one == other or bool(hosts & EVERYWHERE) or ("localhost" in hosts and all(map(is_loopback, hosts)))


def check_exposure(config: Config) -> None:
    """Refuse to serve strangers by accident. Raises ConfigError."""
    server = config.server
    if config.auth.kind == "none" and not server.open and not is_loopback(server.host):
        msg = (
            f"server.host: {server.host} is reachable from other machines, and requests are not authenticated. "
            "Ask for keys with auth.kind: keys, bind to 127.0.0.1, or set server.open: true if everybody who can "
            "reach it may use it."
        )
        raise ConfigError(msg)
