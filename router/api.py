"""What the router promises and how it refuses: models in versions, versions on replicas, and what is asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from engines.api import Capacity, Engine, EngineError, Kind, Load
from router.breaker import Breaker
from router.limits import Limits


class NoSuchModel(Exception):
    """No model of that name is in the catalog."""


class NotPermitted(Exception):
    """The caller may not choose versions."""


class NoReplica(Exception):
    """The model has no replica that is left to be asked."""


class Quarantined(Exception):
    """Model servers have died under this prompt: it is not sent again for `seconds`."""

    def __init__(self, kind: Kind, seconds: float) -> None:
        super().__init__(kind)
        self.kind = kind
        self.seconds = seconds


Rank = Literal[0, 1, 2]
"""A request's class: 0 is critical, 1 standard, 2 batch; see `router.fair_queue.RANKS`."""

Reason = Literal["queue_full", "tenant_full", "too_long", "too_late"]
"""Why a request gets no place: too many wait, or too many of its tenant; it would have to wait for too long, or has."""


class Shed(Exception):
    """There is more to do than can be done in time; after `retry_after` seconds there may be a place."""

    def __init__(self, reason: Reason, retry_after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Notes(Protocol):
    """Where the router writes down what became of a request, and reads what it asks and how it stands with the client.

    `rank`, `weight` and `tenant` say who asks; `prompt`, `tokens` and `work` what for, as `Costs` estimate it.
    """

    tenant: str
    weight: int
    rank: Rank
    body_bytes: int
    text_bytes: int
    """The same with images and sound as if they were text: what its prompt is estimated by."""
    answers: int
    """How many texts it asks for."""
    prompt: int
    """Tokens of the prompt."""
    tokens: int
    """What it takes of a replica's memory in the end, prompt and answer."""
    work: float
    """Seconds of a replica's time."""
    queued: float
    """Seconds for which it has waited for a place."""
    prompt_tokens: int
    """As they were counted in the end; 0 until then, or if nobody counted."""
    completion_tokens: int
    usage_exact: bool
    output_cap: int
    """Tokens at which each answer was to end, as its caller's limits had no more left; 0: they left what was asked."""
    first_at: float
    """When (loop seconds) its first content went to the client; 0.0 if none did."""

    attempts: int
    replica: str
    failed: Sequence[tuple[str, type[EngineError]]]
    """The attempts that came to nothing: which replica, and how."""
    whole: bool
    """Whether its text comes in one piece: then when it comes says how long it is, and little of the replica."""
    last_at: float
    """When the last content came (loop seconds)."""
    paused: bool
    """Whether the client has to read before more can come: then silence is not the replica's."""


@dataclass(slots=True, eq=False)
class Affinity:
    """What of a request may lie on a replica already: that of calls before it.

    `session`: calls with the same one belong together; b"" if nothing tells. `prompt`: the prompt's own JSON, for what
    begins alike.
    """

    session: bytes = b""
    prompt: bytes = b""


NO_AFFINITY = Affinity()


class Replica:
    """One engine under a name, what it is busy with, what it has had and failed, and what is thought of it."""

    __slots__ = (
        "active",
        "breaker",
        "calls",
        "draining",
        "engine",
        "failures",
        "heard",
        "limits",
        "name",
        "others",
        "part",
        "prompts",
        "room",
        "said",
        "tokens",
        "verdict",
        "weight",
    )

    def __init__(self, name: str, engine: Engine, breaker: Breaker | None = None) -> None:
        self.name = name
        self.engine = engine
        self.breaker = breaker or Breaker()
        self.active: dict[Notes, float] = {}
        """Requests it is busy with, and when (loop seconds) each was sent; negative once its first content came."""
        self.tokens = 0
        """Of the requests it is busy with; charged when a request is sent, so that the next choice sees it."""
        self.prompts = 0
        """Tokens of prompts among them that have had no content yet."""
        self.said: Capacity | None = None
        """What its engine says that it can take."""
        self.limits = Limits()
        """What it may have at a time, while it is well."""
        self.part = 1.0
        """How much of them it may have now, over 0 to 1."""
        self.room = self.limits.by_rank(1.0)
        """The same now, for each class; its pool keeps it current."""
        self.others = 0.0
        """Tokens of work that its engine has from elsewhere, as `busy.listen` makes it out."""
        self.heard: Load | None = None
        """What the engine said then."""
        self.calls = 0
        self.failures: Counter[type[EngineError]] = Counter()
        self.verdict = "not probed yet"
        """Why the last probe did not find it ready; "" if it did."""
        self.draining = False
        """Gets no new work, whatever else is thought of it."""
        self.weight = 1.0
        """The share of a healthy replica's work that it may have now, over 0 to 1; its pool keeps it current."""

    def __repr__(self) -> str:
        return (
            f"<Replica {self.name} [{self.in_flight} in flight, {self.failures.total()} of {self.calls} failed, "
            f"{self.breaker.state}{', draining' if self.draining else ''}]>"
        )

    @property
    def trouble(self) -> str:
        """Why it gets no new work at the moment, for people; "" if it does."""
        if self.draining:
            return "draining"
        if self.breaker.state == "ejected":
            return f"ejected: {self.breaker.reason}"
        return self.verdict

    @property
    def in_flight(self) -> int:
        """Calls that it is busy with."""
        return len(self.active)


class Policy(Protocol):
    """Waits for nothing and charges nothing: one replica out of those that may be asked (never empty).

    The more tokens per `weight` a replica has, the less should come to it.
    """

    heeds_affinity: bool
    """Whether it heeds affinities; where it does not, nobody has to find them."""

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica: ...


@dataclass(slots=True, frozen=True)
class Caller:
    """Who asks, as far as it decides where a request goes. Empty: not known, or not said.

    `session` and `headers` are there only for who may steer; `user` is the body's own member, decoded.
    """

    key: str = ""
    tenant: str = ""
    user: bytes = b""
    session: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Choice:
    """A version by its name, and why it was this one, for `explain`: `weights`, `rule 2`, `pin`, `only`."""

    version: str
    why: str


CapField = Literal["max_tokens", "max_completion_tokens"]
"""Under which of its names a token cap is sent."""
