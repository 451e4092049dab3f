"""What every engine owes the gateway, over all entries of `ENGINES`: shapes, usage, leaving, refusals, probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import astuple
from typing import Any, get_args

import msgspec
import pytest
import pytest_asyncio

from engines import ENGINES
from engines.api import Call, Capacity, Kind, Rejected, Unreachable, Usage
from tests.support.engine_stands import PUBLIC, STANDS, Stand, call, standing
from tests.support.waiting import until_told

pytestmark = pytest.mark.asyncio(loop_scope="module")

OBJECTS: dict[tuple[Kind, bool], str] = {
    ("chat", False): "chat.completion",
    ("chat", True): "chat.completion.chunk",
    ("completion", False): "text_completion",
    ("completion", True): "text_completion",
    ("embedding", False): "list",
}
KINDS: tuple[Kind, ...] = get_args(Kind)
GENERATIONS: tuple[Kind, ...] = ("chat", "completion")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sorted(ENGINES))
async def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    assert request.param in STANDS, f"{request.param} needs a stand in tests/support/engine_stands.py"
    async with standing(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


async def pieces(stand: Stand, asked: Call) -> tuple[list[bytes], Usage]:
    with await stand.engine.call(asked) as reply:
        parts = [data async for data in reply]
        assert reply.usage is not None
        return parts, reply.usage


async def until_idle(stand: Stand) -> None:
    await until_told(stand.busy, lambda busy: not busy)


def events(parts: list[bytes]) -> list[Any]:
    lines = b"".join(parts).split(b"\n\n")
    assert lines[-2:] == [b"data: [DONE]", b""], lines[-2:]
    return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines[:-2]]


async def test_a_unary_answer_is_one_document_under_the_public_name(stand: Stand) -> None:
    for kind in stand.kinds:
        parts, usage = await pieces(stand, call(stand, kind, **stand.plain))
        assert len(parts) == 1
        document = msgspec.json.decode(parts[0])
        assert (document["model"], document["object"]) == (PUBLIC, OBJECTS[kind, False])
        assert document["usage"]["prompt_tokens"] == usage.prompt > 0
        assert usage.exact
        if kind != "embedding":
            assert [choice["finish_reason"] for choice in document["choices"]] == ["length"]
            assert document["usage"]["completion_tokens"] == usage.completion == 6


@pytest.mark.parametrize("show_usage", [False, True], ids=["usage hidden", "usage shown"])
@pytest.mark.parametrize("kind", GENERATIONS)
async def test_p22_a_stream_has_the_details_that_sdks_need(stand: Stand, kind: Kind, show_usage: bool) -> None:
    """P22: whole events; role first; one finish_reason; one id, created and model; usage only if shown; [DONE] last."""
    parts, usage = await pieces(stand, call(stand, kind, stream=True, show_usage=show_usage, **stand.plain))
    assert all(part.endswith(b"\n\n") for part in parts)
    chunks = events(parts)
    if show_usage:
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == usage.completion
        assert {name: last[name] for name in ("id", "model", "created")} == {
            name: chunks[0][name] for name in ("id", "model", "created")
        }
    else:
        assert not any(chunk.get("usage") for chunk in chunks)
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)
    for name, expected in (("object", OBJECTS[kind, True]), ("model", PUBLIC), ("id", chunks[0]["id"])):
        assert {chunk[name] for chunk in chunks} == {expected}
    assert len({chunk["created"] for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert {choice["index"] for choice in choices} == {0}
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["length"]
    if kind == "chat":
        roles = [choice["delta"].get("role") for choice in choices]
        assert roles[0] == "assistant"
        assert set(roles[1:]) <= {None, "assistant"}


@pytest.mark.parametrize("kind", GENERATIONS)
async def test_p23_a_stream_and_a_document_use_the_same(stand: Stand, kind: Kind) -> None:
    """P23: usage is exact, equal in both forms, and known although the client did not ask for it."""
    _, unary = await pieces(stand, call(stand, kind, **stand.plain))
    _, streamed = await pieces(stand, call(stand, kind, stream=True, **stand.plain))
    assert streamed == unary
    assert unary == Usage(unary.prompt, 6, exact=True)


async def test_p23_leaving_early_lets_go_at_once_and_tells_what_was_used(stand: Stand) -> None:
    """P23: the completion's count is within the tokens in flight of what the client got."""
    asked = call(stand, stream=True, **stand.endless)
    with await stand.engine.call(asked) as reply:
        stream = aiter(reply)
        got = b"".join([await anext(stream) for _ in range(5)])
        assert reply.usage is not None
    seen = got.count(b'"content":"') - got.count(b'"content":""')
    assert seen <= reply.usage.completion <= seen + 5
    await until_idle(stand)
    reply.__exit__(None, None, None)  # leaving twice does no harm


