"""What the versions of a model mean to its callers: who gets which, and what happens when none can answer."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.values import SOME, HeaderValue, KeyId, Name, RoutingHeader, VersionName, Word
from router.model import Trouble
from router.split import Rule, Sticky


class HeaderSpec(Section):
    """A header that must be there, from a key with the scope `routing`; from others it is ignored."""

    name: RoutingHeader = Field(description="In small letters, after x-.", examples=["x-ring"])
    value: HeaderValue = Field(description="The whole of its value.", examples=["early"])


class RuleSpec(Section):
    """Callers who get a version whatever it weighs: those for whom all holds that is given."""

    version: VersionName = Field(description="What they get.", examples=["2"])
    tenants: tuple[Word, ...] = Field((), description="Tenants, of which the caller's must be one.")
    keys: tuple[KeyId, ...] = Field((), description="Ids of keys, of which the caller's must be one.")
    header: HeaderSpec | None = Field(None, description="A header that must be there.")

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if not (self.tenants or self.keys or self.header):
            msg = "takes tenants, keys or a header: for everybody there are weights"
            raise ValueError(msg)
        return self

    @property
    def rule(self) -> Rule:
        header = (self.header.name.encode(), self.header.value.encode()) if self.header else None
        return Rule(self.version, frozenset(self.tenants), frozenset(self.keys), header)


class FallbackSpec(Section):
    """Other models that answer when this one can't, which callers are told of."""

    models: Annotated[tuple[Name, ...], SOME] = Field(
        description="Names of models, the first choice first.", examples=[["small"]]
    )
    when: Annotated[tuple[Trouble, ...], SOME] = Field(
        ("outage", "overload", "context_length"),
        description="In which trouble: nothing answers, all are too busy, or the prompt is too long.",
    )


class ShadowSpec(Section):
    """A version that gets copies of requests, whose answers nobody sees and nobody pays for."""

    version: VersionName = Field(description="What gets them.", examples=["2"])
    share: float = Field(ge=0, le=1, description="How many of the requests are copied, of 1.", examples=[0.05])
    concurrency: int = Field(4, ge=1, le=1024, description="Copies at a time; beyond it requests are not copied.")


class HedgeSpec(Section):
    """A second replica is asked the same while the first one is silent; the first content counts."""

    after: Seconds = Field(description="Silence before it is asked.", examples=[2])


class RoutingSpec(Section):
    """How requests for one model find their version."""

    model: Name = Field(description="Name of a model.", examples=["chat"])
    aliases: tuple[Name, ...] = Field((), description="Other names that it may be called by.")
    tenants: tuple[Word, ...] = Field((), description="Those who may see it; none named means everybody.")
    sticky: Sticky = Field(
        "key", description="What a caller stays with its version by; in place of what it lacks, its key or its tenant."
    )
    rules: tuple[RuleSpec, ...] = Field((), description="Callers who get a certain version: the first match counts.")
    fallback: FallbackSpec | None = Field(None, description="Other models that answer when this one can't.")
    shadow: ShadowSpec | None = Field(None, description="A version that gets copies of requests.")
    hedge: HedgeSpec | None = Field(None, description="Ask a second replica where the first one is slow to begin.")

    @property
    def split_rules(self) -> tuple[Rule, ...]:
        return tuple(each.rule for each in self.rules)
