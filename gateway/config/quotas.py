"""How much callers may ask for: plans of limits, by name, which tenants are on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from engines.credentials import SecretReference
from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.values import IN_FIGURES, Printable
from security.api import DEFAULT_PLAN, IS_NAME
from security.ids import LONGEST
from security.keys import key_id

Mistake = tuple[tuple[str | int, ...], str]
"""Its path in the section of quotas, and what is wrong."""
DEFAULT: Final = DEFAULT_PLAN
"""The plan of who is on none that is listed, too."""
MOST: Final = 10**12


def _plan_name(value: str) -> str:
    if not IS_NAME(value):
        msg = "takes a name that a tenant's plan can have: letters, digits and ._-, the first of them no sign"
        raise ValueError(msg)
    return value


PlanName = Annotated[str, AfterValidator(_plan_name)]


def _tenant_name(value: str) -> str:
    if not IS_NAME(value):
        msg = "takes a tenant's name: letters, digits and ._-, the first of them no sign"
        raise ValueError(msg)
    return value


def _key_name(value: str) -> str:
    if key_id(value.encode()):
        msg = "takes a key's id alone, the twelve characters behind sk-snow-: the rest is secret"
        raise ValueError(msg)
    return value


TenantName = Annotated[str, AfterValidator(_tenant_name)]
KeyName = Annotated[str, Field(pattern=rf"^[\x21-\x7e]{{1,{LONGEST}}}$"), AfterValidator(_key_name)]


def _limit(description: str) -> int | None:
    return Field(None, ge=1, le=MOST, description=description)


DEAREST: Final = 10**9
Money = Annotated[
    Decimal,
    Field(gt=0, le=DEAREST, decimal_places=6, allow_inf_nan=False),
    IN_FIGURES,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": DEAREST},
                {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]


class Budgets(Section):
    """What one holder may spend, by the prices of the ledger, to six decimals; what is not set has no limit."""

    day: Money | None = Field(None, description="In a day of the calendar, in UTC.", examples=["25.00"])
    month: Money | None = Field(None, description="In a month of the calendar, in UTC.", examples=["500"])

    def __bool__(self) -> bool:
        return self.day is not None or self.month is not None


class Allowance(Section):
    """What one holder may ask for; what is not set has no limit. A minute's worth may be asked for at once."""

    requests_per_minute: int | None = _limit("Requests.")
    input_tokens_per_minute: int | None = _limit("Tokens of prompts.")
    output_tokens_per_minute: int | None = _limit("Tokens of answers.")
    tokens_per_minute: int | None = _limit("Tokens of prompts and answers together.")
    tokens_per_day: int | None = _limit("The same in 24 hours, a day's worth at once.")
    concurrent_requests: int | None = _limit("Requests under way at a time.")
    budgets: Budgets = Field(Budgets(), description="What may be spent, by ledger.prices.")


class ModelAllowance(Allowance):
    """What a tenant may ask of one model."""

    model: Printable = Field(description="The model's name; an alias counts as its model.", examples=["chat"])


class Plan(Section):
    """Limits that bind the tenants on it; a tenant's own bind all of its keys together."""

    name: PlanName = Field(description="What a tenant's plan is called.", examples=["default"])
    key: Allowance = Field(Allowance(), description="What each key may ask for.")
    tenant: Allowance = Field(Allowance(), description="What each tenant may ask for, with all of its keys.")
    models: tuple[ModelAllowance, ...] = Field((), description="What each tenant may ask of single models.")
    enforce: bool = Field(
        default=True, description="Refuse what goes over; false only counts what would have been refused."
    )
    cut_answers: bool = Field(
        default=False,
        description="End an answer, with finish_reason length, where nothing is left for it; false lets it go on, and "
        "later requests wait.",
    )
    without_store: Literal["share", "closed", "open"] = Field(
        "share",
        description="While the shared store can't be asked: share, this gateway's part of each limit; closed, 503; "
        "open, no limits.",
    )


def _until() -> date | None:
    return Field(
        None, description="The day (UTC) at whose beginning it ends; null: it holds until it is taken out.",
        examples=["2027-02-01"],
    )  # fmt: skip


class TenantOverride(Plan):
    """What holds for one tenant in the place of what its plan says; what is left out stays as the plan has it."""

    name: TenantName = Field(description="The tenant's name.", examples=["acme"])
    until: date | None = _until()


class KeyOverride(Allowance):
    """What one key may ask for in the place of what its tenant's plan says of each key."""

    name: KeyName = Field(
        description="The key's id, or that of who shows a token or comes through a mesh, as in the log.",
        examples=["3f9c2a71b0de", "jwt:alice"],
    )
    until: date | None = _until()


class Overrides(Section):
    """Single figures that are other for one tenant or key than its plan has them; null lifts a limit."""

    tenants: tuple[TenantOverride, ...] = Field((), description="Laid over the plans that tenants are on.")
    keys: tuple[KeyOverride, ...] = Field((), description="Laid over that, for single keys.")


class Quotas(Section):
    """How much callers may ask for. Whoever asks for more is told with 429 when to come back."""

    store: SecretReference | None = Field(
        None,
        description="Where the URL of the Redis or Valkey is (redis://, rediss://, unix://, redis+cluster:// or "
        "redis+sentinel://) that all gateways share limits in; without one, each has its own.",
    )
    budget_grace: Seconds = Field(
        60.0, description="How long budgets are spent while the shared store can't be asked; after that, 503."
    )
    ietf_headers: bool = Field(
        default=False,
        description="Tell how limits stand in RateLimit and RateLimit-Policy, too, as a draft of the IETF has them.",
    )
    plans: tuple[Plan, ...] = Field(
        (), description="Who is on a plan that is not listed is on the one named default, if that is."
    )
    overrides: Overrides = Field(Overrides(), description="What is other for single tenants and keys.")

    def mistakes(self, models: Collection[str]) -> Iterator[Mistake]:
        """`models` are the names that there are."""
        named: list[tuple[tuple[str, ...], Sequence[Plan | KeyOverride], str]] = [
            (("plans",), self.plans, "a plan"),
            (("overrides", "tenants"), self.overrides.tenants, "an override"),
            (("overrides", "keys"), self.overrides.keys, "an override"),
        ]
        for base, listed, what in named:
            for at in _repeated([each.name for each in listed]):
                yield (*base, at, "name"), f"there is {what} of that name already"
        for path, plan in self.policies():
            for at, allowance in enumerate(plan.models):
                if allowance.model not in models:
                    yield (*path, "models", at, "model"), "there is no model of that name"
            for at in _repeated([allowance.model for allowance in plan.models]):
                yield (*path, "models", at, "model"), "this model is listed already"

    def policies(self) -> Iterator[tuple[tuple[str | int, ...], Plan]]:
        """Plans, whole ones and such as are laid over them, each with its path in this section."""
        yield from ((("plans", at), plan) for at, plan in enumerate(self.plans))
        yield from ((("overrides", "tenants", at), override) for at, override in enumerate(self.overrides.tenants))


def _repeated(names: Sequence[str]) -> Iterator[int]:
    """The places of those that stand further ahead, too."""
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name in seen:
            yield at
        seen.add(name)
