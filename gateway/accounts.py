"""One request, one record, whatever happened to it; and the buffer in which finished records wait to be folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import msgspec

from engines.api import EngineError
from router.api import Rank

Outcome = Literal["success", "ignored", "failed"]
"""success; ignored: the client left or made a mistake, which says nothing about us; failed: ours or the upstream's."""


@dataclass(slots=True, eq=False)
class Record:
    """Everything one request leaves behind. Times are seconds on the loop's clock unless a name says otherwise.

    Never holds content: no prompt, no answer, no credential, no header value but validated labels.
    """

    id: str
    label: str
    """The caller's own request id, validated; "" if none."""
    kind: str
    """chat, completion, embedding; or unparsed, for what never became a request."""
    headers_at: float
    unix_ms: int
    model: str = ""
    """Public name from the catalog; "" until one was found: never what a caller made up."""
    version: str = ""
    """`model@version` that answered, or was asked last."""
    why: str = ""
    """Why it was that one, in the words of a `router.api.Choice`."""
    fallback: str = ""
    """The trouble in which another model was asked; "" if none was."""
    replica: str = ""
    failed: Sequence[tuple[str, type[EngineError]]] = ()
    """The attempts that came to nothing: which replica, and how."""
    rank: Rank = 1
    weight: int = 1
    """Its tenant's, among those who wait."""
    answers: int = 1
    prompt: int = 0
    """Tokens of its prompt, estimated, as are those of prompt and answer, and a replica's seconds; for the router."""
    tokens: int = 0
    work: float = 0.0
    stream: bool = False
    whole: bool = False
    """Whether the client gets a text in one piece."""
    status: int = 0
    """As sent; 0 if nothing was."""
    code: str = ""
    """Error code as sent, "" if none."""
    reason: str = ""
    """Which of the reasons for that code it was, where there are several: in our words."""
    outcome: Outcome = "ignored"
    client_gone: bool = False
    attempts: int = 0
    body_at: float = 0.0
    dispatched_at: float = 0.0
    first_at: float = 0.0
    """First content handed to the client."""
    last_at: float = 0.0
    ended_at: float = 0.0
    paused: bool = False
    """Whether the client has to read before it can get more."""
    gap_max: float = 0.0
    queued: float = 0.0
    """Seconds for which it waited for a place on a replica."""
    overhead: float = 0.0
    """Our own share of the time to the first content, without waiting for client or upstream."""
    chunks: int = 0
    body_bytes: int = 0
    text_bytes: int = 0
    """The same with images and sound as if they were text: what its prompt's tokens are estimated by."""
    sent_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usage_exact: bool = False
    output_cap: int = 0
    """Tokens at which each answer was to end, as its caller's limits had no more left; 0: they left what was asked."""
    cut: bool = False
    """Whether a model server went on beyond that, and its stream was ended here."""
    tenant: str = ""
    """Who asked; "" without authentication, and for who was refused."""
    key: str = ""
    """Id of the key, which is no secret."""

    def use(self, prompt: int, completion: int, *, exact: bool) -> None:
        """Tokens of prompt and answer."""
        self.prompt_tokens = prompt
        self.completion_tokens = completion
        self.usage_exact = exact


class Accounts:
    """Opens a record per request and keeps finished ones until `take`; at most `bound`, then the oldest half goes."""

    def __init__(self, clock: Callable[[], float], bound: int = 100_000) -> None:
        self._clock = clock
        self._bound = bound
        self._finished: list[Record] = []
        self.in_flight = 0
        self.lost = 0

    def __repr__(self) -> str:
        return f"<Accounts {self.in_flight} in flight, {len(self._finished)} to fold, {self.lost} lost>"

    def open(self, record: Record) -> OpenRecord:
        """The outermost block of a request: counts it in flight, and books it on the way out."""
        return OpenRecord(self, record)

    def take(self) -> list[Record]:
        """The records finished since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def book(self, record: Record) -> None:
        record.ended_at = self._clock()
        if len(self._finished) >= self._bound:
            half = self._bound // 2
            del self._finished[:half]
            self.lost += half
        self._finished.append(record)


class OpenRecord(msgspec.Struct, eq=False, gc=False):
    """Hold of one request on its record."""

    _accounts: Accounts
    _record: Record

    def __enter__(self) -> Self:
        self._accounts.in_flight += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        accounts = self._accounts
        accounts.in_flight -= 1
        accounts.book(self._record)
