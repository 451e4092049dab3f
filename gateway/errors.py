"""The one table of what can go wrong and how it is told: the only place that knows status codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from engines.api import SUBJECTS, Failed, Interrupted, Overloaded, Rejected, TimedOut, Unreachable
from gateway import limit_words
from gateway.accounts import Outcome
from gateway.complaints import Invalid
from gateway.quotas import described
from gateway.rate_headers import whole_seconds
from router.api import NoReplica, NoSuchModel, NotPermitted, Quarantined, Reason, Shed
from security.api import Forbidden, StoreAway, Unauthenticated, Unvouched
from security.limits.api import LimitsAway, NeverFits, OverLimit
from security.limits.budget import Budget


@dataclass(frozen=True)
class Problem:
    """An error as the client sees it, in OpenAI's envelope. `retry_after` in seconds; `close` ends the connection.

    `precise`: that time is told in milliseconds, too. `challenge`: by what one gets in, in HTTP's words.
    `reason`: for operators, which of the reasons for that code it is, where there are several.
    `spent`: what could be tried has been tried here. An SDK that tries again on its own would only add to the load.
    """

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after: float | None = None
    close: bool = False
    precise: bool = False
    spent: bool = False
    challenge: str = ""
    outcome: Outcome = "ignored"
    reason: str = ""

    @cached_property
    def envelope(self) -> bytes:
        """`{"error": {message, type, param, code}}` as JSON."""
        return msgspec.json.encode(
            {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}
        )

    @cached_property
    def lines(self) -> bytes:
        """The header lines that belong beside the envelope."""
        lines = b"content-type: application/json\r\n"
        if self.retry_after is not None:
            lines += b"retry-after: %d\r\n" % whole_seconds(self.retry_after)
            if self.precise:
                lines += b"retry-after-ms: %d\r\n" % math.ceil(self.retry_after * 1000)
        if self.challenge:
            lines += b'www-authenticate: %b realm="snowshed"\r\n' % self.challenge.encode()
        if self.spent:
            lines += b"x-should-retry: false\r\n"
        return lines

    def but(self, **changes: Any) -> Problem:
        """The same problem with some members replaced."""
        return replace(self, **changes)


class Refusal(Exception):
    """Carries a problem up to the edge. (A new one each time: a raised exception keeps its frames alive.)"""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def _caller(status: int, code: str, message: str, *, close: bool = False, param: str | None = None) -> Problem:
    return Problem(status, "invalid_request_error", code, message, param, close=close)


def _stranger(message: str, challenge: str) -> Problem:
    return _caller(401, "invalid_api_key", message).but(challenge=challenge)


def _ours(status: int, code: str, message: str, retry_after: float | None = None) -> Problem:
    return Problem(status, "server_error", code, message, retry_after=retry_after, outcome="failed")


MALFORMED_HTTP = _caller(400, "malformed_request", "The request is not valid HTTP/1.1.", close=True)
HEAD_TOO_LARGE = _caller(431, "headers_too_large", "The request's headers are too large.", close=True)
URL_TOO_LONG = _caller(414, "url_too_long", "The request's URL is too long.", close=True)
REPEATED_HEADER = _caller(400, "repeated_header", "A header that must be sent once was repeated.", close=True)
PIPELINE_FULL = _caller(400, "pipeline_full", "Too many requests were sent ahead of their answers.", close=True)
SLOW_HEAD = _caller(408, "request_timeout", "The request's headers took too long.", close=True)
SLOW_BODY = _caller(408, "request_timeout", "The request's body took too long.", close=True)
BODY_TOO_LARGE = _caller(413, "request_too_large", "The request's body is too large.", close=True)
BODY_CUT = _caller(400, "incomplete_body", "The request's body ended early.", close=True)
UNSUPPORTED_TYPE = _caller(415, "unsupported_content_type", "Send the body with content-type: application/json.")
UNKNOWN_HOST = _caller(421, "unknown_host", "This server does not answer under that host name.", close=True)
NOT_FOUND = _caller(404, "unknown_url", "There is nothing at this URL.")
METHOD_NOT_ALLOWED = _caller(405, "method_not_allowed", "This URL does not take that method.")
INVALID_PARAMETER = _caller(400, "invalid_value", "A parameter in the URL has an unsuitable value.")
UNKNOWN_EXPECTATION = _caller(417, "unknown_expectation", "Only expect: 100-continue can be met.", close=True)
INVALID_LABEL = _caller(
    400,
    "invalid_value",
    "x-client-request-id takes 1 to 128 letters, digits and any of ._:- .",
    param="x-client-request-id",
)
INVALID_TIMEOUT = _caller(
    400,
    "invalid_value",
    "x-request-timeout-ms takes a whole number of milliseconds from 1.",
    param="x-request-timeout-ms",
)
INVALID_PRIORITY = _caller(400, "invalid_value", "x-priority takes critical, standard or batch.", param="x-priority")
NO_KEY = _stranger("An API key or token is needed: send authorization: Bearer …", "Bearer")
BAD_KEY = _stranger("The API key or token is unknown, expired or revoked.", "Bearer")
NO_IDENTITY = _stranger("A proxy of the service mesh has to say who asks, and none of those trusted here has.", "Mesh")
BAD_IDENTITY = _stranger("The identity that the service mesh tells is not let in here.", "Mesh")
KEYS_AWAY = _ours(503, "keys_unavailable", "The API key or token can't be checked at the moment.", 2.0)
STORE_AWAY = _ours(503, "store_unavailable", "The database can't be asked at the moment.", 2.0)
NOT_JSON = _caller(400, "invalid_json", "The request's body is not JSON.")
UNSUITABLE = _caller(400, "invalid_value", "A value does not suit.")
NOT_THERE = _caller(404, "not_found", "There is no such thing.")
CONFLICT = _caller(409, "conflict", "What is there stands against it.")
TOO_OFTEN = Problem(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests from this address.")
MODEL_NOT_FOUND = _caller(404, "model_not_found", "There is no model of that name here.", param="model")
DRAINING = _ours(503, "draining", "The gateway is shutting down; another one will answer.", 1.0).but(close=True)
CROWDED = _ours(503, "too_many_connections", "The gateway holds too many connections.", 1.0).but(close=True)
BODIES_FULL = _ours(503, "overloaded", "The gateway holds too many request bodies.", 1.0).but(
    spent=True, reason="bodies"
)
LOOP_LATE = _ours(503, "overloaded", "The gateway's event loop can't keep up.", 1.0).but(precise=True, reason="lag")
# Those two close the connection: it takes memory and a file descriptor itself.
MEMORY_SHORT = _ours(503, "overloaded", "The gateway is short of memory.", 1.0).but(
    close=True, precise=True, reason="memory"
)
FILES_SHORT = _ours(503, "overloaded", "The gateway is short of file descriptors.", 1.0).but(
    close=True, precise=True, reason="files"
)
DEADLINE = _ours(504, "upstream_timeout", "The request's deadline has passed.").but(spent=True)
INTERNAL = _ours(500, "internal_error", "Something went wrong in the gateway; the request id tells which log line.")


def _overloaded(error: Any) -> Problem:
    seconds = 1.0 if error.retry_after is None else error.retry_after
    return _ours(503, "upstream_overloaded", error.message, seconds).but(spent=True)


_SHED: Mapping[Reason, str] = {
    "queue_full": "too many requests wait for the model",
    "tenant_full": "too many of this caller's requests wait for the model",
    "too_long": "the request would have to wait for too long",
    "too_late": "the request has waited for too long",
}


@lru_cache(maxsize=4096)
def _shed(reason: Reason, tenths: int) -> Problem:
    """Made once: in a flood of requests each refusal should cost next to nothing."""
    message = f"The model has too much to do: {_SHED[reason]}."
    return _ours(503, "overloaded", message, tenths / 10).but(spent=reason == "too_late", precise=True, reason=reason)


def _over_limit(error: OverLimit) -> Problem:
    holder, limit = described(error.limit)
    kind = "tokens" if "tokens" in limit else "requests"
    reason = f"{holder}:{limit}"
    if isinstance(error.limit, Budget):  # as OpenAI's own; an SDK that waits for a month would wait in vain
        words = limit_words.unpaid(error.limit, error.remaining)
        return Problem(429, "insufficient_quota", "insufficient_quota", words, spent=True, reason=reason)
    return Problem(
        429, kind, "rate_limit_exceeded", limit_words.over(error), retry_after=error.wait, precise=True, reason=reason
    )


def _never_fits(error: NeverFits) -> Problem:
    holder, limit = described(error.bucket)
    return _caller(400, "request_over_limit", limit_words.never(error)).but(reason=f"{holder}:{limit}")


def _rejected(error: Any) -> Problem:
    if error.kind == "too_large":
        return _caller(413, error.code or "request_too_large", error.message, param=error.param)
    return _caller(400, error.code or "invalid_value", error.message, param=error.param)


def _interrupted(error: Any) -> Problem:
    return _ours(
        504 if error.phase else 502,
        "upstream_timeout" if error.phase else "upstream_interrupted",
        error.message,
    )


def _quarantined(error: Any) -> Problem:
    seconds = math.ceil(error.seconds)
    message = f"Model servers broke down under this prompt; it is not sent again for {seconds} seconds."
    return _caller(400, "prompt_quarantined", message, param=SUBJECTS[error.kind])


def _forbidden(error: Any) -> Problem:
    return _caller(403, "insufficient_permissions", f"The caller lacks the scope {error.scope}.")


TABLE: dict[type[BaseException], Callable[[Any], Problem]] = {
    Refusal: lambda e: e.problem,
    Invalid: lambda e: _caller(413 if e.too_large else 400, e.code or "invalid_value", e.message, param=e.param),
    Unauthenticated: lambda e: BAD_KEY if e.sent else NO_KEY,
    Unvouched: lambda e: BAD_IDENTITY if e.sent else NO_IDENTITY,
    Forbidden: _forbidden,
    StoreAway: lambda _: KEYS_AWAY,
    NoSuchModel: lambda _: MODEL_NOT_FOUND,
    NotPermitted: lambda _: _forbidden(Forbidden("routing")),
    Quarantined: _quarantined,
    Shed: lambda e: _shed(e.reason, math.ceil(10 * e.retry_after)),
    OverLimit: _over_limit,
    NeverFits: _never_fits,
    LimitsAway: lambda e: _ours(503, "limits_unavailable", "The limits can't be checked at the moment.", e.wait),
    NoReplica: lambda _: _ours(503, "no_replica", "The model has no replica.", 5.0),
    Rejected: _rejected,
    Overloaded: _overloaded,
    Unreachable: lambda e: _ours(502, "upstream_unreachable", e.message).but(spent=e.spent),
    TimedOut: lambda e: _ours(504, "upstream_timeout", e.message).but(spent=True),
    Failed: lambda e: _ours(502, "upstream_error", e.message).but(spent=e.spent),
    Interrupted: _interrupted,
}


def problem(error: BaseException) -> Problem:
    """How an exception of any room is told to the client; what the table does not know is ours, and internal."""
    told = TABLE.get(type(error)) or next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), None)
    return INTERNAL if told is None else told(error)


def for_status(status: int) -> Problem:
    """An error that FastAPI, Starlette or uvicorn found, by its status."""
    known = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 400: MALFORMED_HTTP}
    if status in known:
        return known[status]
    if status < 500:
        return _caller(status, "invalid_request", "The request can't be answered.")
    return INTERNAL
