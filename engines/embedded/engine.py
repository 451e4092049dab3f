"""The embedded engine: a small real model on this machine's CPU, in a supervised llama.cpp child process."""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field

from engines.api import Call, Capacity, Health, Prices, Reply, Surroundings, Unreachable
from engines.embedded import child, weights
from engines.embedded.budget import fit, refuse_huge
from engines.embedded.reply import SlotReply
from engines.embedded.rules import Defaults, translate
from engines.embedded.server import ChildServer
from engines.embedded.slots import Slots
from engines.embedded.unary import gather
from engines.supervisor import Backoff, Manners, Supervisor


class EmbeddedOptions(BaseModel):
    """Which model file, and how much of the machine it may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_path: Path | None = Field(None, description="A GGUF file; none means the one that is fetched once.")
    slots: int = Field(4, ge=1, le=64, description="Calls that run at a time.")
    context: int = Field(8192, ge=256, description="Tokens of all slots together, prompts and answers.")
    threads: int = Field(1, ge=1, description="CPU threads for the model.")
    max_prompt_tokens: int = Field(1536, ge=1, description="Longest prompt: each 1000 tokens cost many CPU seconds.")
    system: str = Field("You are a helpful assistant.", description="System message where the caller sends none.")
    temperature: float = Field(0.0, ge=0, le=2, description="Used where the caller gives none.")
    top_p: float = Field(0.9, ge=0, le=1, description="Used where the caller gives none.")
    repeat_penalty: float = Field(1.1, gt=0, le=10, description="Used where the caller gives none; 1 is off.")


class EmbeddedEngine:
    """One child process with one model, which has a slot for each call."""

    Options: ClassVar[type[BaseModel]] = EmbeddedOptions
    runs_here: ClassVar[bool] = True
    patience: ClassVar[float | None] = 60.0  # one machine's CPU: slow, and nobody expects otherwise
    prices: ClassVar[Prices] = Prices(prefill=16e-3, decode=32e-3)

    def __init__(self, options: EmbeddedOptions, surroundings: Surroundings) -> None:
        self.capacity = Capacity(options.slots)  # each has its own part of the context: calls are all that counts
        self._options = options
        self._cache = surroundings.cache
        self._defaults = Defaults(options.system, options.temperature, options.top_p, options.repeat_penalty)
        self._slots = Slots(options.slots)
        self._key = secrets.token_urlsafe(32)
        self._child = Supervisor(
            lambda address: ChildServer.connect(address, self._key, surroundings),
            Backoff(random.random),
            time.monotonic,
            Manners("embedded model"),
        )

    def __repr__(self) -> str:
        return f"<EmbeddedEngine {self._slots!r} {self._child!r}>"

    async def start(self) -> None:
        """Load the model and wait until it answers; raises Unreachable, with the reason for people, if it can't."""
        options = self._options
        path = await asyncio.to_thread(_model_file, options.model_path, self._cache)
        numbers = map(str, (options.slots, options.context, options.threads))
        await self._child.start([sys.executable, "-P", child.__file__, str(path), *numbers], self._key)

    async def call(self, call: Call) -> Reply:
        """Refuse, count, take a slot, ask. Raises EngineError; Overloaded if all slots are held."""
        limit = self._options.max_prompt_tokens
        fields = translate(call.kind, call.fields, self._defaults)
        refuse_huge(fields, limit)
        server = self._child.served
        prompt = await server.count(fields)
        fields = fit(fields, prompt, limit, server.context)
        slot = self._slots.take()
        try:
            asked = replace(call, fields=fields, stream=True, show_usage=call.show_usage or not call.stream)
            reply = SlotReply(await server.call(asked), slot, prompt)
        except BaseException:
            slot.release()
            raise
        return reply if call.stream else await gather(call, reply)

    async def probe(self) -> Health:
        try:
            return await self._child.served.health()
        except Unreachable:
            return self._child.absence

    async def aclose(self) -> None:
        await self._child.aclose()


def _model_file(path: Path | None, cache: Path | None) -> Path:
    """Reads the whole file of the fetched model once, to check it: 0.1 s."""
    if path is not None:
        with suppress(OSError):  # a closed folder, a name that is too long
            if path.is_file():
                return path
        raise Unreachable(f"There is no model file at {path}.")
    if cache is not None and (found := weights.locate(cache)):
        return found
    raise Unreachable("The embedded model has not been fetched yet: run `python -m gateway model pull` once.")
