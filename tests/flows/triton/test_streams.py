"""Many streams over few connections, and the life of a connection: nothing hangs, nothing gets mixed up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest

from loadtests.fleet.answers import words
from loadtests.fleet.triton.contracts import ContractName
from tests.support import plain
from tests.support.fleet import SpawnedReplica, spawn_fleet
from tests.support.gateway import configuration, spawned_gateway
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_stand import TRANSPORTS, TritonStand, behind, triton_stand
from tests.support.waiting import PATIENCE

MODELS: dict[ContractName, str] = {"llmapi": "tensorrt_llm", "ensemble": "ensemble"}
SLACK = 10.0
"""Ten times the second that `pitfalls` allows."""


@dataclass(frozen=True)
class Place:
    stand: TritonStand
    replica: SpawnedReplica


PLACES: list[tuple[ContractName, str]] = [
    *(("llmapi", transport) for transport in TRANSPORTS),
    ("ensemble", TRANSPORTS[-1]),
]


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One connection to a simulated server."""
    contract: ContractName = request.param[0]
    with spawn_fleet(contract=contract) as fleet:
        target = {"url": fleet.targets[0], "model": MODELS[contract], "transport": request.param[1], "connections": 1}
        folder = tmp_path_factory.mktemp(contract)
        with triton_stand(folder, lambda tokenizer: [behind("m", tokenizer, target)]) as stand:
            yield Place(stand, fleet.replicas[0])


@asynccontextmanager
async def sdk(stand: TritonStand) -> AsyncIterator[openai.AsyncOpenAI]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=PATIENCE) as http:
        yield openai.AsyncOpenAI(base_url=f"{stand.gateway.url}/v1", api_key="none", max_retries=0, http_client=http)


async def told(client: openai.AsyncOpenAI, directive: str, **members: Any) -> tuple[str, str]:
    """The text of a stream, and how it ended: its reason, or the code of its error."""
    text, ended = "", None
    asked: dict[str, Any] = {"model": "m", "prompt": f"Say it. @@{directive}@@", "max_tokens": 64, **members}
    try:
        async for chunk in await client.completions.create(**asked, stream=True):
            text += chunk.choices[0].text
            ended = chunk.choices[0].finish_reason
    except openai.APIError as error:
        return text, str(error.code)
    return text, str(ended)


def streams(number: int) -> tuple[str, str, str]:
    """Of one among many: its directive, the text that is due, and how it has to end."""
    tokens, seed = number % 7 + 3, number % 11
    usual = f"tokens={tokens},seed={seed},delay_ms={number % 5}"
    text = "".join(words(seed, tokens))
    match number % 6:
        case 0:
            return f"{usual},final=empty", text, "stop"
        case 1:
            return f"{usual},final=flagged", text, "stop"
        case 2:
            return f"tokens=0,seed={seed}", "", "stop"
        case 3:
            return f"{usual},fault=error,after=0", "", "upstream_error"
        case 4:
            return f"{usual},fault=error,after=2", "".join(words(seed, 2)), "upstream_interrupted"
        case _:
            return usual, text, "stop"


async def test_p19_a_hundred_streams_over_one_connection(place: Place) -> None:
    """P19: with an empty final response and without, with no response at all, with errors; interleaved."""
    place.replica.reset()
    due = [streams(number) for number in range(100)]
    async with sdk(place.stand) as client, asyncio.timeout(PATIENCE):
        got = await asyncio.gather(*(told(client, directive) for directive, _, _ in due))
    assert got == [(text, end) for _, text, end in due]
    assert place.replica.stats()["open_connections"] <= 2  # one of ours, one to control it


ENDLESS = {
    "no_final": "".join(words(0, 3)),
    "eof_clean,after=2": "".join(words(0, 2)),
    "stall,after=2": "".join(words(0, 2)),
    "accept_silent": "",
}


async def test_p19_a_stream_without_an_end_ends_by_its_deadline(place: Place) -> None:
    """P19: a server that never says that this was all is not waited for any longer; nor is a broken end a good one."""
    deadline = {"x-request-timeout-ms": "500"}
    async with sdk(place.stand) as client, asyncio.timeout(SLACK):
        got = await asyncio.gather(
            *(told(client, f"tokens=3,fault={fault}", extra_headers=deadline) for fault in ENDLESS)
        )
    assert [text for text, _ in got] == list(ENDLESS.values())
    assert {end for _, end in got} <= {"upstream_interrupted", "upstream_timeout"}, got


async def test_p20a_the_first_tokens_of_400_streams_come_at_once(place: Place) -> None:
    """P20 a: though a connection carries 100 streams by default: further ones must not wait for those to end.

    These take a quarter of an hour, far longer than anybody's patience here.
    """
    place.replica.reset()
    place.stand.gateway.run(place.stand.gateway.forgive)  # a server at fault would be asked little for a while

    async def first(client: openai.AsyncOpenAI) -> Any:
        stream = await client.completions.create(
            model="m", prompt="Say it. @@tokens=1000,delay_ms=1000@@", max_tokens=1000, stream=True
        )
        await anext(aiter(stream))
        return stream

    async with sdk(place.stand) as client, asyncio.timeout(PATIENCE):
        streams = await asyncio.gather(*(first(client) for _ in range(400)))
        assert [call.outcome for call in place.replica.calls()] == [None] * 400
        await asyncio.gather(*(stream.close() for stream in streams))
    place.stand.wait_idle()
    place.replica.wait_for(lambda calls: all(call.outcome or call.left for call in calls), SLACK)


async def test_p20d_eight_megabytes_in_one_answer(place: Place) -> None:
    """P20 d: gRPC takes four by default."""
    async with sdk(place.stand) as client:
        text, end = await told(client, f"tokens=2,fault=huge,bytes={8 << 20},after=1")
    assert (text, end) == ("The" + (8 << 20) * "x", "stop")


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) << 10


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_p20f_memory_does_not_grow_with_the_number_of_requests(
    transport: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """P20 f: of the process that users run, once it has seen some."""
    folder = tmp_path_factory.mktemp("memory")
    with spawn_fleet(settings="tokens=4", contract="llmapi") as fleet:
        target = {"url": fleet.targets[0], "model": "tensorrt_llm", "transport": transport}
        tree = configuration(models=[behind("m", write_tiny_tokenizer(folder / "tokenizer"), target)])
        with spawned_gateway(tree, folder) as gateway, plain.client(base_url=gateway.url) as client:

            def ask(times: int) -> int:
                for number in range(times):
                    body = {"model": "m", "prompt": "Say it.", "stream": number % 2 == 0}
                    assert client.post("/v1/completions", json=body).status_code == 200
                return memory(gateway.pid)

            ask(100)
            before = ask(100)
            assert ask(200) - before < 2 << 20
