"""A Triton that dies, comes back, or unloads its model under load: what can be answered elsewhere is answered there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import openai
import pytest

from loadtests.bench.processes import listening
from loadtests.fleet.answers import words
from loadtests.triton import TritonServer
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.triton import begun, running_triton
from tests.support.triton_stand import TRANSPORTS, TritonStand, behind, triton_stand
from tests.support.waiting import PATIENCE, until, wait_until

SLACK = 20.0
"""Ten times the two seconds in which a server that is back must be used again."""
WORKERS = 8
TOKENS = 12
GOOD = "".join(words(0, TOKENS))


@dataclass(frozen=True)
class Place:
    """`alone-TRANSPORT` has but the server; `both-TRANSPORT` can be served by `other`, too."""

    server: TritonServer
    other: SpawnedFleet
    stand: TritonStand


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_triton("llmapi") as server, spawn_fleet(contract="llmapi") as other:
        real = {"url": server.grpc, "model": "llmapi"}
        simulated = {"url": other.targets[0], "model": "tensorrt_llm"}
        folder = tmp_path_factory.mktemp("life")
        with triton_stand(
            folder,
            lambda tokenizer: [
                behind(f"{name}-{transport}", tokenizer, *(one | {"transport": transport} for one in replicas))
                for transport in TRANSPORTS
                for name, replicas in (("alone", [real]), ("both", [real, simulated]))
            ],
        ) as stand:
            yield Place(server, other, stand)


@dataclass
class Load:
    """Streams that follow one another, and what became of each: `good`, or the code of its error."""

    model: str
    client: openai.AsyncOpenAI
    endings: list[tuple[float, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    async def work(self) -> None:
        while True:
            self.endings.append((time.monotonic(), await self._one()))

    async def until(self, *, good: int = 0, bad: int = 0) -> None:
        """Until so many more have come."""
        begun = len(self.endings)
        await until(
            lambda: Counter(how == "good" for _, how in self.endings[begun:]),
            lambda came: came[True] >= good and came[False] >= bad,
        )

    async def _one(self) -> str:
        text, ended = "", None
        prompt = f"Say it. @@tokens={TOKENS},delay_ms=10@@"
        try:
            async for chunk in await self.client.completions.create(
                model=self.model, prompt=prompt, max_tokens=99, stream=True
            ):
                text += chunk.choices[0].text
                ended = chunk.choices[0].finish_reason
        except openai.APIStatusError as error:
            await asyncio.sleep(0.02)  # nobody may be there to take long
            return f"{error.status_code} {error.code}"
        except openai.APIError as error:
            self.broken.append(text)
            return str(error.code)
        assert (text, ended) == (GOOD, "stop")
        return "good"


@asynccontextmanager
async def load(stand: TritonStand, model: str) -> AsyncIterator[Load]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http, asyncio.TaskGroup() as group:
        client = openai.AsyncOpenAI(base_url=f"{stand.gateway.url}/v1", api_key="none", max_retries=0, http_client=http)
        made = Load(model, client)
        workers = [group.create_task(made.work()) for _ in range(WORKERS)]
        yield made
        for worker in workers:
            worker.cancel()


def opened(port: int) -> float:
    """When somebody listens there."""
    wait_until(lambda: listening(port))
    return time.monotonic()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_p20b_killed_under_load_and_used_again_once_it_is_back(place: Place, transport: str) -> None:
    """P20 b: streams under way end with an error event, others are refused; then all is well within two seconds."""
    async with load(place.stand, f"alone-{transport}") as running:
        await running.until(good=2 * WORKERS)
        assert {how for _, how in running.endings} == {"good"}
        place.server.kill()
        await running.until(bad=2 * WORKERS)
        assert running.broken, "some were under way"
        assert all(GOOD.startswith(text) for text in running.broken)
        bad = {how for _, how in running.endings if how != "good"}
        assert bad <= {"upstream_interrupted", "502 upstream_unreachable", "502 upstream_error", "503 no_replica"}, bad
        moments: list[float] = []
        watcher = threading.Thread(target=lambda: moments.append(opened(place.server.ports.grpc)))
        watcher.start()
        await asyncio.to_thread(place.server.start)
        await running.until(good=2 * WORKERS)
        watcher.join()
        first = next(at for at, how in running.endings if how == "good" and at > moments[0])
        print(f"{transport}: first success {first - moments[0]:.2f} s after the port opened")
        assert first - moments[0] < SLACK
        after = len(running.endings)
        await running.until(good=2 * WORKERS)
        assert {how for _, how in running.endings[after:]} == {"good"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_unloaded_under_load_loses_nothing_that_another_replica_can_serve(place: Place, transport: str) -> None:
    """Triton refuses at once what comes after, with `no available versions`, and lets those that run finish."""
    async with load(place.stand, f"both-{transport}") as running:
        await running.until(good=2 * WORKERS)
        before = place.other.replicas[0].stats()["started"]
        await asyncio.to_thread(place.server.unload, "llmapi")
        await running.until(good=4 * WORKERS)
        await asyncio.to_thread(place.server.load, "llmapi")
        served = len(begun(place.server, model="llmapi"))
        await running.until(good=4 * WORKERS)
        # It was ejected for some ten seconds, and is then asked again.
        await until(lambda: len(begun(place.server, model="llmapi")), lambda count: count > served, seconds=40)
        assert {how for _, how in running.endings} == {"good"}
        assert place.other.replicas[0].stats()["started"] > before


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_killed_under_load_loses_only_what_was_under_way(place: Place, transport: str) -> None:
    async with load(place.stand, f"both-{transport}") as running:
        await running.until(good=2 * WORKERS)
        place.server.kill()
        await running.until(good=4 * WORKERS)
        bad = [how for _, how in running.endings if how != "good"]
        assert set(bad) <= {"upstream_interrupted"}, "what had said nothing yet was asked elsewhere"
        assert len(bad) <= WORKERS
    await asyncio.to_thread(place.server.start)


async def test_a_models_process_that_dies_is_no_hang(place: Place) -> None:
    """Triton itself lives on, and says nothing more of what its model was at."""
    model = f"alone-{TRANSPORTS[-1]}"
    body = {"model": model, "prompt": "@@fault=die,after=3,delay_ms=20@@", "stream": True}
    answer = place.stand.http.post("/v1/completions", json=body, headers={"x-request-timeout-ms": "3000"})
    assert '"error"' in answer.text
    assert "[DONE]" not in answer.text
    place.server.kill()
    await asyncio.to_thread(place.server.start)
    async with load(place.stand, model) as running:
        await running.until(good=WORKERS)
