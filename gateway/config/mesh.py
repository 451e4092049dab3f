"""Whose word on who asks is taken, and whose the identities are that it gives."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.admin import Network
from gateway.config.quotas import PlanName
from gateway.config.sections import Section
from gateway.config.tokens import Tenant
from gateway.config.values import SOME, Word
from security.api import DEFAULT_PLAN, PRIORITIES, WEIGHTS
from security.mesh import Peers, Rule, pattern

TENANT = "{tenant}"
WILD = 2
"""Of these in one part: to find out that one more does not fit takes a tenth of a second."""


def _header(value: str) -> str:
    if not re.fullmatch(r"x-[a-z0-9_-]{1,64}", value):
        raise ValueError("takes the name of a header in small letters after x-, as in x-forwarded-client-cert")
    return value


class Identity(Section):
    """Identities that look alike, and what is theirs."""

    identity: Word = Field(
        description="What they look like: * stands for any characters but a slash, {tenant} for the tenant's name."
    )
    tenant: Tenant | None = Field(None, description="Their tenant, where the identity does not say it.")
    models: tuple[Word, ...] | None = Field(None, description="Models that they may call; without it all.")
    scopes: tuple[Literal["inference", "routing"], ...] = Field(
        ("inference",), description="What they are good for: inference, and routing."
    )
    weight: int = Field(1, ge=WEIGHTS[0], le=WEIGHTS[-1], description="The tenant's weight.")
    priority: int = Field(0, ge=PRIORITIES[0], le=PRIORITIES[-1], description="The tenant's priority.")
    plan: PlanName = Field(DEFAULT_PLAN, description="The tenant's plan, by which quotas bind it.")

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if (self.tenant is None) == (TENANT not in self.identity) or self.identity.count(TENANT) > 1:
            raise ValueError("takes either a tenant or an identity with one {tenant} in it")
        if any(part.count("*") + part.count(TENANT) > WILD for part in self.identity.split("/")):
            raise ValueError(f"an identity takes {WILD} of * and {TENANT} between two slashes at most")
        return self


class Mesh(Section):
    """Identities that proxies of a service mesh vouch for, in a header."""

    header: Annotated[str, AfterValidator(_header)] = Field(
        "x-forwarded-client-cert",
        description="Header that they set; of x-forwarded-client-cert the last element's URI counts, else all of it.",
    )
    peers: Annotated[tuple[Network, ...], SOME] = Field(
        description="Networks of the proxies; from other addresses the header does not count."
    )
    identities: Annotated[tuple[Identity, ...], SOME] = Field(
        description="Whose identities are; the first that fits counts."
    )

    def trusted(self) -> Peers:
        return Peers(self.header, [ip_network(peer) for peer in self.peers])

    def rules(self) -> list[Rule]:
        return [
            Rule(
                pattern=pattern(one.identity),
                tenant=one.tenant or "",
                models=None if one.models is None else frozenset(one.models),
                scopes=frozenset(one.scopes),
                weight=one.weight,
                priority=one.priority,
                plan=one.plan,
            )
            for one in self.identities
        ]
