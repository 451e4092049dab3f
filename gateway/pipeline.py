"""The whole product on one page: what happens to a request, in order, and what is held while it happens."""

from __future__ import annotations

from gateway.accounts import Accounts
from gateway.exchange import Exchange
from gateway.prompt import parse
from gateway.relay import relay
from gateway.reserving import Reserving
from gateway.routing import Routes
from router.catalog import Catalog
from router.gate import Gate
from security.api import Authenticator


class Pipeline:
    """Nesting is the architecture: what stands inside a `with` is protected by it, the last streamed byte included."""

    def __init__(  # all stages
        self,
        accounts: Accounts,
        auth: Authenticator,
        gate: Gate,
        catalog: Catalog,
        limits: Reserving,
        routes: Routes,
    ) -> None:
        self._accounts = accounts
        self._auth = auth
        self._gate = gate
        self._catalog = catalog
        self._limits = limits
        self._routes = routes

    def __repr__(self) -> str:
        return f"<Pipeline of {self._catalog!r}, {self._accounts!r}>"

    async def serve(self, exchange: Exchange) -> None:
        """Runs from the moment the headers are in. Ends answered; only the client's leaving gets out, cancelled."""
        with self._accounts.open(exchange.record), exchange:
            exchange.check()
            # Strangers are refused before a body is read, and so are those for whom there could be no place in time.
            principal = self._auth.recall(exchange.headers) or await self._auth.learn(exchange.headers)
            exchange.admit(principal)
            self._gate.check(principal, exchange.record.rank, exchange.intake)
            prompt = parse(exchange.kind, await exchange.body())
            model = self._catalog.find(prompt.model, principal)
            exchange.identify(prompt, model)
            # Limits stand before the queue: over quota takes no place in it. Inside them will be redaction. A place is
            # waited for where it is asked for, at each version that is tried, so that waiting holds nothing else.
            asked = principal, model, prompt, exchange
            held = self._limits.take(*asked) or await self._limits.reserve(*asked)
            with held, await self._routes.dispatch(model, principal, prompt, exchange) as reply:
                await relay(reply, exchange)
