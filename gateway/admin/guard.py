"""Slows down who asks the admin listener too often, before anything else looks at a request: also who guesses keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.addresses import client_address, counted_as
from gateway.admin.allowance import Allowance
from gateway.exposition import family

_logger = logging.getLogger("snowshed")

PATIENCE: Final = 0.5
"""Seconds that a request waits for the shared store at most."""
PAUSE: Final = 5.0
"""Seconds between two questions to a store that did not answer."""
THREADS: Final = 4


class Guard:
    """Every request counts in this process's memory, and then, if there is one, in the store that is shared.

    So a store that is away takes nothing along but the sum over several gateways: whoever asks is still counted here.
    `rate` and `store` are an Allowance's; `clock` is monotonic.
    """

    def __init__(self, rate: int, store: str | None, clock: Callable[[], float]) -> None:
        self._here = Allowance(rate)
        self._shared = Allowance(rate, store) if store else None
        self._threads = ThreadPoolExecutor(THREADS, "admin-guard")
        self._clock = clock
        self._ask_from = 0.0
        self.limited = 0
        """Requests refused so far."""
        self.trouble = ""
        """What is wrong with the store; "" if nothing is, or there is none."""

    def __repr__(self) -> str:
        return f"<Guard {self.limited} refused; {self.trouble or 'counting'}>"

    async def admit(self, address: str) -> float | None:
        """Count a request. If it was one too many: seconds until the next one may come. Raises nothing."""
        name = counted_as(address)
        wait = self._here.spend(name)
        if wait is None and self._shared is not None:
            wait = await self._ask(self._shared, name)
        self.limited += wait is not None
        return wait

    async def _ask(self, shared: Allowance, name: str) -> float | None:
        now = self._clock()
        if now < self._ask_from:
            return None
        if self.trouble:
            self._ask_from = now + PAUSE  # one finds out whether that is over; the others don't wait for it
        asking = asyncio.get_running_loop().run_in_executor(self._threads, shared.spend, name)
        try:
            async with asyncio.timeout(PATIENCE):
                wait = await asking
        except Exception as error:  # noqa: BLE001  # whatever a store, its driver and the network come up with
            self._ask_from = now + PAUSE
            self._tell(type(error).__name__)
            return None
        self._ask_from = now
        self._tell("")
        return wait

    def _tell(self, trouble: str) -> None:
        """Once for each change. The kind of error alone: its text may quote what was asked, and whom."""
        if trouble and not self.trouble:
            _logger.warning("admin rate store away", extra={"reason": trouble})
        elif self.trouble and not trouble:
            _logger.info("admin rate store back")
        self.trouble = trouble

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        text = "Whether the store of the admin listener's rates answered the last time; 1 as well where there is none."
        yield from family("gauge", "snowshed_admin_rate_store_up", text, [("", 0 if self.trouble else 1)])
        text = "Requests to the admin listener that came too often."
        yield from family("counter", "snowshed_admin_limited_total", text, [("", self.limited)])

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._shared is not None:
            self._shared.close()


class Guarded:
    """A plain ASGI wrapper: nobody gets past it more often than the guard allows. `refuse` answers them instead.

    What is inside sees the client's own address in `scope["client"]`, not that of a proxy in one of these networks.
    """

    def __init__(self, app: ASGIApp, guard: Guard, proxies: Sequence[str], refuse: Callable[[float], ASGIApp]) -> None:
        self._app = app
        self._guard = guard
        self._proxies = [ip_network(proxy) for proxy in proxies]
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer, port = scope["client"] or ("unknown", 0)
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        address = client_address(peer, forwarded, self._proxies)
        wait = await self._guard.admit(address)
        app = self._app if wait is None else self._refuse(wait)
        await app({**scope, "client": (address, port if address == peer else 0)}, receive, send)
