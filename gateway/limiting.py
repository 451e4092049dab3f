"""Where limits are counted: in this process, or in the store that all gateways share."""

from __future__ import annotations

import os
import time
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from engines.credentials import SecretReference
from security.limits.budget import Ledger
from security.limits.limiter import Limiter
from security.limits.local import LocalLimiter

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster


def limiter(store: SecretReference | None, ledger: Ledger, grace: float) -> Limiter:
    """Asks nobody yet. Raises ValueError, fit for people, without the URL, if it can't be had.

    `grace`: seconds for which budgets are spent while the store is away.
    """
    if store is None:
        return LocalLimiter(time.monotonic, ledger)
    client = store_client(store)
    from security.limits import script  # only who shares limits pays for the driver
    from security.limits.cashier import Cashier
    from security.limits.line import Line
    from security.limits.redis_store import RedisLimiter

    mark, numbers = os.urandom(8).hex(), count()
    random = Random()  # noqa: S311  # spreads load, guards nothing
    line = Line(client, script.text())
    cashier = Cashier(line, ledger, time.time, grace)
    return RedisLimiter(line, lambda: f"{mark}-{next(numbers)}", time.monotonic, random, cashier)


def store_client(store: SecretReference) -> Redis | RedisCluster:
    """The way to the store. Asks nobody yet. Raises ValueError as `limiter` does."""
    try:
        from security.limits.client import connect
    except ImportError:
        raise ValueError("needs a driver for Redis: install snowshed[redis]") from None
    return connect(store.read())
