"""How much callers may ask for: plans of limits, by name, which tenants are on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from engines.credentials import SecretReference
from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.values import Printable
from security.api import DEFAULT_PLAN, IS_NAME

DEFAULT: Final = DEFAULT_PLAN
"""The plan of who is on none that is listed, too."""
MOST: Final = 10**12


def _plan_name(value: str) -> str:
    if not IS_NAME(value):
        msg = "takes a name that a tenant's plan can have: letters, digits and ._-, the first of them no sign"
        raise ValueError(msg)
    return value


PlanName = Annotated[str, AfterValidator(_plan_name)]


def _limit(description: str) -> int | None:
    return Field(None, ge=1, le=MOST, description=description)


DEAREST: Final = 10**9
Money = Annotated[
    Decimal,
    Field(gt=0, le=DEAREST, decimal_places=6, allow_inf_nan=False),
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

    def mistakes(self, models: Collection[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Their paths in this section, and what is wrong; `models` are the names that there are."""
        names: set[str] = set()
        for at, plan in enumerate(self.plans):
            if plan.name in names:
                yield ("plans", at, "name"), "there is a plan of that name already"
            names.add(plan.name)
            listed: set[str] = set()
            for nth, allowance in enumerate(plan.models):
                if allowance.model not in models:
                    yield ("plans", at, "models", nth, "model"), "there is no model of that name"
                elif allowance.model in listed:
                    yield ("plans", at, "models", nth, "model"), "this model is listed already"
                listed.add(allowance.model)
