"""What is to be generated for one request: a text for each prompt and each of its `n` choices, with what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import NamedTuple

import msgspec

from engines.api import SUBJECTS, Rejected
from engines.generating.sampling import is_greedy
from engines.text.answer import Writer
from engines.text.asked import Asked
from engines.text.choice import Choice
from engines.text.members import unsupported
from engines.text.reasoning import Reasoning
from engines.text.stops import Stops
from engines.text.tools import TOOL_PARSERS
from engines.text.tools.api import ToolParser

MAX_TEXTS = 128
"""Texts of one request, each of which is a request of its own to the server."""
MAX_SENT = 64 << 20
"""Characters that the choices of one request send: each brings the prompt, and its images, once more."""
Draw = Callable[[], int]
"""Gives a seed: a random number of as many bits as any of the server's inputs for one can hold."""
FORCED = "llama3"
"""The parser that reads what a forced call is made to look like: `{"name": ..., "parameters": {...}}`."""


class Text(msgspec.Struct, frozen=True):
    """One of them: `asked` is for it alone. Choices of one prompt differ by their seed, if the model takes one.

    `prompt` is what is sent, `written` what the caller wrote, of a completion.
    """

    index: int
    prompt: str
    written: str
    asked: Asked


def alone(asked: Asked, seed: int | None = None) -> Asked:
    """The same for one text, as each is asked for by itself; with this seed, if one is given."""
    if asked.n == 1 and seed in (None, asked.seed):
        return asked
    return msgspec.structs.replace(asked, n=1, seed=asked.seed if seed is None else seed)


def texts(asked: Asked, prompts: list[str], draw: Draw | None = None) -> list[Text]:
    """In the order of their indices, of what has passed `Reading.check`. Raises Rejected where they are too long.

    A caller's seed is that of the first choice, the next ones count on from it. Without one each text gets one by
    `draw`: servers use the same seed each time, so that all choices, and all answers to a prompt, would be equal.
    """
    if asked.n > 1:
        size = sum(map(len, prompts)) + sum(len(image.url) for image in asked.images)
        if size * asked.n > MAX_SENT:
            raise Rejected("There are too many choices of so long a prompt.", param="n", code="invalid_value")
        if (asked.temperature, asked.top_p, asked.top_k) == (None, None, None):
            asked = msgspec.structs.replace(asked, temperature=1.0)  # OpenAI's default: several are to differ
    return list(_each(asked, prompts, None if draw is None or is_greedy(asked) else draw))


def _each(asked: Asked, prompts: list[str], draw: Draw | None) -> Iterator[Text]:
    for number, prompt in enumerate(prompts):
        written = asked.prompts[number] if asked.prompts else ""
        for at in range(asked.n):
            seed = asked.seed
            if seed is not None:
                seed = (seed + at) % 2**64
            elif draw is not None:
                seed = draw()
            yield Text(number * asked.n + at, prompt, written, alone(asked, seed))


class Reading(NamedTuple):
    """How a model writes what is more than plain text: the name of its tool parser, and whether it thinks aloud."""

    tools: str | None
    reasoning: bool

    def check(self, asked: Asked) -> None:
        """Raises Rejected for what could not be told: tools whose calls are not understood, what a prompt is worth.

        And for too many texts: before any of them is counted, as that holds up the loop.
        """
        if max(1, len(asked.prompts)) * asked.n > MAX_TEXTS:
            param = "n" if asked.n > 1 else SUBJECTS[asked.kind]
            raise Rejected(f"This model makes at most {MAX_TEXTS} texts at a time.", param=param, code="invalid_value")
        if asked.echo and asked.logprobs:
            raise unsupported("echo", "This model tells no log probabilities of prompts.")
        if asked.tools and asked.tool_choice == "auto" and self.tools is None:
            raise unsupported("tools", "This model calls no tools.")

    def choice(self, text: Text, writer: Writer) -> Choice:
        """What takes the text."""
        asked = text.asked
        thinks = self.reasoning and asked.kind == "chat" and not asked.forced
        return Choice(
            writer,
            stops=Stops(asked.stops) if asked.stops else None,
            reasoning=Reasoning(opened=text.prompt.rstrip().endswith("<think>")) if thinks else None,
            tools=self._parser(asked),
            echo=text.written if asked.echo else "",
            logprobs=asked.logprobs,
        )

    def _parser(self, asked: Asked) -> ToolParser | None:
        if not asked.tools or asked.tool_choice == "none":
            return None
        name = FORCED if asked.forced else self.tools
        return None if name is None else TOOL_PARSERS[name](_new_id)


def _new_id() -> str:
    return f"call_{token_hex(12)}"
