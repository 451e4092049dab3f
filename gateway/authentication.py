"""The ways to tell who asks, by the name that the configuration gives them, and what a scrape shows of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.config.auth import Auth, AuthKind
from gateway.config.tokens import Jwt
from gateway.exposition import family
from security.api import Authenticator
from security.authenticator import KeyAuthenticator
from security.beside_mesh import BesideMesh
from security.jwt.api import REASONS, TokenAuthenticator
from security.mesh import MeshAuthenticator, Peers
from security.open_door import OPEN_DOOR
from security.side_by_side import SideBySide


def _keys(options: Auth) -> Authenticator:
    from gateway.store.database import address  # only who keeps keys pays for SQL
    from gateway.store.keys import SqlKeyStore

    keys = KeyAuthenticator(SqlKeyStore(address(options.url())), options.grace, time.monotonic, time.time)
    return _beside_mesh(SideBySide(keys, tokens(options.jwt)) if options.jwt else keys, options)


def _jwt(options: Auth) -> Authenticator:
    assert options.jwt is not None  # Auth sees to it
    return _beside_mesh(tokens(options.jwt), options)


def _mesh(options: Auth) -> MeshAuthenticator:
    assert options.mesh is not None  # the same
    return MeshAuthenticator(options.mesh.trusted(), options.mesh.rules())


def _beside_mesh(shown: Authenticator, options: Auth) -> Authenticator:
    return BesideMesh(shown, _mesh(options)) if options.mesh else shown


def tokens(options: Jwt) -> Authenticator:
    """Raises ValueError, fit for people, if what checks signatures is not installed."""
    try:
        from jwt.algorithms import has_crypto

        from gateway.issuer import Issuer
        from security.jwt.authenticator import JwtAuthenticator
        from security.jwt.issuer_keys import IssuerKeys

        if not has_crypto:
            raise ImportError
    except ImportError:
        raise ValueError("tokens need a library that checks them: install snowshed[jwt]") from None
    keys = IssuerKeys(Issuer(options.issuer, options.jwks_url), options.algorithms, options.grace, time.monotonic)
    return JwtAuthenticator(keys, options.terms(), time.monotonic, time.time)


AUTHENTICATORS: Final[Mapping[AuthKind, Callable[[Auth], Authenticator]]] = {
    "none": lambda _: OPEN_DOOR,
    "keys": _keys,
    "jwt": _jwt,
    "mesh": _mesh,
}
"""Each raises ValueError, fit for people, if what the options point to is not there."""


def _parts(auth: Authenticator) -> Iterator[Authenticator]:
    if isinstance(auth, BesideMesh):
        yield from (*_parts(auth.shown), auth.mesh)
    elif isinstance(auth, SideBySide):
        yield from (auth.keys, auth.tokens)
    else:
        yield auth


def mesh_peers(auth: Authenticator) -> Peers | None:
    """Whose word is taken on who asks, if anybody's is."""
    return next((part.peers for part in _parts(auth) if isinstance(part, MeshAuthenticator)), None)


@dataclass(slots=True, frozen=True)
class AuthenticationMetrics:
    """A source for `Metrics`: one series, whoever asks; of tokens where they are good for something."""

    auth: Authenticator

    def lines(self) -> Iterator[str]:
        parts = tuple(_parts(self.auth))
        away = any(part.trouble for part in parts if isinstance(part, KeyAuthenticator))
        text = "Whether where keys are kept could be asked the last time; 1 as well where nobody needs a key."
        yield from family("gauge", "snowshed_key_store_up", text, [("", 0 if away else 1)])
        for part in parts:
            if isinstance(part, TokenAuthenticator):
                text = "Whether the issuer of tokens could be asked for its keys the last time."
                yield from family("gauge", "snowshed_token_issuer_up", text, [("", 0 if part.trouble else 1)])
                text = "Tokens that were not good, by the reason."
                counts = [(f'reason="{reason}"', part.refusals[reason]) for reason in REASONS]
                yield from family("counter", "snowshed_tokens_refused_total", text, counts)
        peers = mesh_peers(self.auth)
        if peers:
            text = "Requests with an identity of the mesh that did not count, from peers who are not trusted with it."
            yield from family("counter", "snowshed_mesh_ignored_total", text, [("", peers.ignored)])
