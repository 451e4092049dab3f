"""What an OpenAI-compatible server may answer, and what each answer means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from engines.api import Call, EngineError, Failed, Overloaded, Rejected, Surroundings, Timers
from engines.openai import OpenAIEngine
from engines.openai_options import OpenAIOptions
from tests.support.waiting import PATIENCE
from tests.support.wire_server import Answers, ok, serving

DELTA = b'data: {"model":"up","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"
EVENTS = b"content-type: text/event-stream"


def call(*, stream: bool = False) -> Call:
    fields = {"model": msgspec.Raw(b'"up"')}
    deadline = asyncio.get_running_loop().time() + 60
    return Call("call-1", "chat", fields, "public", stream=stream, show_usage=False, deadline=deadline)


@asynccontextmanager
async def engine(*writes: bytes) -> AsyncIterator[OpenAIEngine]:
    """An engine whose server answers so."""
    async with asyncio.timeout(PATIENCE), serving(Answers(writes)) as pool:
        url = f"http://127.0.0.1:{pool._port}/v1"
        made = OpenAIEngine(OpenAIOptions(url=url), Surroundings(pool._sweeper, Timers()))
        try:
            yield made
        finally:
            await made.aclose()


def refused(status: int, body: bytes, *fields: bytes) -> bytes:
    return ok(body, *fields).replace(b"200 OK", b"%d X" % status)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"null", b"[]", b"<html>", b'{"choices":[]}', b'{"choices":null}', b'{"error":{"message":"x"}}',
        b'{"error":"x","choices":[{}]}', b'{"object":"error","message":"x"}', b'{"choices":[{}]', b'{"choices":[{}]} x',
        b'{"choices":[{}],"usage":{"prompt_tokens":-1}}',
        b'{"choices":[{}],"usage":{"prompt_tokens":1%b}}' % (99 * b"0"),
    ],
)  # fmt: skip
async def test_p06_a_200_that_is_no_answer_is_a_failure(body: bytes) -> None:
    async with engine(ok(body)) as asked:
        with pytest.raises(Failed):
            await asked.call(call())


@pytest.mark.parametrize("body", [DONE, DELTA + DONE, b": ping\n\n" + DONE, b"", DELTA])
async def test_p06_a_stream_that_ends_without_content_is_a_failure(body: bytes) -> None:
    async with engine(ok(body, EVENTS)) as asked:
        with pytest.raises(Failed):
            await asked.call(call(stream=True))


async def test_p21_a_stream_that_never_comes_to_its_content_is_bounded() -> None:
    async with engine(ok(DELTA * 20_000, EVENTS)) as asked:
        with pytest.raises(Failed, match="no content"):
            await asked.call(call(stream=True))


async def test_a_stream_where_a_document_was_asked_for_and_the_reverse_is_a_failure() -> None:
    async with engine(ok(DELTA + DONE, EVENTS), ok(b'{"choices":[{}]}')) as asked:
        with pytest.raises(Failed):
            await asked.call(call())
        with pytest.raises(Failed):
            await asked.call(call(stream=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_encoding_that_was_not_asked_for_is_a_failure(stream: bool) -> None:
    readable = ok(b'{"choices":[{}]}', b"content-encoding: gzip", EVENTS)
    async with engine(readable) as asked:
        with pytest.raises(Failed, match="encoding"):
            await asked.call(call(stream=stream))


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b'{"error":{"message":"m","param":"p","code":"c"}}', "m", "p", "c"),
        (b'{"error":{"message":"m","param":null,"code":400}}', "m", None, None),
        (b'{"error":"m"}', "m", None, None),
        (b'{"object":"error","message":"m"}', "m", None, None),
        (b'{"detail":[{"msg":"m"}]}', "The model server refused the request.", None, None),
        (b'{"error":{"message":"\xff"}}', "The model server refused the request.", None, None),
        (b"<html>no</html>", "The model server refused the request.", None, None),
        (b"", "The model server refused the request.", None, None),
    ],
)
async def test_a_refusal_is_understood_in_every_shape(
    body: bytes, message: str, param: str | None, code: str | None
) -> None:
    async with engine(refused(400, body)) as asked:
        with pytest.raises(Rejected) as caught:
            await asked.call(call())
        error = caught.value
        assert (error.message, error.param, error.code, error.kind) == (message, param, code, "invalid")
        assert len(asked._pool._idle) == 1  # a refusal is a whole response


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 504, 301])
async def test_p32_what_is_our_or_the_servers_fault_is_told_without_the_servers_words(status: int) -> None:
    async with engine(refused(status, b'{"error":{"message":"sk-secret at 10.0.0.1"}}')) as asked:
        with pytest.raises(EngineError) as caught:
            await asked.call(call())
        assert type(caught.value) is Failed
        assert caught.value.message == f"The model server answered {status}."


@pytest.mark.parametrize(("said", "seconds"), [(b"3", 3), (b"0.5", 0.5), (b"-1", 0), (b"soon", None), (b"", None)])
async def test_p17_overload_says_how_long(said: bytes, seconds: float | None) -> None:
    async with engine(refused(429, b"", b"retry-after: " + said)) as asked:
        with pytest.raises(Overloaded) as caught:
            await asked.call(call())
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize("said", [b"nan", b"inf", b"1e400"])
async def test_p17_a_retry_after_that_is_no_number_of_seconds_is_not_taken(said: bytes) -> None:
    async with engine(refused(503, b"", b"retry-after: " + said)) as asked:
        with pytest.raises(Overloaded) as caught:
            await asked.call(call())
        assert caught.value.retry_after is None
