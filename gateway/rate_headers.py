"""How a caller's limits stand, in the headers that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from security.limits.api import Standing


def lines(standings: Iterable[Standing]) -> bytes:
    """Header lines: of requests and of tokens, each the limit that has least left."""
    tightest: dict[str, Standing] = {}
    for standing in standings:
        kind = "requests" if standing.bucket.unit == "requests" else "tokens"
        known = tightest.get(kind)
        if known is None or standing.remaining < known.remaining:
            tightest[kind] = standing
    return b"".join(
        b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
        % (name, standing.bucket.burst, name, standing.remaining, name, span(standing.full_in))
        for name, standing in ((kind.encode(), standing) for kind, standing in tightest.items())
    )


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
