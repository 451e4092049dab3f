"""A hearing over a scripted call, with a clock of the test's own: what replies are tried with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from tritonclient.grpc import service_pb2 as pb

from engines.api import Call, Reply, Timers
from engines.generating.cancelling import Cancelling
from engines.generating.hearing import Hearing, Opened, Surveillance
from engines.generating.reply import StreamReply, Tally, collect
from engines.sweeper import Sweeper
from engines.text.answer import Chunks, Document, Envelope
from engines.text.asked import Asked
from engines.text.choice import Choice
from engines.text.stops import Stops
from engines.triton.generation import TextGeneration
from engines.triton.inference import Answers, Memo
from engines.triton.profiles.api import Step
from tests.support.scripted_rpc import ScriptedRpc


class Delta:
    """As little of a profile as a reply needs; `counts` tells whether the server counts."""

    expected = {"text_output": "BYTES"}  # noqa: RUF012 - a Protocol's member, read only
    cumulative = False
    capped = True

    def __init__(self, *, counts: bool = True) -> None:
        self._counts = counts

    def step(self, outputs: dict[str, bytes]) -> Step:
        if "text_output" not in outputs:
            raise ValueError("no text")
        text = outputs["text_output"][4:]
        return Step(text, prompt_tokens=7 if self._counts else None, completion_tokens=1 if self._counts else None)


def answer(text: bytes | str | None, *, final: bool = False, error: str = "", datatype: str = "BYTES") -> bytes:
    message = pb.ModelStreamInferResponse(error_message=error)
    message.infer_response.parameters["triton_final_response"].bool_param = final
    if text is not None:
        raw = text.encode() if isinstance(text, str) else text
        message.infer_response.outputs.add(name="text_output", datatype=datatype, shape=[1])
        message.infer_response.raw_output_contents.append(len(raw).to_bytes(4, "little") + raw)
    encoded: bytes = message.SerializeToString()
    return encoded


FINAL = answer(None, final=True)


def words(text: str) -> int:
    return len(text.split())


class Table:
    """A sweeper and a cancelling of one test, with a clock that only the test moves."""

    def __init__(self, **cancelling: Any) -> None:
        self.now = 100.0
        self.sweeper = Sweeper()
        self.sweeper.now = self.now
        self.cancelling = Cancelling(self.sweeper, lambda: self.now, **cancelling)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.sweeper.sweep(self.now)

    def hearing(self, rpc: ScriptedRpc, call: Call, writer: Any, profile: Delta, stops: Sequence[str] = ()) -> Hearing:
        choice = Choice(writer, stops=Stops(stops) if stops else None)
        asked = Asked(kind=call.kind, max_tokens=5)
        generation = TextGeneration(profile, Answers(profile.expected, Memo()), choice, asked, words)  # type: ignore[arg-type]
        watched = Surveillance(self.sweeper, Timers(first_token=10, inter_token=5), self.cancelling)
        return Hearing(Opened(rpc, call.id, 60.0), generation, watched)

    async def open(
        self, rpc: ScriptedRpc, profile: Delta | None = None, stops: Sequence[str] = (), **how: Any
    ) -> Reply:
        call = self.call = Call(
            "c", how.get("kind", "chat"), {}, "m", how.get("stream", True), how.get("show_usage", False), 160.0
        )
        envelope = Envelope(call, 1)
        profile = profile or Delta()
        if call.stream:
            hearing = self.hearing(rpc, call, Chunks(envelope, 0), profile, stops)
            return await StreamReply.open(call, envelope, Tally([hearing], how.get("prompt")))
        document = Document(0)
        hearing = self.hearing(rpc, call, document, profile, stops)
        return await collect(call, Tally([hearing], how.get("prompt")), partial(envelope.document, [document]))


class Basket:
    """A sink that is full after each `room` pieces, until it is drained."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.data = b""
        self._room = room
        self._left = room
        self.drained = 0

    def take(self, data: bytes) -> bool:
        self.data += data
        self._left -= 1
        return self._left > 0

    async def drain(self) -> None:
        self._left = self._room
        self.drained += 1


def chunks(data: bytes) -> list[Any]:
    assert data.endswith(b"data: [DONE]\n\n")
    return [msgspec.json.decode(event[6:]) for event in data.split(b"\n\n")[:-2]]


def text_of(data: bytes) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks(data) if chunk["choices"])
