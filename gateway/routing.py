"""From a model to a reply: a version is chosen for the caller, and, where the operator allows it, another model."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any

from msgspec.structs import replace

from engines.api import SUBJECTS, Call, EngineError, Rejected
from gateway.accounts import Record
from gateway.capping import lower
from gateway.exchange import Exchange
from gateway.prompt import Prompt
from router.api import NO_AFFINITY, Affinity, Caller, NoReplica, NoSuchModel, Shed
from router.catalog import STEER, Catalog
from router.cost import Costs
from router.dispatch import Dispatched, Dispatcher
from router.model import Fallback, Model, Version, trouble_of
from router.shadow import MARK, Shadowed
from security.api import Principal

Dispatching = Coroutine[Any, Any, Dispatched | Shadowed]


class Routes:
    """Decides where each request goes; what was decided is in its record."""

    def __init__(self, catalog: Catalog, dispatcher: Dispatcher, random: Random) -> None:
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._random = random

    def __repr__(self) -> str:
        return f"<Routes of {self._catalog!r}, {self._dispatcher!r}>"

    def dispatch(self, model: Model, principal: Principal, prompt: Prompt, exchange: Exchange) -> Dispatching:
        """Raises, once awaited or at once, what the dispatcher raises, of the model that was asked last."""
        # No coroutine of our own around the dispatcher's, where there is nothing to wait for but its end.
        if model.fallback is None:
            return self._dispatch(model, principal, prompt, exchange)
        return self._reach(model, model.fallback, principal, prompt, exchange)

    async def _reach(
        self, model: Model, fallback: Fallback, principal: Principal, prompt: Prompt, exchange: Exchange
    ) -> Dispatched | Shadowed:
        try:
            return await self._dispatch(model, principal, prompt, exchange)
        except (EngineError, NoReplica, Shed) as error:
            trouble = trouble_of(error)
            if trouble not in fallback.on:
                raise
            failure = error
        for name in fallback.models:
            try:
                other = self._catalog.find(name, principal)
            except NoSuchModel:
                continue  # not the caller's
            exchange.degrade(other, trouble)
            try:
                return await self._dispatch(other, principal, prompt, exchange)
            except Rejected:
                continue  # it may suit the model that was asked; of another one's limits the caller knows nothing
            except (EngineError, NoReplica, Shed) as error:
                if trouble_of(error) is None:
                    raise
                failure = error
        raise failure

    def _dispatch(self, model: Model, principal: Principal, prompt: Prompt, exchange: Exchange) -> Dispatching:
        version = model.only or self._choose(model, principal, prompt, exchange)
        call = exchange.call(prompt, version)
        _estimate(version.admission.costs, prompt, exchange.record)
        affinity = _affinity(version, call, prompt, exchange)
        hedge = model.hedge
        if hedge is not None and not hedge.suits(exchange.record.rank, call):
            hedge = None
        shadow = model.shadow
        if shadow is not None and shadow.wants(version):
            other = _copied(call, prompt, shadow.version, exchange.most)
            others = _affinity(shadow.version, other, prompt, exchange)
            copy = shadow.copy(other, others, exchange.record)
            return copy.beside(self._dispatcher.dispatch(version, call, affinity, exchange.record, hedge))
        return self._dispatcher.dispatch(version, call, affinity, exchange.record, hedge)

    def _choose(self, model: Model, principal: Principal, prompt: Prompt, exchange: Exchange) -> Version:
        headers = exchange.headers
        steers = STEER in principal.scopes
        if not steers:
            exchange.ignore(model.split.headers)
        caller = Caller(
            principal.key_id,
            principal.tenant,
            prompt.user,
            exchange.session,
            headers if steers else {},
        )
        version, exchange.record.why = model.choose(caller, self._random)
        return version


def _copied(call: Call, prompt: Prompt, version: Version, most: int | None) -> Call:
    fields = prompt.upstream_fields(version.upstream, version.cap_field, version.max_tokens)
    if most is not None:
        lower(fields, version.cap_field, most)
    return replace(call, id=f"{call.id}{MARK}", fields=fields, model=version.model)


def _estimate(costs: Costs, prompt: Prompt, record: Record) -> None:
    expected = costs.prompt(prompt.text_bytes)
    output = 0
    if prompt.kind != "embedding":
        output = costs.output(record.tenant, expected, prompt.max_tokens) * prompt.n
    record.answers = prompt.n
    record.prompt = expected
    record.tokens = expected + output
    record.work = costs.work(expected, output)


def _affinity(version: Version, call: Call, prompt: Prompt, exchange: Exchange) -> Affinity:
    if not version.pool.heeds_affinity:
        return NO_AFFINITY
    said = bytes(call.fields.get(SUBJECTS[call.kind], b""))  # a Raw of msgspec has no parts
    return Affinity(exchange.session or prompt.user, said)
