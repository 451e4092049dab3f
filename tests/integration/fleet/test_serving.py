"""Slots, pace, cancellation, log and wire of a fleet on the test's own loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from loadtests.fleet import Fleet, Replica
from loadtests.fleet.answers import words
from tests.support.waiting import PATIENCE

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LAST = b"\r\n0\r\n\r\n"


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async with Fleet() as fleet:
        yield fleet.replicas[0]


async def send(replica: Replica, directive: str, path: str = "/v1/chat/completions", **fields: object) -> Streams:
    """Ask on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
    text = f"@@{directive}@@" if directive else "hi"
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "prompt": text, **fields}
    post(writer, json.dumps(body).encode(), path)
    return reader, writer


def post(writer: asyncio.StreamWriter, data: bytes, path: str = "/v1/chat/completions", extra: bytes = b"") -> None:
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (path.encode(), extra, len(data), data)
    )


async def until(streams: Streams, end: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await streams[0].readuntil(end)


async def test_slots_are_given_first_in_first_out(replica: Replica) -> None:
    replica.set(slots=1, service_ms=20)
    asked = []
    for number in range(5):
        asked.append(await send(replica, f"seed={number}"))
        await replica.wait_for(lambda calls, want=number + 1: len(calls) == want)  # type: ignore[misc]
    assert replica.stats()["queued"] >= 1
    for streams in asked:
        await until(streams, b"}}")
    calls = await replica.wait_for(lambda calls: all(call.outcome == "finished" for call in calls))
    for before, after in pairwise(calls):
        assert before.end is not None
        assert after.served is not None
        assert before.end <= after.served
    for streams in asked:
        streams[1].close()


async def test_a_client_that_leaves_frees_its_slot_at_once(replica: Replica) -> None:
    replica.set(slots=1)
    first = await send(replica, "tokens=1000,delay_ms=10", stream=True)
    await replica.wait_for(lambda calls: bool(calls) and calls[0].tokens >= 3)
    second = await send(replica, "tokens=1", stream=True)
    await replica.wait_for(lambda _: replica.stats()["queued"] == 1)
    loop = asyncio.get_running_loop()
    left = loop.time()
    first[1].close()
    await until(second, LAST)
    assert loop.time() - left < 5, "half of what the first one would have taken"
    calls = await replica.wait_for(lambda calls: calls[1].outcome == "finished")
    assert calls[0].outcome == "cancelled"
    assert 3 <= calls[0].tokens < 1000
    assert replica.stats()["running"] == 0
    second[1].close()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_may_leave_while_it_waits(replica: Replica, *, stream: bool) -> None:
    replica.set(slots=1)
    first = await send(replica, "fault=stall", stream=True)
    await replica.wait_for(lambda calls: len(calls) == 1)
    second = await send(replica, "tokens=1", stream=stream)
    await replica.wait_for(lambda calls: len(calls) == 2)
    second[1].close()
    calls = await replica.wait_for(lambda calls: calls[1].outcome == "cancelled")
    assert (calls[1].served, calls[1].tokens) == (None, 0)
    first[1].close()
    await replica.wait_for(lambda calls: calls[0].outcome == "cancelled")
    assert (replica.stats()["running"], replica.stats()["queued"]) == (0, 0)


async def test_a_thousand_that_wait_are_served_when_the_slot_is_free(replica: Replica) -> None:
    replica.set(slots=1)
    first = await send(replica, "fault=stall", stream=True)
    await replica.wait_for(lambda calls: len(calls) == 1)
    others = [await send(replica, "tokens=1") for _ in range(1000)]
    await replica.wait_for(lambda calls: len(calls) == 1001)
    first[1].close()
    await replica.wait_for(lambda calls: all(call.outcome for call in calls))
    assert replica.calls.counts["finished"] == 1000
    for _, writer in others:
        writer.close()


async def test_more_slots_help_those_who_wait(replica: Replica) -> None:
    replica.set(slots=1)
    first = await send(replica, "fault=stall", stream=True)
    second = await send(replica, "tokens=1")
    await replica.wait_for(lambda calls: len(calls) == 2)
    replica.set(slots=2)
    await until(second, b"}}")
    for streams in (first, second):
        streams[1].close()


async def test_tokens_come_at_their_pace(replica: Replica) -> None:
    streams = await send(replica, "tokens=11,ttft_ms=100,delay_ms=20", stream=True)
    await until(streams, LAST)
    (call,) = await replica.wait_for(lambda calls: calls[0].outcome == "finished")
    assert call.first is not None
    assert call.end is not None
    assert 0.09 <= call.first - call.start < 3
    assert 0.29 <= call.end - call.start < 3  # on an absolute schedule, so a late first token takes from the gaps
    streams[1].close()


async def test_directives_do_not_touch_other_requests(replica: Replica) -> None:
    asked = [await send(replica, f"tokens={count}", stream=True) for count in (1, 5, 9)]
    found = [(await until(streams, LAST)).count(b'"content"') for streams in asked]
    assert found == [1, 5, 9]
    for streams in asked:
        streams[1].close()


async def test_a_directive_may_stand_in_the_header_or_the_model(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
    post(writer, b'{"model":"m","prompt":"hi"}', "/v1/completions", b"x-fleet: tokens=2\r\n")
    assert b'"The quick"' in await until((reader, writer), b"}}")
    post(writer, b'{"model":"@@tokens=3,upstream_model=u@@","prompt":"hi"}', "/v1/completions")
    assert b'"model":"u","choices":[{"index":0,"text":"The quick brown"' in await until((reader, writer), b"}}")
    writer.close()


@pytest.mark.parametrize("directive", ["tokns=1", "tokens=many", "slots=1", "fault=none", "delay_ms=-1"])
async def test_a_wrong_directive_is_refused_and_logged(replica: Replica, directive: str) -> None:
    streams = await send(replica, directive)
    assert (await until(streams, b"}}")).startswith(b"HTTP/1.1 400 ")
    assert replica.calls[0].outcome == "fault"
    streams[1].close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"messages":[]}', b'{"model":1}', b'{"model":"m","n":0}', b"\xff"]
)
async def test_a_body_that_is_no_request_is_refused(replica: Replica, body: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
    post(writer, body)
    assert (await until((reader, writer), b"}}")).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.parametrize(("chunking", "chunks"), [("event", 10), ("coalesce", 4), ("split", 18), ("crlf", 10)])
async def test_chunking_changes_how_events_travel_and_not_what_they_say(
    replica: Replica, chunking: str, chunks: int
) -> None:
    streams = await send(replica, f"tokens=8,chunking={chunking}", stream=True)
    await until(streams, b"\r\n\r\n")
    found, text = 0, b""
    while size := int((await until(streams, b"\r\n")).strip(), 16):
        text += (await streams[0].readexactly(size + 2))[:-2]
        found += 1
    assert found == chunks
    if chunking == "crlf":
        assert text.count(b"\r\n\r\n") == 10
        text = text.replace(b"\r\n", b"\n")
    said = [json.loads(event.removeprefix(b"data: ")) for event in text.split(b"\n\n")[:9]]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in said) == "".join(words(0, 8))
    assert text.endswith(b"\n\ndata: [DONE]\n\n")
    streams[1].close()


