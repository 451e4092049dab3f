"""Replies over scripted calls: what is written, when it ends, what lies, and what is cancelled."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import msgspec
import pytest

from engines.api import Call, EngineError, Failed, Interrupted, Overloaded, Reply, TimedOut, Usage
from engines.generating import cancelling
from engines.generating.reply import StreamReply, Tally
from engines.generating.several import MAX_HELD, Funnel, SeveralReply
from engines.grpc.api import Code, RpcError
from engines.text.answer import Chunks, Envelope
from tests.support.reply_table import FINAL, Basket, Delta, Table, answer, chunks, text_of
from tests.support.scripted_rpc import ScriptedRpc
from tests.support.waiting import PATIENCE, until

OK = "no error"


@pytest.fixture(params=["iterated", "forwarded", "forwarded to a slow client"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def said(reply: Reply, way: str) -> bytes:
    with reply:
        if way == "iterated":
            return b"".join([part async for part in reply])
        basket = Basket(room=1 if "slow" in way else 1_000_000)
        assert isinstance(reply, StreamReply)
        await reply.forward(basket)
        return basket.data


async def test_a_stream_is_told_as_it_comes(way: str) -> None:
    table = Table()
    rpc = ScriptedRpc([answer("Hé"), answer(' "you"\n'), answer("!"), FINAL])
    reply = await table.open(rpc, show_usage=True)
    told = chunks(await said(reply, way))
    assert [chunk["choices"][0]["delta"] for chunk in told[:-1]] == [
        {"role": "assistant", "content": "Hé"},
        {"content": ' "you"\n'},
        {"content": "!"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1]] == [None, None, None, "stop"]
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert reply.usage == Usage(7, 3, exact=True)
    assert rpc.cancelled == 0
    assert repr(table.sweeper) == "<Sweeper 0 watched>"


@pytest.mark.parametrize("broken", [True, False], ids=["breaks", "is left"])
async def test_a_document_that_is_cut_off_tells_what_it_has_used(broken: bool) -> None:
    table = Table()
    rpc = ScriptedRpc([answer("One"), answer(" two")], silent=True)
    reading = asyncio.create_task(table.open(rpc, stream=False))
    await asyncio.sleep(0)
    assert not reading.done()
    if broken:
        rpc.cancel()
    else:
        reading.cancel()
    with pytest.raises(Failed if broken else asyncio.CancelledError):
        await reading
    assert table.call.spent == Usage(7, 2)


@pytest.mark.parametrize("broken", [True, False])
async def test_a_stream_that_ends_before_its_first_content_tells_what_it_has_used(broken: bool) -> None:
    table = Table()
    rpc = ScriptedRpc([answer("one"), answer(" tw")], silent=True)
    opening = asyncio.create_task(table.open(rpc, stops=["one two"]))  # which is all that has come
    await asyncio.sleep(0)
    assert not opening.done()
    if broken:
        rpc.cancel()
    else:
        opening.cancel()
    with pytest.raises(Failed if broken else asyncio.CancelledError):
        await opening
    assert table.call.spent == Usage(7, 2)


async def test_a_document_holds_the_whole() -> None:
    reply = await Table().open(
        ScriptedRpc([answer("One"), answer(" two", final=True)]), kind="completion", stream=False
    )
    document = msgspec.json.decode(b"".join([part async for part in reply]))
    assert document["object"] == "text_completion"
    assert document["choices"] == [{"index": 0, "text": "One two", "logprobs": None, "finish_reason": "stop"}]
    assert document["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.mark.parametrize("final", ["with the last text", "alone"])
async def test_p19_the_end_is_seen_however_it_comes_and_an_answer_may_be_empty(way: str, final: str) -> None:
    """P19: the final response with text, or empty, or as the only one: never a hang, always one finish reason."""
    told = [answer("a", final=True)] if final == "with the last text" else [answer("a"), FINAL]
    assert text_of(await said(await Table().open(ScriptedRpc(told)), way)) == "a"
    nothing = chunks(await said(await Table().open(ScriptedRpc([FINAL])), way))
    assert [chunk["choices"][0] for chunk in nothing] == [
        {"index": 0, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": "stop"}
    ]


async def test_p40_characters_that_are_cut_are_told_whole(way: str) -> None:
    """P40: a character in two answers is one in a chunk; half of one at the end is U+FFFD."""
    raw = "a\N{SLIGHTLY SMILING FACE}é".encode()
    pieces = [answer(raw[at : at + 1]) for at in range(len(raw) - 1)]
    data = await said(await Table().open(ScriptedRpc([*pieces, FINAL])), way)
    assert text_of(data) == "a\N{SLIGHTLY SMILING FACE}\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("tokens", "counts", "finish"), [(5, True, "length"), (4, True, "stop"), (5, False, "length")])
async def test_p41_length_is_inferred(way: str, tokens: int, counts: bool, finish: str) -> None:
    """P41: as many tokens as allowed is `length`; counts that were made here are exact only then."""
    reply = await Table().open(ScriptedRpc([answer("x")] * tokens + [FINAL]), Delta(counts=counts), prompt=3)
    assert chunks(await said(reply, way))[-1]["choices"][0]["finish_reason"] == finish
    assert reply.usage == Usage(7 if counts else 3, tokens, exact=True)


@pytest.mark.parametrize(("texts", "count"), [(["x", "y"], 2), (["x y z"], 3), (["a b c d e f"], 5)])
async def test_what_was_only_counted_is_not_called_exact(way: str, texts: list[str], count: int) -> None:
    """One for each answer; a text that came in one piece is measured, but can't be longer than was asked for."""
    rpc = ScriptedRpc([*map(answer, texts), FINAL])
    reply = await Table().open(rpc, Delta(counts=False), prompt=3)
    await said(reply, way)
    assert reply.usage == Usage(3, count, exact=count == 5)


