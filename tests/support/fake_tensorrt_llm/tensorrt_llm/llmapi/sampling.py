"""How to draw tokens; the defaults are the real ones, and not those of OpenAI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class GuidedDecodingParams:
    """One form at most."""

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    grammar: str | None = None
    json_object: bool = False
    structural_tag: str | None = None

    def check(self) -> None:
        given = [self.json, self.regex, self.grammar, self.json_object or None, self.structural_tag]
        if sum(one is not None for one in given) > 1:
            raise ValueError("Only one guide can be used for a request.")


@dataclass(kw_only=True)
class SamplingParams:
    """Those fields that there are, as far as anybody here sets them; others raise TypeError."""

    end_id: int | None = None
    pad_id: int | None = None
    max_tokens: int = 32
    bad: str | list[str] | None = None
    stop: str | list[str] | None = None
    include_stop_str_in_output: bool = False
    n: int = 1
    best_of: int | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    temperature: float | None = None
    min_tokens: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    min_p: float | None = None
    logprobs: int | None = None
    guided_decoding: GuidedDecodingParams | None = None
    add_special_tokens: bool = True
    stop_ids: list[list[int]] = field(default_factory=list, init=False, repr=False)
    set_up: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self.best_of = self.best_of or self.n
        if self.best_of < self.n:
            raise ValueError(f"best_of ({self.best_of}) cannot be less than n ({self.n})")
        if self.best_of > 1 and self.greedy:
            raise ValueError("Greedy decoding in the LLM API does not allow multiple returns.")
        if self.temperature is not None and self.temperature <= 0:
            raise ValueError(f"requested value {self.temperature} of temperature is out of range")
        if self.guided_decoding is not None:
            self.guided_decoding.check()

    @property
    def greedy(self) -> bool:
        """Whatever the temperature."""
        return self.top_k in (None, 1) and self.top_p in (None, 0.0)

    def stopped(self, made: list[int]) -> int:
        """How many tokens at the end are a stop string: it is found by its own tokens, and by no others."""
        return max((len(stop) for stop in self.stop_ids if made[-len(stop) :] == stop), default=0)

    def setup(self, tokens: Callable[[str], list[int]]) -> None:
        """What using it does to it. The real one would go on with the first model's tokens; this one tells."""
        if self.set_up:
            raise AssertionError("These SamplingParams have been used before.")
        self.set_up = True
        self.end_id, self.pad_id = 2, 2
        self.stop_ids = [tokens(stop) for stop in ([self.stop] if isinstance(self.stop, str) else self.stop or [])]
