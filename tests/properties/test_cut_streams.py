"""Wherever a stream is cut, and however its bytes come: what the client has is what is charged, and it ends once."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.api import Usage
from engines.events import EventFilter
from gateway.config import check
from gateway.cutting import BESIDE
from gateway.edge import Edge
from gateway.exchange import Exchange
from gateway.intake import Intake
from gateway.relay import relay
from gateway.wiring import build
from tests.flows.failure.test_every_await import HEADERS, PatientSource, SlowWire
from tests.support.gateway import configuration

DONE = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # a descriptor, not a file's content
        gateway = build(check(configuration(), "test"), tmp_path_factory.mktemp("cache"), nowhere.fileno())
        yield gateway.edge
        gateway.ops.close()


def event(index: int, finish: str | None = None, **members: Any) -> bytes:
    choice = {"index": index, "delta": {} if finish else {"content": "x"}, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"id": "c", "model": "m", "choices": [choice], **members}).encode()


class Fed:
    """A reply over bytes that come in these pieces."""

    headers: Mapping[bytes, bytes] = {}  # nobody changes it

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)
        self._events = EventFilter("m", show_usage=False)

    @property
    def usage(self) -> Usage:
        return self._events.usage or Usage(0, self._events.chunks, exact=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            if out := self._events.feed(piece):
                return out
        raise StopAsyncIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """Of one to three choices, tokens of each in any order, each perhaps ended; cut into pieces anywhere."""
    answers = draw(st.integers(1, 3))
    lengths = [draw(st.integers(1, 20)) for _ in range(answers)]
    order = draw(st.permutations([index for index, length in enumerate(lengths) for _ in range(length)]))
    left, said = Counter(order), []
    for index in order:
        left[index] -= 1
        said.append(event(index))
        if not left[index]:
            said.append(event(index, "stop"))
    data = b"".join(said) + DONE
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=30)))
    return answers, [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(streams(), st.integers(1, 25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_client_has_is_what_is_charged(edge: Edge, stream: tuple[int, list[bytes]], cap: int) -> None:
    answers, pieces = stream
    wire = SlowWire()
    exchange = Exchange(edge, "chat", HEADERS, wire, Intake(PatientSource(), edge.memory, edge.bounds.body))
    exchange.stream = exchange.record.stream = True
    record = exchange.record
    exchange.most, record.answers = cap, answers
    asyncio.run(relay(Fed(pieces), exchange))
    *events, last, rest = wire.written.split(b"\n\n")
    assert (last + b"\n\n", rest) == (DONE, b"")
    choices = [choice for one in events for choice in json.loads(one.removeprefix(b"data: "))["choices"]]
    ends = Counter(choice["index"] for choice in choices if choice["finish_reason"])
    assert ends == dict.fromkeys(range(answers), 1), "each choice ends once"
    by_us = sum(choice["finish_reason"] == "length" for choice in choices)
    assert record.completion_tokens == len(choices) - by_us, "events stand for tokens"
    assert not record.cut or record.completion_tokens > answers * (cap + BESIDE), "none too early"
    assert wire.ended
