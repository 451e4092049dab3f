"""How many requests each address may make, counted by slowapi: in memory, or in a store that several gateways share."""

from __future__ import annotations

import logging
import time
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from limits.errors import ConfigurationError
from limits.storage import MemoryStorage
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from starlette.requests import Request
from starlette.responses import Response

T = TypeVar("T")

STEP: Final = 0.2
"""Seconds for a store to let us in, and for each answer."""
MOST: Final = 10_000
"""Addresses told apart in memory; while there are so many, all of them share one allowance."""
_EVERYBODY: Final = "everybody"


class Allowance:
    """So many requests a minute for each address; `store` is a redis:// URL.

    Raises ValueError, fit for people and without the URL, if that can't be one.
    """

    def __init__(self, rate: int, store: str | None = None) -> None:
        self._limiter = _limiter(store)
        self._passing = self._limiter.shared_limit(f"{rate}/minute", scope="admin")(_pass)

    def __repr__(self) -> str:
        return f"<Allowance in {type(self._limiter.limiter.storage).__name__}>"

    def spend(self, address: str) -> float | None:
        """Count a request. If it was one too many: seconds until the next one may come.

        Blocks for as long as the store takes, and raises whatever comes of asking it.
        """
        storage = self._limiter.limiter.storage
        if isinstance(storage, MemoryStorage) and len(storage.storage) >= MOST:
            address = _EVERYBODY
        # slowapi reads the path, too, and lets requests without one pass: it is shown nothing of the caller's making.
        request = Request({"type": "http", "path": "/", "headers": [], "client": (address, 0)})
        try:
            self._passing(request=request)
        except RateLimitExceeded:
            item, names = request.state.view_rate_limit
            return max(0.0, self._limiter.limiter.get_window_stats(item, *names).reset_time - time.time())
        return None

    def close(self) -> None:
        storage: Any = self._limiter.limiter.storage
        if not isinstance(storage, MemoryStorage):
            storage.storage.close()


class _Limiter(Limiter):
    """Does as it is told, and not what RATELIMIT_… variables would make of it."""

    def get_app_config(self, key: str, default_value: T = None) -> T:  # type: ignore[assignment]  # as it is there
        return default_value


def _limiter(store: str | None) -> Limiter:
    try:
        limiter = _Limiter(
            get_remote_address,
            strategy="fixed-window",
            storage_uri=_checked(store) if store else "memory://",
            storage_options=_bounds() if store else {},
            config_filename=__file__,  # a file that says nothing to it; without one it would read `.env`
        )
    except (ConfigurationError, ImportError):
        raise ValueError("needs a driver for Redis: install snowshed[redis]") from None
    # Of its own, and silent: whoever is refused must not fill the log.
    limiter.logger = logging.Logger("slowapi", logging.CRITICAL)  # noqa: LOG001
    return limiter


def _bounds() -> dict[str, Any]:
    """Else the driver tries a dead store again and again, for seconds, and waits for a silent one."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {"socket_timeout": STEP, "socket_connect_timeout": STEP, "retry": Retry(NoBackoff(), 0)}


def _checked(store: str) -> str:
    try:
        parts = urlsplit(store)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:  # a port that is none would be quoted, and may be a piece of the password
        raise ValueError("takes a URL like redis://:password@host:6379/0") from None
    if any(not name.startswith("ssl_") for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("takes only parameters that begin with ssl_ after the ?")  # others would undo the bounds
    return store


def _pass(request: Request) -> Response:  # noqa: ARG001  # slowapi looks for one of that name
    return Response()
