"""Each fault of the simulated Triton shows on the wire what its name says, and the log says what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from loadtests.fleet import Fleet, Replica, Settings
from loadtests.fleet.answers import words
from tests.support.triton_asking import Got, answers, ask, got, request, rest_of, streaming, stub_of
from tests.support.waiting import unmoved, until

SILENCE = 0.2
TEXT = "".join(words(0, 4)).encode()


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with Fleet(settings=Settings(tokens=4), contract="llmapi") as fleet:
        yield fleet


@pytest.fixture
def replica(fleet: Fleet) -> Replica:
    return fleet.replicas[0]


@pytest.fixture
async def stub(fleet: Fleet) -> AsyncIterator[Any]:
    async with stub_of(fleet.targets[0]) as stub:
        yield stub


def asked(directive: str, **options: Any) -> Any:
    return request("tensorrt_llm", ask("llmapi", f"one two @@{directive}@@", **options), request_id="r")


async def before_silence(stub: Any, message: Any) -> list[Got]:
    with streaming(stub, message) as call:
        return await until_silence(call)


async def until_silence(call: Any) -> list[Got]:
    """What comes before nothing comes any more; fails if the stream ends."""
    responses: list[Got] = []
    while True:
        try:
            response = await asyncio.wait_for(call.read(), SILENCE if responses else 5 * SILENCE)
        except TimeoutError:
            return responses
        assert response is not grpc.aio.EOF
        responses.append(got(response))


@pytest.mark.parametrize("fault", ["accept_silent", "half_open"])
async def test_silence_instead_of_an_answer(stub: Any, fault: str) -> None:
    assert await before_silence(stub, asked(f"fault={fault}")) == []


async def test_silence_after_some_tokens_until_the_client_leaves(stub: Any, replica: Replica) -> None:
    assert len(await before_silence(stub, asked("fault=stall,after=2"))) == 2
    (call,) = await replica.wait_for(lambda calls: calls[0].outcome is not None)
    assert (call.outcome, call.tokens) == ("cancelled", 2)
    assert call.left is not None


@pytest.mark.parametrize("final", ["empty", "flagged"])
async def test_all_is_said_but_that_it_is_all(stub: Any, final: str) -> None:
    responses = await before_silence(stub, asked(f"fault=no_final,final={final}"))
    assert [one.final for one in responses] == [False] * 4
    assert responses[-1].text == TEXT


async def test_trailers_without_a_final(stub: Any, replica: Replica) -> None:
    responses = await answers(stub, asked("fault=eof_clean,after=9"))
    assert [one.final for one in responses] == [False] * 4
    assert replica.calls[0].outcome == "fault"


async def test_the_last_token_can_be_the_final(stub: Any) -> None:
    responses = await answers(stub, asked("final=flagged"))
    assert [one.final for one in responses] == [False] * 3 + [True]


@pytest.mark.parametrize(("fault", "after"), [("reset", 0), ("reset_after", 2)])
async def test_a_broken_connection_takes_its_neighbours_with_it(
    stub: Any, replica: Replica, fault: str, after: int
) -> None:
    with streaming(stub, asked("delay_ms=10000")) as neighbour:
        assert got(await neighbour.read()).outputs
        with streaming(stub, asked(f"fault={fault},after={after}")) as call:
            for _ in range(after):
                assert got(await call.read()).outputs
            for one in (call, neighbour):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await one.read()
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    calls = await replica.wait_for(lambda calls: all(one.outcome for one in calls))
    assert [(one.outcome, one.tokens) for one in calls] == [("cancelled", 1), ("fault", after)]


async def test_a_status_of_grpc_itself(stub: Any) -> None:
    for status, code in ((503, grpc.StatusCode.UNAVAILABLE), (13, grpc.StatusCode.INTERNAL)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answers(stub, asked(f"fault=status,status={status}"))
        assert caught.value.code() == code


async def test_an_error_with_a_traceback(stub: Any) -> None:
    responses = await answers(stub, asked("fault=traceback,after=1"))
    assert [bool(one.outputs) for one in responses] == [True, False, False]
    assert responses[1].error.startswith("Traceback (most recent call last):")
    assert responses[2].final


async def test_an_error_in_words_of_ones_own(stub: Any, replica: Replica) -> None:
    replica.set(fault="error", error="CUDA error: out of memory")
    assert [one.error for one in await answers(stub, asked("after=0"))] == ["CUDA error: out of memory", ""]


async def test_lies_about_outputs(stub: Any) -> None:
    wrong = await answers(stub, asked("fault=wrong_dtype,after=1"))
    assert [one.outputs["text_output"][0] for one in wrong if one.outputs] == ["BYTES", "INT32", "BYTES", "BYTES"]
    missing = await answers(stub, asked("fault=missing_output,after=1", return_finish_reason=True))
    assert ["text_output" in one.outputs for one in missing] == [True, False, True, True, False]
    assert list(missing[1].outputs) == ["finish_reason"]


async def test_bytes_that_are_no_text(stub: Any) -> None:
    cut = [one.text for one in await answers(stub, asked("fault=cut_character")) if one.outputs]
    assert [len(one) for one in cut] == [3, 6, 9, 12]
    assert cut[-1].decode() == "é🙂é🙂"
    with pytest.raises(UnicodeDecodeError):
        cut[0].decode()
    bad = [one.text for one in await answers(stub, asked("fault=invalid_utf8,after=1")) if one.outputs]
    assert bad[1] == b"The\xff\xfe"


async def test_a_huge_token(stub: Any) -> None:
    huge = await answers(stub, asked("fault=huge,after=1,bytes=3000000"))
    assert len(huge[1].text) == 3_000_003
    assert huge[-1].final


async def test_tokens_drip(stub: Any, replica: Replica) -> None:
    await answers(stub, asked("fault=drip,drip_ms=30,tokens=3"))
    (call,) = replica.calls
    assert call.first is not None
    assert call.end is not None
    assert call.end - call.first >= 0.055


async def test_outputs_never_come_in_the_same_order_twice_running(stub: Any) -> None:
    responses = await answers(stub, asked("tokens=6", return_finish_reason=True, return_stop_reason=True))
    orders = [tuple(one.order) for one in responses if one.outputs]
    assert all(one != other for one, other in pairwise(orders))
    assert len({tuple(sorted(order)) for order in orders}) == 1


async def test_several_tokens_come_in_one_response(stub: Any) -> None:
    responses = await answers(stub, asked("tokens=6,chunking=coalesce"))
    assert [one.text for one in responses if one.outputs] == ["".join(words(0, size)).encode() for size in (4, 6)]


async def test_a_burst_of_cancels_silences_the_replica_though_it_is_ready(stub: Any, replica: Replica) -> None:
    replica.set(wedge_cancels=3)
    for _ in range(3):
        with streaming(stub, asked("tokens=9,delay_ms=5000")) as call:
            assert got(await call.read()).outputs
    await replica.wait_for(lambda calls: [one.outcome for one in calls] == ["cancelled"] * 3)
    assert await before_silence(stub, asked("tokens=1")) == []
    assert (await stub.ServerReady(service_pb2.ServerReadyRequest())).ready
    replica.reset()
    assert (await answers(stub, asked("tokens=1")))[-1].final


async def test_a_wedged_replica_holds_what_runs(stub: Any, replica: Replica) -> None:
    with streaming(stub, asked("delay_ms=20,tokens=1000", max_tokens=1000)) as call:
        assert got(await call.read()).outputs
        replica.set(wedged=True)
        told = 1 + len(await until_silence(call))
    assert replica.calls[0].tokens == told < 1000


async def test_who_waits_too_long_is_refused(stub: Any, replica: Replica) -> None:
    replica.set(slots=1, queue_timeout_ms=5000)
    with streaming(stub, asked("delay_ms=10000")) as call:
        assert got(await call.read()).outputs
        hurried = asked("tokens=1")
        hurried.parameters["timeout"].int64_param = 50_000
        (refused,) = await answers(stub, hurried)
    assert refused.error == "[request id: r] Request timeout expired"
    assert (replica.stats()["peak_running"], replica.stats()["queued"]) == (1, 0)


async def test_the_log_holds_what_was_sent(stub: Any, replica: Replica) -> None:
    call = stub.ModelStreamInfer(iter([asked("tokens=1", max_tokens=7)]), metadata=[("x-test", "yes")])
    assert (await rest_of(call))[-1].final
    (logged,) = replica.calls
    assert logged.body["tensors"]["sampling_param_max_tokens"] == 7
    assert logged.body["tensors"]["streaming"] is True
    assert (logged.body["id"], logged.model, logged.prompt_tokens) == ("r", "tensorrt_llm", 3)
    assert logged.header("x-test") == "yes"


async def test_what_is_no_request_ends_the_stream_without_a_word(fleet: Fleet) -> None:
    async with grpc.aio.insecure_channel(fleet.targets[0]) as channel:
        method: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        call = method(iter([b"\xff\xff"]))
        assert [one async for one in call] == []
        assert await call.code() == grpc.StatusCode.OK


async def test_a_slow_reader_holds_its_script(stub: Any, replica: Replica) -> None:
    with streaming(stub, asked("tokens=400,fault=huge,after=0,bytes=100000", max_tokens=400)) as call:
        assert got(await call.read()).outputs
        assert await until(lambda: replica.calls[0].tokens, unmoved()) < 400
        responses = await rest_of(call)
    assert len(responses) == 400
    assert responses[-1].final


async def test_a_replica_that_refuses_connections_comes_back(stub: Any, replica: Replica) -> None:
    assert (await answers(stub, asked("tokens=1")))[-1].final
    replica.listen("refused", drop=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answers(stub, asked("tokens=1"))
    # The second where the client library finds out while it writes.
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    replica.listen("open")
    with streaming(stub, asked("tokens=1")):
        pass
    assert (await stub.ServerLive(service_pb2.ServerLiveRequest(), wait_for_ready=True, timeout=10)).live
