"""Takes what a request may use off its caller's limits before it is served, and settles what it did use at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Protocol, Self

from msgspec.structs import replace

from engines.api import Rejected
from gateway import rate_headers
from gateway.charging import paid, priced, priced_as
from gateway.exchange import Exchange
from gateway.exposition import family, labels
from gateway.pricing import PriceList
from gateway.prompt import Prompt
from gateway.quotas import Quotas, described
from gateway.ratelimit_fields import RateLimitFields
from router.model import Model, Version
from security.api import Principal
from security.limits.api import NOTHING, Cost, Limit, LimitsAway, OverLimit, Quota, Reservation
from security.limits.limiter import Limiter, Unread
from security.limits.output import left_for_output, left_to_spend


class Hold(Protocol):
    """Of what a request may use; left once it has ended."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class _Unbound:
    """Nothing is held for whom nothing binds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to settle."""


_UNBOUND: Final = _Unbound()


class Reserved:
    """A reservation, and the exchange that tells at the end what became of it."""

    __slots__ = ("_exchange", "_reservation")

    def __init__(self, reservation: Reservation, exchange: Exchange) -> None:
        self._reservation = reservation
        self._exchange = exchange

    def __repr__(self) -> str:
        return f"<Reserved {self._reservation!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        with self._reservation as reservation:  # which, whatever breaks in here, does not stay held
            reservation.settle(self._owed(exc))

    def _owed(self, error: BaseException | None) -> Cost:
        return used(self._exchange, error)


class Purchase(Reserved):
    """The same with budgets: they are charged what the ledger writes down."""

    __slots__ = ("_prices",)

    def __init__(self, reservation: Reservation, exchange: Exchange, prices: PriceList) -> None:
        super().__init__(reservation, exchange)
        self._prices = prices

    def _owed(self, error: BaseException | None) -> Cost:
        exchange = self._exchange
        exchange.conclude(error)
        money = priced(exchange.record, self._prices, *paid(exchange.record))
        return replace(used(exchange, error), money=money)


