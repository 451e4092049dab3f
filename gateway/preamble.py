"""What a request's headers decide before its body is looked at: where it may come from, its label, its time."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.errors import (
    INVALID_LABEL,
    INVALID_PRIORITY,
    INVALID_TIMEOUT,
    UNKNOWN_EXPECTATION,
    UNKNOWN_HOST,
    UNSUPPORTED_TYPE,
    Refusal,
)
from router.api import Rank
from security.exposure import HostCheck

Headers = Mapping[bytes, bytes]

_LABEL = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch
_MILLISECONDS = re.compile(rb"[0-9]{1,12}").fullmatch
_SECONDS = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?").fullmatch


PERSONAL = frozenset(
    {
        b"x-client-request-id",
        b"x-request-id",
        b"x-request-timeout-ms",
        b"x-stainless-read-timeout",
        b"x-stainless-timeout",
    }
)
"""The headers that `label` and `seconds` read."""

SESSION = b"x-session-id"
STEERING = frozenset({SESSION, b"forwarded", b"x-forwarded-for", b"x-real-ip"})
"""The headers by which a caller would say where a request goes, or for whom it is."""
PRIORITY = b"x-priority"
URGENCY = frozenset({PRIORITY})
READ = PERSONAL | STEERING | URGENCY
_RANKS: Mapping[bytes, Rank] = {b"critical": 0, b"standard": 1, b"batch": 2}


def check(headers: Headers, hosts: HostCheck | None) -> None:
    """Raises Refusal for a host that is not ours, a body that is not JSON, or an expectation that can't be met."""
    if hosts is not None and not hosts.admits(headers.get(b"host")):
        raise Refusal(UNKNOWN_HOST)
    if b"expect" in headers and headers[b"expect"].lower() != b"100-continue":
        raise Refusal(UNKNOWN_EXPECTATION)
    kind = headers.get(b"content-type", b"")
    if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
        raise Refusal(UNSUPPORTED_TYPE)


def label(headers: Headers) -> str:
    """The caller's own id for the request, "" if there is none. Raises Refusal if x-client-request-id is unusable."""
    own = headers.get(b"x-client-request-id")
    if own is not None:
        if not _LABEL(own):
            raise Refusal(INVALID_LABEL)
        return own.decode()
    passed = headers.get(b"x-request-id", b"")  # proxies set it; an odd one is not the caller's fault
    return passed.decode() if _LABEL(passed) else ""


def rank(headers: Headers, highest: Rank) -> tuple[Rank, bool]:
    """The class of the request, and whether what its caller says of it counts: not above the highest that is his.

    Raises Refusal if x-priority names none.
    """
    said = headers.get(PRIORITY)
    if said is None:
        return highest, True
    asked = _RANKS.get(said.strip().lower())
    if asked is None:
        raise Refusal(INVALID_PRIORITY)
    return max(asked, highest), asked >= highest


def seconds(headers: Headers, most: float) -> float:
    """How long the caller will wait: x-request-timeout-ms, else the OpenAI SDKs' own header; at most `most` seconds."""
    milliseconds = headers.get(b"x-request-timeout-ms")
    if milliseconds is not None:
        if not _MILLISECONDS(milliseconds) or int(milliseconds) == 0:
            raise Refusal(INVALID_TIMEOUT)
        return min(most, int(milliseconds) / 1000)
    for name in (b"x-stainless-read-timeout", b"x-stainless-timeout"):
        sdk = headers.get(name)
        if sdk is not None and _SECONDS(sdk) and float(sdk) > 0:
            return min(most, float(sdk))
    return most