async def test_a_call_that_is_cancelled_leaves_nothing_at_work(stand: Stand) -> None:
    for steps in (0, 1, 3, 10, 30):
        task = asyncio.ensure_future(stand.engine.call(call(stand, stream=True, **stand.endless)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            with task.result():
                pass
    await until_idle(stand)


async def test_the_callers_mistake_is_rejected_with_the_member(stand: Stand) -> None:
    with pytest.raises(Rejected) as caught:
        await stand.engine.call(call(stand, **stand.plain | stand.wrong))
    assert caught.value.param in {"messages", *stand.wrong}
    assert caught.value.code
    await until_idle(stand)  # not at once: a server may only now see what a test before has begun and cancelled


async def test_what_it_can_not_make_is_rejected(stand: Stand) -> None:
    refused = [kind for kind in KINDS if kind not in stand.kinds]
    for kind in refused:
        with pytest.raises(Rejected) as caught:
            await stand.engine.call(call(stand, kind))
        assert caught.value.param == "model"
    assert len(refused) + len(stand.kinds) == len(KINDS)


async def test_a_probe_says_ready_without_a_completion(stand: Stand) -> None:
    before = await stand.served()
    health = await stand.engine.probe()
    assert (health.ready, health.reason) == (True, "")
    assert await stand.served() == before


async def test_at_work_it_shows_its_state_on_one_line(stand: Stand) -> None:
    with await stand.engine.call(call(stand, stream=True, **stand.endless)) as reply:
        shown = (repr(stand.engine), repr(reply))
    for text in shown:
        assert "\n" not in text
        assert " object at " not in text
        assert "Say something" not in text


@pytest.mark.parametrize("name", sorted(ENGINES))
async def test_p32_away_it_is_not_ready_and_says_no_secret(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """P32: no probe's reason and no error quotes the prompt or tells where the server is. Closing twice is no harm."""
    async with standing(name, tmp_path_factory.mktemp(name)) as stand:
        address = stand.address
        await stand.take_away()
        health = await stand.engine.probe()
        assert not health.ready
        with pytest.raises(Unreachable) as caught:
            await stand.engine.call(call(stand, **stand.plain))
        for text in (health.reason, str(caught.value)):
            assert text
            assert address not in text
            assert "127.0.0.1" not in text
            assert "Say something" not in text
        await stand.engine.aclose()
        await stand.engine.aclose()


async def test_it_can_be_asked_at_any_time_what_it_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also away, and closed: whoever asks looks after all replicas at once."""
    for name in sorted(ENGINES):
        async with standing(name, tmp_path_factory.mktemp(name)) as stand:
            told = [_takes(stand)]
            await stand.take_away()
            told.append(_takes(stand))
            await stand.engine.aclose()
            told.append(_takes(stand))
        for takes in told:
            assert isinstance(takes, Capacity | None)
            assert all(number is None or number >= 1 for number in astuple(takes or Capacity()))


def _takes(stand: Stand) -> Capacity | None:
    return getattr(stand.engine, "capacity", None)


async def test_closed_it_takes_no_calls(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in sorted(set(ENGINES) - {"scripted"}):  # a script has nothing that could be closed
        async with standing(name, tmp_path_factory.mktemp(name)) as stand:
            await stand.engine.aclose()
            with pytest.raises(Unreachable):
                await stand.engine.call(call(stand, **stand.plain))
            assert not (await stand.engine.probe()).ready
