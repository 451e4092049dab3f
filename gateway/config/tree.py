"""The whole configuration, and what must be true of it as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from engines.choices import meant
from gateway.config import budgets
from gateway.config.admin import Admin
from gateway.config.admission import Admission
from gateway.config.auth import Auth
from gateway.config.coherence import Mistake, mistakes
from gateway.config.errors import ConfigError
from gateway.config.ledger import Ledger
from gateway.config.models import ModelSpec
from gateway.config.quotas import DEFAULT, Quotas
from gateway.config.routing import RoutingSpec
from gateway.config.sections import Limits, Logs, Ops, Section, Server, Timeouts
from gateway.config.values import SOME
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
    admission: Admission = Field(Admission(), description="How requests wait for a place on a replica.")
    logs: Logs = Field(Logs(), description="What is said, and how; options of `serve` go over it.")
    auth: Auth = Field(Auth(), description="Who may ask.")
    admin: Admin = Field(Admin(), description="The listener for those who run the gateway.")
    ledger: Ledger = Field(Ledger(), description="What requests have used, and what that costs.")
    quotas: Quotas = Field(Quotas(), description="How much callers may ask for.")
    models: Annotated[tuple[ModelSpec, ...], SOME] = Field(
        description="The models that clients may call, an entry per version."
    )
    routing: tuple[RoutingSpec, ...] = Field((), description="How requests for a model find its version, per model.")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        told = [
            *_same_doors(self),
            *mistakes(self.models, self.routing),
            *quota_mistakes(self),
            *_plans_not_there(self),
        ]
        if told:
            errors = [
                InitErrorDetails(
                    type=PydanticCustomError("incoherent", "{words}", {"words": words}), loc=path, input=None
                )
                for path, words in told
            ]
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self


def _same_doors(config: Config) -> Iterator[Mistake]:
    doors: list[tuple[str, Server | Ops | Admin]] = [("server", config.server), ("ops", config.ops)]
    if config.auth.kind == "keys":
        doors.append(("admin", config.admin))  # else it is never opened
    for (one, here), (other, there) in combinations(doors, 2):
        if here.port == there.port != 0 and _meet(here.host, there.host):
            yield (), f"{one}.port and {other}.port must differ"


def quota_mistakes(config: Config) -> Iterator[Mistake]:
    """Of its plans, beside all else that it says."""
    models = {name for spec in config.models for name in spec.names}
    for path, words in (*config.quotas.mistakes(models), *budget_mistakes(config)):
        yield ("quotas", *path), words


def budget_mistakes(config: Config) -> Iterator[Mistake]:
    """Of its budgets, with paths in the section of quotas."""
    models = {name: spec.name for spec in config.models for name in spec.names}
    today = datetime.now(UTC).date()
    priced = {price.model for price in config.ledger.prices if price.since <= today}
    yield from budgets.mistakes(config.quotas, config.auth.kind, models, priced)


def _plans_not_there(config: Config) -> Iterator[Mistake]:
    """Of identities of a mesh. With keys others can be set over the admin API; where there is none, none binds."""
    plans = {plan.name for plan in config.quotas.plans}
    if config.auth.mesh is None or config.auth.kind == "keys" or not plans:
        return
    for at, identity in enumerate(config.auth.mesh.identities):
        if identity.plan not in {DEFAULT, *plans}:
            words = f"there is no plan of that name in quotas.plans{meant(identity.plan, plans)}"
            yield ("auth", "mesh", "identities", at, "plan"), words


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
            "Ask for keys with auth.kind: keys, or for tokens with auth.kind: jwt, bind to 127.0.0.1, or set "
            "server.open: true if everybody who can reach it may use it."
        )
        raise ConfigError(msg)
