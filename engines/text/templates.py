"""Makes a prompt of a conversation with a model's own chat template, as Hugging Face's libraries render it.

**Control tokens in what a caller says.** A server that is sent text reads `<|im_end|>` in a message as the end of that
message, so whoever writes a web page that a tool fetches could speak as the system. Wherever a caller's text spells one
of the model's control tokens, a zero-width space is put behind its first character: it reads the same and is no token.
Tokens that stand for text, such as `<think>` or `<tool_call>` in many models, are none of these, and stay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

from engines.text import probing
from engines.text.meter import LimitExceeded, Limits, Meter
from engines.text.model_files import ModelFiles, read
from engines.text.tokens import Tokenizer
from engines.text.turns import TurnError, Turns, size

SOON = 8192
"""Characters of a conversation that is rendered on the loop; what is longer goes to a thread."""
THREADS = 2
WORDS = 300
"""Characters of a template's own words that a caller is told."""
OWN_NAMES = frozenset({"messages", "tools", "bos_token", "eos_token", "raise_exception", "strftime_now"})
"""What a caller's options may not replace."""


class NoTemplate(ValueError):
    """A model without a chat template: one for completions only."""


class TemplateError(Exception):
    """Why there is no prompt of a conversation: a sentence for the caller, whose mistake it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(Exception):
    """A template's own `raise_exception`."""


class ChatTemplate:
    """The chat templates of a model. Safe to use from several threads.

    `sources` is Jinja, or several by name: "tool_use" is taken where tools are given, else "default" or the only one.
    `control` are the control tokens that no caller's text may spell.
    """

    def __init__(
        self,
        sources: str | Mapping[str, str],
        *,
        bos: str = "",
        eos: str = "",
        control: Collection[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Raises NoTemplate if `sources` is empty, ValueError if a template is no Jinja or none is the usual one."""
        import jinja2

        from engines.text.sandbox import Sandbox

        named: Mapping[str, str] = {"default": sources} if isinstance(sources, str) else sources
        if not named:
            raise NoTemplate("There is no chat template.")
        sandbox = Sandbox()
        try:
            self._renderers = {name: sandbox.compiled(source) for name, source in named.items()}
        except jinja2.TemplateError as error:
            raise ValueError(f"The chat template cannot be used: {error}.") from error
        if "default" not in named and len(named) != 1:
            raise ValueError("There is no chat template that is named default, nor a single one.")
        self._default = "default" if "default" in named else next(iter(named))
        self._limits = limits or Limits()
        self._fixed: dict[str, Any] = {"raise_exception": _refuse, "strftime_now": _strftime_now}
        self._fixed |= {name: text for name, text in (("bos_token", bos), ("eos_token", eos)) if text}
        self._threads = ThreadPoolExecutor(THREADS, "templates")
        developer = "developer" in named[self._default]
        self._turns = Turns(control, probing.takes(self._attempt, developer=developer))
        self.renders_tools = probing.shows_tools(self._attempt)
        """Whether the prompt shows tools to the model."""

    @classmethod
    def load(cls, path: Path, *, tokenizer: Tokenizer | None = None) -> Self:
        """Of a folder with a tokenizer.json, such a file, or a .gguf; or of a .jinja file for that tokenizer.

        No text of a caller's may spell a control token of that tokenizer either, wherever the template is from.
        Raises NoTemplate if there is none, ValueError if it is broken, both naming the file; OSError.
        """
        model = tokenizer if path.suffix == ".jinja" else read(path)
        known: dict[str, Any] = {} if model is None else {"bos": model.bos, "eos": model.eos, "control": model.control}
        if model is not None and tokenizer is not None:
            known["control"] |= tokenizer.control
        try:
            return cls(model.templates if isinstance(model, ModelFiles) else path.read_text(encoding="utf-8"), **known)
        except NoTemplate as error:
            raise NoTemplate(f"{path}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __repr__(self) -> str:
        able = [word for word, can in (("tools", self.renders_tools), ("images", self.takes_images)) if can]
        return f"<ChatTemplate {', '.join(self._renderers)} · {' and '.join(able) or 'text only'}>"

    @property
    def takes_images(self) -> bool:
        """Whether the prompt has a place for each image; the images themselves go another way."""
        return self._turns.takes.images

    def render(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt, which ends where the assistant is to go on. `options` are further variables of the template.

        The messages are OpenAI's. Raises TemplateError.
        """
        variables: dict[str, Any] = {"documents": None, "add_generation_prompt": True}
        if options:
            if reserved := OWN_NAMES & options.keys():
                raise TemplateError(f"'{min(reserved)}' cannot be given to the chat template.")
            variables |= options
        try:
            given = self._turns.prepared(messages)
            variables = self._turns.harmless(variables)
            shown = self._turns.harmless(tools) if tools else None
        except TurnError as error:
            raise TemplateError(str(error)) from error
        except RecursionError as error:
            raise TemplateError("The messages are nested too deeply.") from error
        return self._rendered({**variables, "messages": given, "tools": shown})

    async def render_soon(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """The same; the loop does not wait for a long conversation."""
        if size([messages, tools, options], SOON) <= SOON:
            return self.render(messages, tools=tools, options=options)
        work = partial(self.render, messages, tools=tools, options=options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _rendered(self, variables: dict[str, Any]) -> str:
        name = "tool_use" if variables["tools"] and "tool_use" in self._renderers else self._default
        try:
            return self._renderers[name]({**variables, **self._fixed}, Meter(self._limits, time.monotonic))
        except Refused as error:
            raise TemplateError(f"The model's chat template refuses these messages: {str(error)[:WORDS]}") from error
        except LimitExceeded as error:
            raise TemplateError(f"The model's chat template cannot render these messages: {error}.") from error
        except Exception as error:  # what a template's code meets in messages it was not written for can be anything
            raise TemplateError("The model's chat template cannot render these messages.") from error

    def _attempt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        try:
            return self._rendered({"messages": messages, "tools": tools, "add_generation_prompt": True})
        except TemplateError:
            return ""


def _refuse(message: object) -> NoReturn:
    raise Refused(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now(UTC).astimezone().strftime(pattern)
