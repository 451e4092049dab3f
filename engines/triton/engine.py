"""A model of a Triton server as an engine: prompts, tensors and calls out, OpenAI's JSON back."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import ClassVar

import msgspec
from pydantic import BaseModel

from engines.api import LARGE_GPU, Call, Capacity, EngineError, Health, Load, Prices, Reply, Surroundings, Unreachable
from engines.generating.answering import Answering
from engines.generating.cancelling import Cancelling
from engines.generating.hearing import Generation, Hearing, Opened, Surveillance
from engines.generating.reply import Tally, collect
from engines.generating.texts import Draw, Reading, alone, texts
from engines.grpc.aio import AioChannel
from engines.grpc.api import Channel, Rpc, RpcError
from engines.grpc.http2.channel import Http2Channel
from engines.text import asked as asking
from engines.text.images import Images
from engines.text.prompts import Prompts
from engines.triton.embedding import Embedding, embeddings
from engines.triton.generation import TextGeneration
from engines.triton.inference import Answers, Memo
from engines.triton.load import TritonLoad
from engines.triton.model import Model, unanswered
from engines.triton.options import TritonOptions
from engines.triton.repository import Repository
from engines.triton.request import STREAM, encode_request
from engines.triton.tensors import Tensor


def _import() -> None:
    """Now, and not within a request. Raises ValueError, for the operator."""
    try:
        from tritonclient.grpc import service_pb2  # noqa: F401
    except ImportError as error:
        raise ValueError(f"the engine triton needs the extra of that name, snowshed[triton]: {error}") from None


class TritonEngine:
    """One model on one server. Its profile is found when the server first answers, at the start or later.

    `draw` makes seeds for texts that are drawn and have none.
    """

    Options: ClassVar[type[BaseModel]] = TritonOptions
    runs_here: ClassVar[bool] = False
    patience: ClassVar[float | None] = None
    prices: ClassVar[Prices] = LARGE_GPU

    def __init__(self, options: TritonOptions, surroundings: Surroundings, *, draw: Draw | None = None) -> None:
        _import()
        self._options = options
        self._name = options.model or surroundings.upstream
        self._surroundings = surroundings
        self._channel: Channel = (AioChannel if options.transport == "grpc" else Http2Channel)(
            options.target,
            tls=options.security(),
            connections=options.connections,
            max_message=options.max_message,
            connect_timeout=surroundings.timers.connect,
        )
        self._repository = Repository(self._channel, timeout=surroundings.timers.connect)
        cancelling = Cancelling(
            surroundings.sweeper,
            monotonic,
            policy=options.cancel.policy,
            rate=options.cancel.rate,
            tell=self._tell_stop,
        )
        self._surveillance = Surveillance(surroundings.sweeper, surroundings.timers, cancelling)
        self._prompts = Prompts(None, None)
        self._images = Images(options.images, surroundings) if options.images else None
        self._model: Model | None = None
        self._load: TritonLoad | None = None
        self._memo = Memo()
        self._reading = Reading(options.tools, options.reasoning)
        self._draw = draw or partial(random.getrandbits, 31)
        self._serial = itertools.count()  # a call that is tried again must not share its id with what it left behind

    def __repr__(self) -> str:
        profile = self._model[0].name if self._model else "no profile yet"
        return f"<TritonEngine {self._name} {profile} {self._surveillance.cancelling!r} {self._channel!r}>"

    @property
    def load(self) -> Load | None:
        """What the server last said of it, if that was within a second."""
        return self._load.load if self._load else None

    @property
    def capacity(self) -> Capacity:
        """By the server's metrics and the model's config, the narrower of both."""
        said = (self._load.capacity if self._load else None) or Capacity()
        known = [number for number in (said.requests, self._model.at_a_time if self._model else None) if number]
        return replace(said, requests=min(known, default=None))

    async def start(self) -> None:
        """Reads the tokenizer, and the model's config if the server is there. Raises Unreachable, with the reason."""
        try:
            self._prompts = await Prompts.load(self._options.tokenizer, self._options.chat_template)
        except (ValueError, OSError) as error:
            raise Unreachable(f"The tokenizer or chat template can't be used: {error}") from None
        with contextlib.suppress(EngineError):  # it is asked again at the first probe or call
            await self._known()
        if self._options.metrics is not None:
            self._load = TritonLoad(self._options.metrics, self._generates, self._surroundings)

    async def call(self, call: Call) -> Reply:
        """Everything that can be found wrong is found before the server hears of it. Raises EngineError."""
        asked = asking.read(call)
        model = await self._known()
        profile = model.adapted.get(self._adapter(call), model.profile)
        self._reading.check(asked)
        profile.check(alone(asked))
        prompts = await self._prompts.of(asked)
        tokens = await model.limits.fit(asked, prompts, self._prompts.count)
        if self._images is not None and asked.images:
            asked.images = await self._images.fetched(asked.images)
        wanted = texts(asked, prompts, self._draw if profile.seeded else None)
        requests = [f"{call.id}-{next(self._serial):x}" for _ in wanted]
        answers = [Answers(profile.expected, self._memo, request) for request in requests]
        messages = [
            encode_request(self._name, self._options.version, request, profile.tensors(text.asked, text.prompt))
            for request, text in zip(requests, wanted, strict=True)
        ]
        if profile.embeds:
            vectors = [Embedding(profile, each, base64=asked.base64) for each in answers]
            tally = Tally(self._open(call, requests, messages, vectors), tokens)
            return await collect(call, tally, partial(embeddings, vectors, call.model))
        answering = Answering(call, wanted, self._reading)
        generations = [
            TextGeneration(profile, each, choice, text.asked, self._prompts.measure)
            for each, text, choice in zip(answers, wanted, answering.choices, strict=True)
        ]
        return await answering.reply(Tally(self._open(call, requests, messages, generations), tokens, asked.n))

    async def probe(self) -> Health:
        """Asks for this model alone: a server is not ready while any of its models is loaded, or has failed.

        And reads it again: while it is loaded anew, or one inside it is, it stays ready.
        """
        try:
            if not await self._repository.ready(self._name, self._options.version):
                self._model = None  # it may be another one when it is back
                return Health(ready=False, reason="The model is not ready.")
            self._model = await self._read()
        except RpcError as error:
            return Health(ready=False, reason=unanswered(error).message)
        except EngineError as error:
            if not isinstance(error.__cause__, ValueError):
                return Health(ready=False, reason=error.message)
            self._model = None  # what is there now is no such model
            return Health(ready=False, reason=f"{error.message} {error.__cause__}")
        return Health(ready=True)

    async def aclose(self) -> None:
        if self._load is not None:
            await self._load.aclose()
        await self._surveillance.cancelling.aclose()
        await self._channel.aclose()

    async def _known(self) -> Model:
        """How to talk to the model, and how much it takes."""
        if self._model is None:
            self._model = await self._read()
        return self._model

    async def _read(self) -> Model:
        return await Model.read(self._repository, self._name, self._options)

    def _generates(self) -> str:
        return self._model.generates if self._model else self._name

    def _adapter(self, call: Call) -> str:
        """The adapter that is called for; "" for none."""
        return str(msgspec.json.decode(call.fields["model"])).rpartition(":")[2] if self._options.adapters else ""

    def _open(
        self, call: Call, requests: Sequence[str], messages: Sequence[bytes], generations: Sequence[Generation]
    ) -> list[Hearing]:
        """A call to the server for each text, all at once."""
        seconds = max(0.001, call.deadline - monotonic())
        hearings = []
        for request, message, generation in zip(requests, messages, generations, strict=True):
            rpc = self._surveillance.cancelling.opened(self._channel.open(STREAM, message, timeout=seconds))
            hearings.append(Hearing(Opened(rpc, request, seconds), generation, self._surveillance))
        return hearings

    def _tell_stop(self, request: str) -> Rpc | None:
        """Inside an ensemble only its language model knows how to stop; it knows the request by the same id."""
        if self._model is None or self._model.profile.name != "ensemble":
            return None
        model = self._options.cancel.stop_model or self._model.generates
        one = (1).to_bytes(4, "little")
        tensors = [
            Tensor("input_ids", "INT32", (1, 1), one),
            Tensor("input_lengths", "INT32", (1, 1), one),
            Tensor("request_output_len", "INT32", (1, 1), one),
            Tensor("stop", "BOOL", (1, 1), b"\1"),
        ]
        message = encode_request(model, "", request, tensors)
        return self._channel.open(STREAM, message, timeout=self._surroundings.timers.connect)
