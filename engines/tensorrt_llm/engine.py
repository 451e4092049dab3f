"""TensorRT-LLM's own API as an engine: a model in a supervised child process on this machine's GPUs.

In a process of its own, because it makes tokens of prompts on the loop that it is called on, and may take its process
with it when it fails.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import ClassVar

import msgspec
from pydantic import BaseModel

from engines.api import LARGE_GPU, Call, Capacity, Health, Load, Prices, Reply, Surroundings, Unreachable
from engines.generating.answering import Answering
from engines.generating.cancelling import Cancelling
from engines.generating.hearing import Hearing, Opened, Surveillance
from engines.generating.reply import Tally
from engines.generating.texts import Reading, Text, texts
from engines.supervisor import Backoff, Manners, Supervisor
from engines.tensorrt_llm import child
from engines.tensorrt_llm.generation import ChildText
from engines.tensorrt_llm.options import TensorrtLlmOptions
from engines.tensorrt_llm.replica import ChildReplica
from engines.tensorrt_llm.sampling import Sampling, with_defaults
from engines.text import asked as asking
from engines.text.prompts import Prompts

MANNERS = Manners("TensorRT-LLM model", load=3600.0, end=10.0)
"""Weights are fetched and engines built within the first; the second has to be enough for the GPUs to be let go."""
OURS = Path(child.__file__).parents[2]


class TensorrtLlmEngine:
    """One child with one model. `folders` are further ones in which the child looks for packages, first of all."""

    Options: ClassVar[type[BaseModel]] = TensorrtLlmOptions
    runs_here: ClassVar[bool] = True
    patience: ClassVar[float | None] = None
    prices: ClassVar[Prices] = LARGE_GPU

    def __init__(self, options: TensorrtLlmOptions, surroundings: Surroundings, folders: Sequence[Path] = ()) -> None:
        self._options = options
        self._folders = [*folders, OURS]
        cancelling = Cancelling(surroundings.sweeper, monotonic, policy=options.cancel_policy, rate=options.cancel_rate)
        self._surveillance = Surveillance(surroundings.sweeper, surroundings.timers, cancelling)
        self._limits = options.limits()
        self._reading = Reading(options.tools, options.reasoning)
        self._sampling = Sampling(options.lora(), guided=options.guided_decoding is not None)
        self._prompts = Prompts(None, None)
        self._child: Supervisor[ChildReplica] = Supervisor(
            lambda address: ChildReplica.connect(address, surroundings.sweeper, self._child.condemn),
            Backoff(random.random),
            monotonic,
            MANNERS,
        )

    def __repr__(self) -> str:
        return f"<TensorrtLlmEngine {self._options.model} {self._child!r}>"

    async def start(self) -> None:
        """Load the model and wait until it listens. Raises Unreachable, with the reason for people, if it can't."""
        path = self._options.tokenizer_path()
        try:
            self._prompts = await Prompts.load(path, self._options.chat_template)
        except (ValueError, OSError) as error:
            raise Unreachable(f"The tokenizer or chat template can't be used: {error}") from None
        await self._child.start([sys.executable, "-P", child.__file__], self._opening())

    async def call(self, call: Call) -> Reply:
        """Everything that can be found wrong is found before the child hears of it. Raises EngineError."""
        asked = with_defaults(asking.read(call))
        self._reading.check(asked)
        self._sampling.check(asked)
        served = self._child.served
        prompts = await self._prompts.of(asked)
        tokens = await self._limits.fit(asked, prompts, self._prompts.count)
        wanted = texts(asked, prompts, partial(random.getrandbits, 63))
        answering = Answering(call, wanted, self._reading)
        generations = [ChildText(choice, call.kind) for choice in answering.choices]
        return await answering.reply(Tally(self._open(call, served, wanted, generations), tokens, asked.n))

    @property
    def load(self) -> Load | None:
        """As the child last said; None while there is none."""
        try:
            return self._child.served.load
        except Unreachable:
            return None

    @property
    def capacity(self) -> Capacity | None:
        """As the child last said; until it has, what was set."""
        try:
            said = self._child.served.capacity
        except Unreachable:
            said = None
        return said or Capacity(self._options.max_batch_size)

    async def probe(self) -> Health:
        try:
            return await self._child.served.health()
        except Unreachable:
            return self._child.absence

    async def aclose(self) -> None:
        await self._surveillance.cancelling.aclose()
        await self._child.aclose()

    def _opening(self) -> str:
        """What the child is told first."""
        settings = self._options.settings()
        settings.arguments |= {"enable_iter_perf_stats": True} | self._options.arguments
        return msgspec.json.encode({"folders": [str(one) for one in self._folders], "model": settings}).decode()

    def _open(
        self, call: Call, served: ChildReplica, wanted: Sequence[Text], generations: Sequence[ChildText]
    ) -> list[Hearing]:
        """A request to the child for each text, all at once."""
        seconds = max(0.001, call.deadline - monotonic())
        hearings = []
        for text, generation in zip(wanted, generations, strict=True):
            message = self._sampling.wanted(text.asked, text.prompt)
            rpc = self._surveillance.cancelling.opened(served.connection.open(message, seconds))
            hearings.append(Hearing(Opened(rpc, call.id, seconds), generation, self._surveillance))
        return hearings
