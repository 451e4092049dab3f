"""How a caller's limits stand, in the headers that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from security.limits.api import Standing

_REQUESTS, _TOKENS = (
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (kind, kind, kind)
    for kind in (b"requests", b"tokens")
)


def lines(standings: Iterable[Standing]) -> bytes:
    """Header lines: of requests and of tokens, each the limit that has least left."""
    requests: Standing | None = None
    tokens: Standing | None = None
    for standing in standings:
        if standing.bucket.unit == "requests":
            if requests is None or standing.remaining < requests.remaining:
                requests = standing
        elif tokens is None or standing.remaining < tokens.remaining:
            tokens = standing
    told = b"" if requests is None else _told(_REQUESTS, requests)
    return told if tokens is None else told + _told(_TOKENS, tokens)


def _told(form: bytes, standing: Standing) -> bytes:
    return form % (standing.bucket.burst, standing.remaining, span(standing.full_in))


def span(seconds: float) -> bytes:
    """As `20ms`, `1.5s`, `6m0s` or `23h59m4s`: rounded up, as who comes too early comes in vain."""
    milliseconds = ceil(seconds * 1000)
    if seconds < 1:
        return b"%dms" % milliseconds
    minutes, rest = divmod(ceil(seconds), 60)
    if not minutes:
        return b"%gs" % (milliseconds / 1000)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)