async def test_p41_a_stop_string_over_chunk_borders_is_never_said_and_ends_the_call(way: str) -> None:
    """P41: nothing of the stop string leaves; the server is told to stop at the match."""
    rpc = ScriptedRpc([answer("one S"), answer("TO"), answer("P two"), answer("three")], silent=True)
    data = await said(await Table().open(rpc, stops=["STOP"]), way)
    assert text_of(data) == "one "
    assert chunks(data)[-1]["choices"][0]["finish_reason"] == "stop"
    assert rpc.cancelled == 1


LIES = {
    "missing output": (answer("x", datatype="BYTES").replace(b"text_output", b"next_output"), OK),
    "wrong datatype": (answer("x", datatype="INT32"), OK),
    "no UTF-8": (answer(b"\xff\xfe"), OK),
    "no protobuf": (b"\xff", OK),
    "an error in band": (answer(None, error="Error generating request: it died", final=True), OK),
    "the end without a final": (b"", OK),
    "a status": (b"", RpcError(Code.INTERNAL, "Traceback in /opt/secret/path.py")),
}


def lying(name: str) -> tuple[list[bytes], RpcError | None]:
    message, end = LIES[name]
    return ([message] if message else []), (end if isinstance(end, RpcError) else None)


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_lie_before_any_content_has_failed(name: str, stream: bool) -> None:
    messages, end = lying(name)
    table, rpc = Table(), ScriptedRpc(messages, end)
    with pytest.raises(Failed) as caught:
        await table.open(rpc, stream=stream)
    assert "secret" not in caught.value.message
    assert "died" not in caught.value.message
    assert repr(table.sweeper) == "<Sweeper 0 watched>"


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_after_content_has_interrupted(name: str, way: str) -> None:
    messages, end = lying(name)
    table = Table()
    reply = await table.open(ScriptedRpc([answer("good"), *messages], end))
    with pytest.raises(Interrupted) as caught:
        await said(reply, way)
    assert "secret" not in caught.value.message
    assert caught.value.phase is None
    assert repr(table.sweeper) == "<Sweeper 0 watched>"