async def test_the_role_may_come_before_the_first_token(replica: Replica) -> None:
    streams = await send(replica, "tokens=1,role_apart=1,fault=stall,after=0", stream=True)
    got = await until(streams, b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n')
    assert got.count(b"data: ") == 1
    assert replica.calls[0].first is None
    streams[1].close()


async def test_the_log_has_what_was_sent(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
    body = b'{"model":"m","prompt":["a b","c"],"stream":false,"extra":1.50}'
    post(writer, body, "/v1/completions", b"X-Request-Id: r-1\r\nX-Other: Y\r\n")
    await until((reader, writer), b"}}")
    (call,) = replica.calls.since(0)
    assert (call.number, call.request_id, call.model, call.stream) == (1, "r-1", "m", False)
    assert (call.prompt_tokens, call.tokens, call.raw) == (3, 64, body)
    assert call.header("x-other") == "Y"
    entry = call.as_dict()
    assert (entry["body"]["extra"], entry["body_bytes"]) == (1.5, len(body))
    writer.close()


async def test_a_client_that_does_not_read_holds_the_stream(replica: Replica) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port, limit=1024)
    post(writer, b'{"model":"@@tokens=100000@@","messages":[],"stream":true}')
    await replica.wait_for(lambda _: replica.stats()["waiting_bytes"] > 0)
    assert replica.calls[0].tokens < 100_000
    writer.transport.abort()
    await replica.wait_for(lambda calls: calls[0].outcome == "cancelled")


async def test_a_pipelined_request_is_met_with_a_reset(replica: Replica) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
    for _ in range(2):
        post(writer, b'{"model":"@@service_ms=1000@@","messages":[]}')
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(PATIENCE):
            await reader.read()
    assert [call.outcome for call in replica.calls] == ["fault"]
    writer.close()


async def test_health_and_models_have_a_status_of_their_own(replica: Replica) -> None:
    for health, path, start in (
        (200, b"/health", b"HTTP/1.1 200"), (503, b"/health", b"HTTP/1.1 503"), (200, b"/v1/models", b"HTTP/1.1 200")
    ):  # fmt: skip
        replica.set(health=health)
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port)
        writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(start)
        writer.close()
    assert len(replica.calls) == 0


async def test_a_fleet_closes_although_a_client_does_not_read() -> None:
    async with asyncio.timeout(PATIENCE):
        async with Fleet() as fleet:
            replica = fleet.replicas[0]
            _, writer = await asyncio.open_connection("127.0.0.1", replica.listener.port, limit=1024)
            post(writer, b'{"model":"@@tokens=5000,fault=close_idle@@","messages":[],"n":300}')
            await replica.wait_for(lambda calls: bool(calls) and calls[0].outcome == "finished")
            assert replica.stats()["waiting_bytes"] > 0
        assert replica.stats()["open_connections"] == 0
    writer.close()
