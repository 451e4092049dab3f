"""How long a prompt and its answer may be, checked before the server is asked.

TensorRT-LLM holds a prompt and its answer within `max_seq_len`, and takes no prompt of more than `max_num_tokens` in
one piece; what is longer ends in a crash, in garbage or in an error that looks like the server's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from engines.api import SUBJECTS, Rejected
from engines.text.asked import Asked

Count = Callable[[str, int | None], Awaitable[int | None]]
"""See `Prompts.count`."""
Policy = Literal["clamp", "refuse"]
"""What to do with an answer that may become too long: let it end at the limit, as it must if the cap was not the
caller's but a default, or refuse the request.
"""


@dataclass(slots=True, frozen=True)
class Limits:
    """In tokens; None where nothing is known. `sequence` is prompt and answer together, `prompt` the prompt alone."""

    sequence: int | None = None
    prompt: int | None = None
    policy: Policy = "clamp"

    @property
    def longest_prompt(self) -> int | None:
        """The most tokens that leave room for one of an answer."""
        known = [limit for limit in (self.prompt, self.sequence and self.sequence - 1) if limit is not None]
        return min(known, default=None)

    def check(self, prompt_tokens: int, max_tokens: int, param: str = "prompt") -> int:
        """The tokens that the answer may have. `param` is what the caller knows the prompt by.

        Raises Rejected, with both numbers, where the limits don't allow it.
        """
        longest = self.longest_prompt
        if longest is not None and prompt_tokens > longest:
            raise _too_long(
                f"This model takes prompts of up to {longest} tokens, but this one has {prompt_tokens}.", param
            )
        if self.sequence is None or prompt_tokens + max_tokens <= self.sequence:
            return max_tokens
        if self.policy == "clamp":
            return self.sequence - prompt_tokens
        raise _too_long(
            f"This model's context has {self.sequence} tokens, but {prompt_tokens + max_tokens} were asked for:"
            f" {prompt_tokens} in the prompt and {max_tokens} for the answer.",
            "max_tokens",
        )

    async def fit(self, asked: Asked, prompts: Sequence[str], count: Count) -> int | None:
        """Tokens of all prompts together, None if they can't be counted. Raises Rejected for one that does not fit.

        An answer that would not fit after the longest of them is asked for shorter.
        """
        total = 0
        for prompt in prompts:
            tokens = await count(prompt, self.longest_prompt)
            if tokens is None:
                return None
            asked.max_tokens = self.check(tokens, asked.max_tokens, SUBJECTS[asked.kind])
            total += tokens
            await asyncio.sleep(0)  # many short ones, each of which is counted on the loop, must not hold it up
        return total


def _too_long(message: str, param: str) -> Rejected:
    return Rejected(message, param=param, code="context_length_exceeded")