@pytest.mark.parametrize("ends", [True, False])
async def test_p24_a_call_that_failed_is_given_time_to_end(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """P24: a cancellation that meets an error's own end has crashed Triton; one that never ends is cancelled."""
    monkeypatch.setattr(cancelling, "LINGER", 0.05)
    table, rpc = Table(), ScriptedRpc([answer(None, error="it died")], silent=True)
    with pytest.raises(Failed):
        await table.open(rpc)
    assert rpc.cancelled == 0
    if ends:
        rpc.tell(FINAL, end=True)
    await until(lambda: "0 heard here" in repr(table.cancelling))
    assert rpc.cancelled == (0 if ends else 1)


@pytest.mark.parametrize("ends", [True, False])
async def test_p24_a_client_that_leaves_at_the_end_cancels_nothing(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """P24: SDKs close when they see [DONE], just before the server's own end, which a cancellation must not meet."""
    monkeypatch.setattr(cancelling, "LINGER", 0.05)
    table, rpc = Table(), ScriptedRpc([answer("one"), FINAL], silent=True)
    basket = Basket(room=1_000_000)
    waiting = asyncio.ensure_future(forwarded(await table.open(rpc), basket))
    await until(lambda: b"[DONE]" in basket.data)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert rpc.cancelled == 0
    if ends:
        rpc.tell(end=True)
    await until(lambda: "0 heard here" in repr(table.cancelling))
    assert rpc.cancelled == (0 if ends else 1)


async def forwarded(reply: Reply, basket: Basket) -> None:
    with reply:
        assert isinstance(reply, StreamReply)
        await reply.forward(basket)


async def test_overload_is_told_as_such() -> None:
    full = RpcError(Code.UNAVAILABLE, "Exceeds maximum queue size")
    with pytest.raises(Overloaded):
        await Table().open(ScriptedRpc([], full))


async def expired(table: Table, waiting: asyncio.Future[Any], seconds: float) -> EngineError:
    await asyncio.sleep(0)
    table.pass_time(seconds - 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    table.pass_time(2)
    with pytest.raises(EngineError) as caught:
        await waiting
    return caught.value


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_silence_before_the_first_token_is_timed(stream: bool) -> None:
    table, rpc = Table(), ScriptedRpc(silent=True)
    error = await expired(table, asyncio.ensure_future(table.open(rpc, stream=stream)), 10)
    assert isinstance(error, TimedOut)
    assert error.phase == "first_token"
    assert rpc.cancelled == 1
    assert repr(table.sweeper) == "<Sweeper 0 watched>"


async def test_silence_between_tokens_is_timed(way: str) -> None:
    table, rpc = Table(), ScriptedRpc([answer("one")], silent=True)
    reply = await table.open(rpc)
    error = await expired(table, asyncio.ensure_future(said(reply, way)), 5)
    assert isinstance(error, Interrupted)
    assert error.phase
    assert rpc.cancelled == 1


async def test_a_call_that_does_not_end_after_its_final_is_cancelled(way: str) -> None:
    table, rpc = Table(), ScriptedRpc([answer("one"), FINAL], silent=True)
    waiting = asyncio.ensure_future(said(await table.open(rpc), way))
    async with asyncio.timeout(PATIENCE):
        while not rpc.cancelled:
            await asyncio.sleep(0)
            table.pass_time(0.5)
    assert text_of(await waiting) == "one"


async def test_a_client_that_is_behind_stops_the_clock() -> None:
    table, rpc = Table(), ScriptedRpc([answer("one"), answer("two"), answer("three"), FINAL])
    gate = asyncio.Event()

    class Stuck(Basket):
        async def drain(self) -> None:
            await gate.wait()
            await super().drain()

    basket = Stuck(room=2)
    reply = await table.open(rpc)
    assert isinstance(reply, StreamReply)
    with reply:
        forwarding = asyncio.ensure_future(reply.forward(basket))
        await asyncio.sleep(0)
        table.pass_time(1000)
        assert text_of(basket.data + b"data: [DONE]\n\n") == "onetwo"
        gate.set()
        await forwarding
    assert text_of(basket.data) == "onetwothree"


@pytest.fixture
async def left() -> tuple[Table, ScriptedRpc, Reply]:
    table, rpc = Table(), ScriptedRpc([answer("one")], silent=True)
    return table, rpc, await table.open(rpc)


async def test_leaving_cancels_at_once_and_twice_does_no_harm(left: tuple[Table, ScriptedRpc, Reply]) -> None:
    table, rpc, reply = left
    with reply:
        await anext(aiter(reply))
        assert rpc.cancelled == 0
    assert rpc.cancelled == 1
    reply.__exit__(None, None, None)
    assert rpc.cancelled == 1
    assert reply.usage == Usage(7, 1)
    assert repr(table.sweeper) == "<Sweeper 0 watched>"


@pytest.mark.parametrize("stops", [[], ["STOP"]])
async def test_nothing_is_left_for_the_garbage_collector(way: str, stops: list[str]) -> None:
    """A process that serves collects seldom: what a reply held must go with it."""
    gc.collect()
    gc.disable()
    try:
        reply = await Table().open(ScriptedRpc([answer("one"), answer(" two"), FINAL]), stops=stops)
        seen = weakref.ref(reply)
        await said(reply, way)
        del reply
        assert seen() is None
    finally:
        gc.enable()


async def test_a_call_that_is_cancelled_while_it_opens_is_let_go() -> None:
    for stream in (True, False):
        table, rpc = Table(), ScriptedRpc(silent=True)
        task = asyncio.ensure_future(table.open(rpc, stream=stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert rpc.cancelled == 1
        assert repr(table.sweeper) == "<Sweeper 0 watched>"


async def test_a_mistake_of_ours_is_no_end_of_several_texts() -> None:
    table = Table()
    with pytest.raises(Failed):
        await table.open(ScriptedRpc(end=RpcError(Code.INTERNAL, "broken")))
    call, envelope = table.call, Envelope(table.call, 1)
    broken: Any = OSError("unforeseen")
    rpcs = ScriptedRpc([answer("One"), FINAL]), ScriptedRpc([answer("Two")], broken)
    hearings = [table.hearing(rpc, call, Chunks(envelope, at), Delta()) for at, rpc in enumerate(rpcs)]
    with await SeveralReply.open(call, envelope, Tally(hearings, None)) as reply, pytest.raises(OSError, match="unfor"):
        async for _part in reply:
            pass


async def several(table: Table, *rpcs: ScriptedRpc) -> SeveralReply:
    """Choices of one prompt."""
    call = Call("c", "chat", {}, "m", stream=True, show_usage=True, deadline=160.0)
    envelope = Envelope(call, 1)
    hearings = [table.hearing(rpc, call, Chunks(envelope, at), Delta()) for at, rpc in enumerate(rpcs)]
    return await SeveralReply.open(call, envelope, Tally(hearings, None, n=len(rpcs)))


async def test_several_texts_have_one_end_and_their_prompt_counts_once() -> None:
    first, second = ScriptedRpc([answer("One"), FINAL]), ScriptedRpc([answer("Two"), answer(" more"), FINAL])
    with await several(Table(), first, second) as reply:
        data = b"".join([part async for part in reply])
    assert data.count(b"[DONE]") == 1
    assert reply.usage == Usage(7, 3)
    assert chunks(data)[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


async def test_several_texts_that_are_left_while_nobody_takes_them_are_let_go() -> None:
    reply = await several(Table(), *(ScriptedRpc([answer("x" * MAX_HELD)] * 3, silent=True) for _ in range(2)))
    await until(lambda: not reply._funnel._empty.is_set())  # they have said more, and wait
    reply.__exit__()
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait(reply._tasks)


async def test_those_who_pour_wait_each_time_until_a_full_funnel_is_empty() -> None:
    funnel = Funnel()
    for _ in range(2):
        assert funnel.take(b"x")
        assert not funnel.take(bytes(MAX_HELD))
        waiting = asyncio.create_task(funnel.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert len(funnel.pour()) == 1 + MAX_HELD
        await waiting
