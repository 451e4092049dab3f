"""One request, one record, whatever happened to it; and the buffer in which finished records wait to be folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from engines.api import EngineError
from router.api import Rank

Outcome = Literal["success", "ignored", "failed"]
"""success; ignored: the client left or made a mistake, which says nothing about us; failed: ours or the upstream's."""


class Record:
    """Everything one request leaves behind. Times are seconds on the loop's clock unless a name says otherwise.

    Never holds content: no prompt, no answer, no credential, no header value but validated labels.
    """

    __slots__ = (
        "answers", "attempts", "body_at", "body_bytes", "chunks", "client_gone", "code", "completion_tokens", "cut",
        "dispatched_at", "ended_at", "failed", "fallback", "first_at", "gap_max", "headers_at", "id", "key", "kind",
        "label", "last_at", "model", "outcome", "output_cap", "overhead", "paused", "prompt", "prompt_tokens",
        "queued", "rank", "reason", "replica", "sent_bytes", "status", "stream", "tenant", "text_bytes", "tokens",
        "unix_ms", "usage_exact", "version", "weight", "whole", "why", "work",
    )  # fmt: skip

    id: str
    label: str
    """The caller's own request id, validated; "" if none."""
    kind: str
    """chat, completion, embedding; or unparsed, for what never became a request."""
    headers_at: float
    unix_ms: int
    model: str
    """Public name from the catalog; "" until one was found: never what a caller made up."""
    version: str
    """`model@version` that answered, or was asked last."""
    why: str
    """Why it was that one, in the words of a `router.api.Choice`."""
    fallback: str
    """The trouble in which another model was asked; "" if none was."""
    replica: str
    failed: Sequence[tuple[str, type[EngineError]]]
    """The attempts that came to nothing: which replica, and how."""
    rank: Rank
    weight: int
    """Its tenant's, among those who wait."""
    answers: int
    prompt: int
    """Tokens of its prompt, estimated, as are those of prompt and answer, and a replica's seconds; for the router."""
    tokens: int
    work: float
    stream: bool
    whole: bool
    """Whether the client gets a text in one piece."""
    status: int
    """As sent; 0 if nothing was."""
    code: str
    """Error code as sent, "" if none."""
    reason: str
    """Which of the reasons for that code it was, where there are several: in our words."""
    outcome: Outcome
    client_gone: bool
    attempts: int
    body_at: float
    dispatched_at: float
    first_at: float
    """First content handed to the client."""
    last_at: float
    ended_at: float
    paused: bool
    """Whether the client has to read before it can get more."""
    gap_max: float
    queued: float
    """Seconds for which it waited for a place on a replica."""
    overhead: float
    """Our own share of the time to the first content, without waiting for client or upstream."""
    chunks: int
    body_bytes: int
    text_bytes: int
    """The same with images and sound as if they were text: what its prompt's tokens are estimated by."""
    sent_bytes: int
    prompt_tokens: int
    completion_tokens: int
    usage_exact: bool
    output_cap: int
    """Tokens at which each answer was to end, as its caller's limits had no more left; 0: they left what was asked."""
    cut: bool
    """Whether a model server went on beyond what they had left, and its stream was ended here."""
    tenant: str
    """Who asked; "" without authentication, and for who was refused."""
    key: str
    """Id of the key, which is no secret."""

    def __init__(self, request_id: str, label: str, kind: str, headers_at: float, unix_ms: int) -> None:
        self.id = request_id
        self.label = label
        self.kind = kind
        self.headers_at = headers_at
        self.unix_ms = unix_ms
        self.model = self.version = self.why = self.fallback = self.replica = self.code = ""
        self.reason = self.tenant = self.key = ""
        self.failed = ()
        self.rank = self.weight = self.answers = 1
        self.prompt = self.tokens = self.status = self.attempts = self.chunks = self.body_bytes = 0
        self.text_bytes = self.sent_bytes = self.prompt_tokens = self.completion_tokens = 0
        self.output_cap = 0
        self.work = self.body_at = self.dispatched_at = self.first_at = self.last_at = 0.0
        self.ended_at = self.gap_max = self.queued = self.overhead = 0.0
        self.stream = self.whole = self.client_gone = self.paused = self.usage_exact = False
        self.cut = False
        self.outcome = "ignored"

    def __repr__(self) -> str:
        return f"<Record {self.id}: {self.kind} {self.model or '?'}, {self.outcome}>"

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


class OpenRecord:
    """Hold of one request on its record."""

    __slots__ = ("_accounts", "_record")

    def __init__(self, accounts: Accounts, record: Record) -> None:
        self._accounts = accounts
        self._record = record

    def __repr__(self) -> str:
        return f"<OpenRecord of {self._record.id}>"

    def __enter__(self) -> Self:
        self._accounts.in_flight += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        accounts = self._accounts
        accounts.in_flight -= 1
        accounts.book(self._record)
