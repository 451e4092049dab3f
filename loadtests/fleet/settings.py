"""How a replica behaves: timing, slots and the fault it shows; as a whole, and changed for one request.

A request carries its own changes as `@@key=value,key=value@@` anywhere in its body (message text, prompt, model name:
a gateway forwards those), or as the header `x-fleet: key=value,key=value`. Faults are explained in `faults.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

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
]
Mode = Literal["open", "refused", "backlog_full"]
"""What a listener does with a new connection."""
Chunking = Literal["event", "coalesce", "split", "crlf"]

_MARK = re.compile(rb"@@([a-z_]+=[^@\"\s]*)@@")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are in milliseconds and at least 0; counts are in tokens. Immutable: assign a changed one."""

    tokens: int = 32
    """Length of an answer, for each choice; a lower cap in the request cuts it with finish_reason `length`."""
    ttft_ms: float = 0
    """From the start of service to the first token of a stream."""
    delay_ms: float = 0
    """Between two tokens of a stream, on an absolute schedule (a late token does not delay the next)."""
    service_ms: float = 0
    """From the start of service to a unary answer."""
    slots: int = 0
    """Requests served at a time; the others wait first in, first out. 0: no limit. Only for a whole replica."""
    fault: Fault = ""
    after: int = 0
    """Tokens of a stream before the fault; a unary answer breaks in its middle."""
    status: int = 503
    """What the faults `status` and `early_response` answer with."""
    retry_after: str = ""
    """The `retry-after` header of the fault `status`; empty: none."""
    drip_ms: float = 20_000
    """Between two tokens (or tenths of a unary body) under the fault `drip`."""
    upstream_model: str = ""
    """Model named in answers and in the list of models; empty: the one asked for (in the list: `mock`)."""
    chunking: Chunking = "event"
    """`event` one per write; `coalesce` four per HTTP chunk; `split` each over two chunks and two TCP segments;
    `crlf` as `event` with CRLF line ends."""
    seed: int = 0
    """First word of the answer's text, so that replicas can be told apart."""
    health: int = 200
    """Status of GET /health and GET /v1/models; 0: they are never answered."""


def changed(settings: Settings, changes: Mapping[str, Any], *, strict: bool = True) -> Settings:
    """`settings` with some members replaced; raises `msgspec.ValidationError` on an unknown or mistyped one."""
    return msgspec.convert({**msgspec.structs.asdict(settings), **changes}, Settings, strict=strict)


@lru_cache(4096)
def directed(settings: Settings, directive: str) -> Settings:
    """`settings` under a request's directive (`key=value,…`); raises `msgspec.ValidationError` on nonsense."""
    changes = dict(pair.partition("=")[::2] for pair in directive.split(","))
    if "slots" in changes:
        raise msgspec.ValidationError("slots belong to a replica, not to a request")
    return changed(settings, changes, strict=False)


def directive_in(body: bytes) -> str:
    """The last directive in a request's body, or an empty string."""
    if b"@@" not in body:
        return ""
    marks = _MARK.findall(body)
    return marks[-1].decode() if marks else ""
