"""How that which requests use is written down, and what it costs."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, WithJsonSchema, model_validator

from engines.units import Seconds
from gateway.config.sections import Section
from gateway.config.values import IN_FIGURES, Name
from gateway.pricing import MICRO, Price

DEAREST = 10_000
PerMillion = Annotated[
    Decimal,
    Field(ge=0, le=DEAREST, decimal_places=6, allow_inf_nan=False),
    IN_FIGURES,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": DEAREST},
                {"type": "string", "pattern": r"^[0-9]{1,5}(\.[0-9]{1,6})?$"},
            ]
        }
    ),
]


class PriceSpec(Section):
    """What a model's tokens cost from a day on, until another entry of the model takes over."""

    model: Name = Field(description="The model that answers, whatever name it was asked by.", examples=["chat"])
    since: date = Field(date(1970, 1, 1), description="The day (UTC) from whose beginning it holds.")
    input: PerMillion = Field(description="For a million tokens of prompts, to six decimals.", examples=["0.50"])
    output: PerMillion = Field(description="For a million tokens of answers, to six decimals.", examples=["1.50"])

    @property
    def price(self) -> Price:
        since = int(datetime.combine(self.since, time(), UTC).timestamp())
        return Price(self.model, since, int(self.input * MICRO), int(self.output * MICRO))


class Ledger(Section):
    """What each request with a key has used, in the database of the keys; without auth.kind keys there is none."""

    every: Seconds = Field(1.0, description="How often it is written down; what is not yet, is lost with the process.")
    buffer: int = Field(
        100_000, ge=1000, le=10_000_000, description="Requests that are kept while the database is away; more are lost."
    )
    keep_days: int = Field(
        7, ge=1, le=3650, description="Days for which each request is kept; what a day's add up to is kept for ever."
    )
    prices: tuple[PriceSpec, ...] = Field(
        (), description="What tokens cost; a request's are charged at the price that held when it came in."
    )

    @model_validator(mode="after")
    def _one_price_a_day(self) -> Self:
        if len({(price.model, price.since) for price in self.prices}) < len(self.prices):
            msg = "prices of a model must begin on different days"
            raise ValueError(msg)
        return self