class Reserving:
    """As with who asks: `take` answers at once if that can be told here, else `reserve` has to be awaited.

    Both raise OverLimit, NeverFits or LimitsAway, but let pass whoever nothing is enforced for: to try a plan must not
    make an outage. `ietf_headers`: whether callers are told in those, too.
    """

    def __init__(self, quotas: Quotas, limiter: Limiter, prices: PriceList, *, ietf_headers: bool) -> None:
        self._quotas = quotas
        self._spelled = RateLimitFields().both if ietf_headers else rate_headers.lines
        self._prices = prices
        self.limiter = limiter
        self.refused: Counter[tuple[str, str, bool]] = Counter()
        """By whose limit and what it bounds, and whether it is enforced."""

    def __repr__(self) -> str:
        return f"<Reserving of {self._quotas!r} by {self.limiter!r}>"

    def take(self, principal: Principal, model: Model, prompt: Prompt, exchange: Exchange) -> Hold | None:
        quota = self._quotas.of(principal, model, exchange.record.unix_ms)
        if quota is None:
            return _UNBOUND
        cost = self._asked(quota, model, prompt, exchange)
        try:
            reservation = self.limiter.take(quota, cost)
        except Unread:
            return None
        except LimitsAway as away:
            return _let_pass(quota, away)
        except OverLimit as over:
            raise self._told(over, exchange) from None
        if reservation is None:
            return None
        return self._hold(reservation, quota, cost, model, prompt, exchange)

    async def reserve(self, principal: Principal, model: Model, prompt: Prompt, exchange: Exchange) -> Hold:
        quota = self._quotas.of(principal, model, exchange.record.unix_ms) or Quota(principal.tenant)
        cost = self._asked(quota, model, prompt, exchange)
        try:
            reservation = await self.limiter.reserve(quota, cost)
        except LimitsAway as away:
            return _let_pass(quota, away)
        except OverLimit as over:
            raise self._told(over, exchange) from None
        return self._hold(reservation, quota, cost, model, prompt, exchange)

    def _hold(  # all that is known
        self, reservation: Reservation, quota: Quota, cost: Cost, model: Model, prompt: Prompt, exchange: Exchange
    ) -> Reserved:
        try:
            for limit in reservation.waived:
                self._count(limit)
            exchange.limit(self._spelled(reservation.quota, reservation.decision))
            if quota.cut:
                exchange.most = self._most(reservation, cost, model, prompt, exchange)
        except BaseException:  # then nobody leaves the block
            reservation.settle(NOTHING)
            raise
        if reservation.quota.budgets:
            return Purchase(reservation, exchange, self._prices)
        return Reserved(reservation, exchange)

    def _asked(self, quota: Quota, model: Model, prompt: Prompt, exchange: Exchange) -> Cost:
        """What is expected, with what that comes to in money where there are budgets, at the price of when it came."""
        cost = _expected(quota, model, prompt, exchange)
        if not quota.budgets:
            return cost
        money = self._prices.cost(*_price_of(model, exchange), cost.input_tokens, cost.output_tokens)
        return replace(cost, money=money)

    def _most(
        self, reservation: Reservation, cost: Cost, model: Model, prompt: Prompt, exchange: Exchange
    ) -> int | None:
        """Tokens that each answer may have, at least one; None: no limit bounds them, or there are none."""
        if prompt.kind == "embedding":
            return None
        money = left_to_spend(reservation)
        bought = None if money is None else self._prices.buys(*_price_of(model, exchange), money)
        besides = [tokens for tokens in (left_for_output(reservation), bought) if tokens is not None]
        return max(1, (cost.output_tokens + min(besides)) // prompt.n) if besides else None

    def _told(self, over: OverLimit, exchange: Exchange) -> OverLimit:
        self._count(over.limit)
        exchange.limit(self._spelled(over.quota, over.decision))
        return over

    def _count(self, limit: Limit) -> None:
        self.refused[(*described(limit), limit.enforce)] += 1

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        text = "Requests over a limit, by whose it is and what it bounds; enforced=false: that were let pass."
        names = "holder", "limit", "enforced"
        series = [
            (labels(names, (holder, limit, str(enforced).lower())), count)
            for (holder, limit, enforced), count in sorted(self.refused.items())
        ]
        yield from family("counter", "snowshed_over_limit_total", text, series)
        text = "Callers whose plan is not listed, each once for each model that it asks for, until plans change."
        yield from family("counter", "snowshed_plan_unlisted_total", text, [("", self._quotas.unlisted)])
        text = "Whether the store of limits could be asked the last time; 1 as well where there is none."
        yield from family("gauge", "snowshed_limit_store_up", text, [("", 0 if self.limiter.trouble else 1)])

    def warnings(self) -> list[str]:
        """For readiness, which it does not touch: what holds without the store is a matter of plans."""
        return [self.limiter.trouble] if self.limiter.trouble else []


def _let_pass(quota: Quota, away: LimitsAway) -> Hold:
    """What can't be counted now is no matter where it would refuse nobody. Else raises what it is told."""
    limits: tuple[Limit, ...] = (*quota.buckets, *quota.slots, *quota.budgets)
    if any(limit.enforce for limit in limits):
        raise away
    return _UNBOUND


def _expected(quota: Quota, model: Model, prompt: Prompt, exchange: Exchange) -> Cost:
    """Before the call, by what is known of the model's first version: which one will answer is not known yet."""
    version = _first(model)
    costs = version.admission.costs
    tokens = costs.prompt(prompt.text_bytes)
    if prompt.kind == "embedding":
        return Cost(1, tokens)
    cap = version.max_tokens if prompt.max_tokens is None else prompt.max_tokens
    output = costs.output(exchange.record.tenant, tokens, cap) * prompt.n
    if prompt.max_tokens is None or quota.cut:  # no reason to refuse for ever; what comes beyond is cut, or a debt
        output = min(output, max(quota.most_output(tokens), prompt.n))
    return Cost(1, tokens, output)


def _price_of(model: Model, exchange: Exchange) -> tuple[str, int]:
    """The model that is priced, and when."""
    return priced_as(_first(model).label), exchange.record.unix_ms // 1000


def _first(model: Model) -> Version:
    return model.only or next(iter(model.versions.values()))


def used(exchange: Exchange, error: BaseException | None) -> Cost:
    """What a request that ended so is charged: what was counted, else what was expected.

    Nothing where it came to nothing by a fault of ours or of a model server's. Who leaves, or sets a time that is too
    short, pays for what was produced until then: a model server's time is theirs from when it has the prompt. Of a text
    in one piece, that may be all that was expected.
    """
    record, spent = exchange.record, exchange.spent
    prompt, completion = record.prompt_tokens, record.completion_tokens
    if error is not None and spent is not None:
        prompt, completion = spent.prompt, spent.completion
    if isinstance(error, Rejected):
        return Cost(1)  # as ever so often with a caller's mistakes
    if error is not None and not exchange.owes(error, completion):
        return NOTHING
    if not (prompt or completion) and (error is None or record.whole):  # a text in one piece, which nobody has counted
        return Cost(1, record.prompt, record.tokens - record.prompt)
    return Cost(1, prompt or record.prompt, completion)
