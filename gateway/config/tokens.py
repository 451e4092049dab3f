"""Which tokens of which issuer are good here, and what their claims say."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from engines.units import Duration, Seconds
from gateway.config.sections import Section
from gateway.config.values import SOME, Word
from security.api import IS_NAME, SCOPES
from security.jwt.api import ClaimNames, Terms
from security.jwt.urls import check_url

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Scope = Literal["inference", "routing", "viewer", "operator", "admin"]
ROLES = frozenset(SCOPES[2:])


def _tenant(value: str) -> str:
    if not IS_NAME(value):
        raise ValueError("takes the name of a tenant: up to 64 letters, digits, dots, hyphens and underscores")
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Tenant = Annotated[str, AfterValidator(_tenant)]
Url = Annotated[str, AfterValidator(check_url)]
Claim = Annotated[str, Field(min_length=1, max_length=256)]
Value = StrictBool | StrictInt | StrictStr


class Claims(Section):
    """The names of claims; dots lead into claims that are objects, unless there is one of that very name."""

    subject: Claim = Field("sub", description="Whose token it is; in logs and limits jwt: and this.")
    tenant: Claim | None = Field(None, description="The tenant's name; a token without it is refused.")
    models: Claim | None = Field(
        None, description="Models that may be called, * for all; a token without it may call none. Unset: all."
    )
    scopes: Claim | None = Field(None, description="Which of auth.jwt.scopes it has. Unset: all of them.")
    weight: Claim | None = Field(None, description="The tenant's weight, a whole number; without it 1.")
    priority: Claim | None = Field(None, description="The tenant's priority, a whole number; without it 0.")
    plan: Claim | None = Field(None, description="The tenant's plan, by which quotas bind it; without it default.")


class Jwt(Section):
    """Tokens of an OIDC issuer, signed with keys that it publishes."""

    issuer: Url = Field(description="The issuer's URL, exactly as its tokens have it in iss.")
    audiences: Annotated[tuple[Word, ...], SOME] = Field(description="Of which a token's aud must name one.")
    jwks_url: Url | None = Field(
        None, description="Where its keys are; without it they are found by /.well-known/openid-configuration."
    )
    algorithms: Annotated[tuple[Algorithm, ...], SOME, AfterValidator(_distinct)] = Field(
        ("RS256", "ES256", "EdDSA"), description="Algorithms of signatures that are accepted."
    )
    leeway: Duration = Field(30.0, ge=0, le=300, description="How far the issuer's clock and ours may be apart.")
    grace: Seconds = Field(3600.0, description="How long its keys work while the issuer can't be asked.")
    require: dict[Claim, Value | tuple[Value, ...]] = Field(
        {}, description="Claims by name, each with the value, or a list of values of which it must have one."
    )
    tenant: Tenant | None = Field(None, description="The tenant of all tokens, where claims.tenant is not set.")
    scopes: Annotated[tuple[Scope, ...], SOME, AfterValidator(_distinct)] = Field(
        ("inference",), description="What a token may be good for at most."
    )
    claims: Claims = Field(Claims(), description="Which claims say what.")

    @model_validator(mode="after")
    def _whose_and_how_much(self) -> Self:
        if (self.tenant is None) == (self.claims.tenant is None):
            raise ValueError("takes either tenant or claims.tenant")
        if ROLES.intersection(self.scopes) and self.claims.scopes is None:
            raise ValueError("scopes beyond inference and routing take claims.scopes, or every token would have them")
        return self

    def terms(self) -> Terms:
        """What its tokens must say, and what follows from it."""
        return Terms(
            issuer=self.issuer,
            audiences=self.audiences,
            leeway=self.leeway,
            required={name: one if isinstance(one, tuple) else (one,) for name, one in self.require.items()},
            tenant=self.tenant or "",
            scopes=frozenset(self.scopes),
            names=ClaimNames(**self.claims.model_dump()),
        )
