"""Ways to get more out of a model than a limit lets through, each with the limit that it is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from loadtests.quotas.asking import HEARD, MARK
from loadtests.quotas.plans import MODEL

TOKENS = 12_000
"""A day: what drains while an attack lasts is less than one in a thousand of it."""
REQUESTS = 60
"""A minute."""
WORDS = 80
"""Of a prompt besides what is said in it: each is a token, of which gateways expect one in four bytes."""


@dataclass(slots=True, frozen=True)
class Attack:
    """So many requests, so many of them at a time, with `keys` of one tenant; `plan` is what binds it.

    `directive` tells the simulated model server how long its answer is, and `members` are added to the request, whose
    prompt repeats `word`. With `leave_after`, each caller leaves after so many tokens. `extra` are header lines.
    `shorter`: answers of one token that come before, one after the other, from which the gateways learn what to expect.
    `slack`: tokens, at most, by which prompt or answer of each are longer than expected.
    """

    name: str
    requests: int
    directive: str
    members: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=lambda: {"tenant": {"tokens_per_day": TOKENS}})
    at_once: int = 300
    keys: int = 1
    word: str = "abc"
    leave_after: int = 0
    extra: str = ""
    shorter: int = 0
    slack: int = 0

    @property
    def by_requests(self) -> bool:
        """Whether its limit counts them, not tokens."""
        return "requests_per_minute" in self.plan["tenant"]

    @property
    def limit(self) -> int:
        return REQUESTS if self.by_requests else TOKENS

    @property
    def rate(self) -> float:
        """A second."""
        return REQUESTS / 60 if self.by_requests else TOKENS / 86_400

    def smallest(self) -> bytes:
        """A request that wants as little as can be."""
        request = {"model": MODEL, "messages": [{"role": "user", "content": "@@tokens=1@@"}], "max_tokens": 1}
        return msgspec.json.encode(request)

    def body(self, number: int) -> bytes:
        """Chat JSON that the model server's log knows it by; of the shorter ones first."""
        text = f"{MARK}{number} @@{'tokens=1' if number < self.shorter else self.directive}@@" + f" {self.word}" * WORDS
        request = {"model": MODEL, "messages": [{"role": "user", "content": text}], **self.members}
        return msgspec.json.encode(request)


def _tools(word: str) -> list[dict[str, Any]]:
    described = {"name": "look", "description": f"{word} " * 1000, "parameters": {"type": "object", "properties": {}}}
    return [{"type": "function", "function": described}]


_LONG, _SHORT = "tokens=200,service_ms=300", "tokens=1,service_ms=300"
ATTACKS = (
    Attack("hang-up", 2000, "tokens=100,delay_ms=5", {"max_tokens": 100, "stream": True}, at_once=8, leave_after=HEARD),
    Attack(
        "hang-up-on-tiny-words", 2000, "tokens=100,delay_ms=5", {"max_tokens": 100, "stream": True}, at_once=8,
        word="a", leave_after=HEARD, slack=40,
    ),
    Attack("small-cap-beside-a-large-one", 300, _LONG, {"max_tokens": 1, "max_completion_tokens": 200}),
    Attack("large-cap-beside-a-small-one", 300, _LONG, {"max_tokens": 200, "max_completion_tokens": 1}),
    Attack("at-once", 300, _LONG, {"max_tokens": 200}),
    Attack("at-once-after-short-ones", 364, _LONG, {"max_tokens": 200}, shorter=64, slack=199),
    Attack("at-once-without-a-cap", 300, "tokens=1000,service_ms=300", slack=1000 - 256),
    Attack("eight-answers-each", 300, "tokens=25,service_ms=300", {"max_tokens": 25, "n": 8}),
    Attack("huge-tools", 300, _SHORT, {"max_tokens": 1, "tools": _tools("tool")}),
    Attack("huge-tools-of-tiny-words", 300, _SHORT, {"max_tokens": 1, "tools": _tools("a")}, slack=500),
    Attack(
        "the-same-id", 300, "tokens=1", {"max_tokens": 1}, {"tenant": {"requests_per_minute": REQUESTS}},
        extra="x-request-id: mine\r\nx-client-request-id: mine\r\nidempotency-key: mine\r\n",
    ),
    Attack("10000-keys", 10_000, "tokens=8", {"max_tokens": 8}, at_once=64, keys=10_000),
)  # fmt: skip
