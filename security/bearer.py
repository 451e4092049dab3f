"""What a request shows to be let in: `authorization: Bearer …`, a key of ours or the token of an issuer."""

from __future__ import annotations

from security.api import Headers, Unauthenticated


def bearer(headers: Headers) -> bytes:
    """Raises Unauthenticated, if there is none."""
    scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated(sent=bool(scheme))
    return shown.strip()
