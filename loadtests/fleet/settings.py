"""How a replica behaves: timing, slots and the fault it shows; as a whole, and changed for one request.

A request carries its own changes as `@@key=value,key=value@@` anywhere in its body (message text, prompt, model name:
a gateway forwards those), or as the header `x-fleet: key=value,key=value`. Faults are explained in `faults.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec

Fault = Literal[
    "",
    "reset",
    "reset_after",
    "accept_silent",
    "headers_silent",
    "half_open",
    "stall",
    "drip",
    "eof_clean",
    "eof_close",
    "eof_delimited",
    "cut",
    "malformed",
    "error_event",
    "error_body_200",
    "wrong_length",
    "status",
    "early_response",
    "gzip",
    "done_late",
    "no_usage",
    "no_done_but_finish",
    "close_idle",
    "close_reuse",
    "continue_100",
    "error",
    "traceback",
    "no_final",
    "wrong_dtype",
    "missing_output",
    "cut_character",
    "invalid_utf8",
    "huge",
]
Mode = Literal["open", "refused", "backlog_full"]
"""What a listener does with a new connection."""
Chunking = Literal["event", "coalesce", "split", "crlf"]

Count = Annotated[int, msgspec.Meta(ge=0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]

_MARK = re.compile(rb"@@([a-z_]+=[^@\"\s]*)@@")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable: assign a changed one."""

    tokens: Count = 32
    """Length of an answer, for each choice; a lower cap in the request cuts it with finish_reason `length`."""
    heeds_cap: bool = True
    """Else a request's cap means nothing, as to a server that is broken."""
    ttft_ms: Milliseconds = 0
    """From the start of service to the first token of a stream."""
    delay_ms: Milliseconds = 0
    """Between two tokens of a stream, on an absolute schedule (a late token does not delay the next)."""
    service_ms: Milliseconds = 0
    """From the start of service to a unary answer."""
    slots: Count = 0
    """Requests served at a time; the others wait first in, first out. 0: no limit. Only for a whole replica."""
    fault: Fault = ""
    after: Count = 0
    """Tokens of a stream before the fault; a unary answer breaks in its middle."""
    status: int = 503
    """What the faults `status` and `early_response` answer with."""
    retry_after: str = ""
    """The `retry-after` header of the fault `status`; empty: none."""
    drip_ms: Milliseconds = 20_000
    """Between two tokens (or tenths of a unary body) under the fault `drip`."""
    upstream_model: str = ""
    """Model named in answers and in the list of models; empty: the one asked for (in the list: `mock`)."""
    chunking: Chunking = "event"
    """Of a stream. `event` one per write; `coalesce` four per HTTP chunk; `split` each over two HTTP chunks and two TCP
    segments; `crlf` as `event` with CRLF line ends."""
    role_apart: bool = False
    """Chat streams begin at once with an event of its own for the role, without content, before the wait for the
    first token; otherwise the role comes with the first token."""
    seed: Count = 0
    """First word of the answer's text, so that replicas can be told apart."""
    headers: str = ""
    """Further headers of a good answer, each as `name:value`, separated by semicolons."""
    health: int = 200
    """Status of GET /health and GET /v1/models; 0: they are never answered. Over gRPC, 200 is ready."""
    max_queue: Count = 0
    """Requests over gRPC that may wait for a slot; one more is refused. 0: no limit."""
    queue_timeout_ms: Milliseconds = 0
    """Time after which a request over gRPC that still waits is refused; it may ask for less. 0: it waits for ever."""
    error: str = ""
    """Text of the fault `error`; empty: the contract's own."""
    bytes: Count = 1 << 20
    """Of the token of the fault `huge`."""
    final: Literal["own", "empty", "flagged"] = "own"
    """The last response over gRPC: one without content, or the last token's, which says so; or as its contract does."""
    wedged: bool = False
    """No request over gRPC makes progress any more, not even a running one. Only for a whole replica."""
    wedge_cancels: Count = 0
    """Requests over gRPC cancelled within a second that wedge the replica. 0: none do. Only for a whole replica."""


def header_lines(settings: Settings) -> list[bytes]:
    """The further headers as lines without line ends."""
    return [line.encode() for line in settings.headers.split(";") if line]


def changed(settings: Settings, changes: Mapping[str, Any], *, strict: bool = True) -> Settings:
    """`settings` with some members replaced; raises `msgspec.ValidationError` on an unknown or mistyped one."""
    return msgspec.convert({**msgspec.structs.asdict(settings), **changes}, Settings, strict=strict)


def pairs(text: str) -> dict[str, str]:
    """The members that `key=value,…` names."""
    return dict(pair.partition("=")[::2] for pair in text.split(","))


@lru_cache(4096)
def directed(settings: Settings, directive: str) -> Settings:
    """`settings` under a request's directive (`key=value,…`); raises `msgspec.ValidationError` on nonsense."""
    changes = pairs(directive)
    if of_replica := changes.keys() & {"slots", "wedged", "wedge_cancels"}:
        raise msgspec.ValidationError(f"{', '.join(sorted(of_replica))}: of a replica, not of a request")
    return changed(settings, changes, strict=False)


def directive_in(body: bytes) -> str:
    """The last directive in a request's body, or an empty string."""
    if b"@" not in body:  # ten times cheaper than looking for two
        return ""
    marks = _MARK.findall(body)
    return marks[-1].decode("latin-1") if marks else ""
