"""The ways to tell who asks, by the name that the configuration gives them, and what a scrape shows of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.config.auth import Auth, AuthKind
from gateway.exposition import family
from security.api import Authenticator
from security.authenticator import KeyAuthenticator
from security.open_door import OPEN_DOOR


def _keys(options: Auth) -> Authenticator:
    from gateway.store.database import address  # only who keeps keys pays for SQL
    from gateway.store.keys import SqlKeyStore

    return KeyAuthenticator(SqlKeyStore(address(options.url())), options.grace, time.monotonic, time.time)


AUTHENTICATORS: Final[Mapping[AuthKind, Callable[[Auth], Authenticator]]] = {"none": lambda _: OPEN_DOOR, "keys": _keys}
"""Each raises ValueError, fit for people, if what the options point to is not there."""


@dataclass(slots=True, frozen=True)
class AuthenticationMetrics:
    """A source for `Metrics`: one series, whoever asks."""

    auth: Authenticator

    def lines(self) -> Iterator[str]:
        text = "Whether where keys are kept could be asked the last time; 1 as well where nobody needs a key."
        yield from family("gauge", "snowshed_key_store_up", text, [("", 0 if self.auth.trouble else 1)])
