"""From what is asked to the texts that a model server gets, and how many tokens those are there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from engines.api import Rejected
from engines.text.asked import Asked
from engines.text.templates import ChatTemplate, NoTemplate, TemplateError
from engines.text.tokens import Tokenizer

MEASURED = 1 << 14
"""Characters that are counted on the loop, in up to some milliseconds."""


class Prompts:
    """Either may be missing: then chats are refused, or nothing is counted."""

    def __init__(self, tokenizer: Tokenizer | None, template: ChatTemplate | None) -> None:
        self._tokenizer = tokenizer
        self._template = template

    def __repr__(self) -> str:
        return f"<Prompts {self._tokenizer!r} {self._template!r}>"

    @classmethod
    async def load(cls, tokenizer: Path | None, template: Path | None) -> Self:
        """The template is the tokenizer's own if it has no path. Raises ValueError or OSError."""
        tokens = None if tokenizer is None else await asyncio.to_thread(Tokenizer.load, tokenizer)
        return cls(tokens, await asyncio.to_thread(_template, tokenizer, template, tokens))

    async def of(self, asked: Asked) -> list[str]:
        """The texts to send. Raises Rejected for a chat that can't be written down."""
        if asked.kind != "chat":
            return [self._sendable(prompt) for prompt in asked.prompts]
        if self._template is None:
            raise Rejected("This model has no chat template.", param="model", code="unsupported_endpoint")
        tools = asked.tools if asked.tool_choice != "none" else []
        if tools and not self._template.renders_tools:
            raise Rejected("This model's chat template takes no tools.", param="tools", code="unsupported_parameter")
        try:
            text = await self._template.render_soon(asked.messages, tools=tools or None, options=asked.template_options)
        except TemplateError as error:
            raise Rejected(str(error), param="messages", code="invalid_value") from None
        return [self._sendable(text)]

    async def count(self, prompt: str, enough: int | None) -> int | None:
        """Its tokens, or some number above `enough` if they are more; None where there is no tokenizer."""
        return None if self._tokenizer is None else await self._tokenizer.count_soon(prompt, enough=enough)

    def measure(self, text: str) -> int | None:
        """Tokens of a text that a model wrote, as near as they can be told; None for one that is too long to wait."""
        if self._tokenizer is None or len(text) > MEASURED:
            return None
        return self._tokenizer.count(text) - self._tokenizer.count("")  # less those that come with every prompt

    def _sendable(self, prompt: str) -> str:
        return prompt if self._tokenizer is None else self._tokenizer.sendable(prompt)


def _template(tokenizer: Path | None, template: Path | None, tokens: Tokenizer | None) -> ChatTemplate | None:
    if template is not None:
        return ChatTemplate.load(template, tokenizer=tokens)
    if tokenizer is None:
        return None
    try:
        return ChatTemplate.load(tokenizer)
    except NoTemplate:
        return None  # a model for completions only
