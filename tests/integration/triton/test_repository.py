"""The repository of a real Triton, and of the simulated one: what is there, loading, unloading, counting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engines.grpc.aio import AioChannel
from engines.grpc.api import Code, RpcError
from engines.triton.repository import Repository
from loadtests.fleet.fleet import Fleet
from loadtests.triton import TritonServer
from tests.support.triton import RawTriton, batched, texts
from tests.support.waiting import PATIENCE, until_told


@asynccontextmanager
async def repository_of(target: str) -> AsyncIterator[Repository]:
    channel = AioChannel(target, tls=None, connections=1, max_message=1 << 20, connect_timeout=PATIENCE)
    try:
        yield Repository(channel, timeout=20.0)
    finally:
        await channel.aclose()


@pytest.fixture
async def repository(triton: TritonServer) -> AsyncIterator[Repository]:
    async with repository_of(triton.grpc) as made:
        yield made


async def states(repository: Repository, model: str) -> list[str]:
    return [entry.state for entry in await repository.index() if entry.name == model]


async def test_a_model_is_loaded_found_unloaded_and_missed(repository: Repository) -> None:
    assert await repository.live()
    await repository.load("generic")
    assert await repository.ready("generic")
    assert await states(repository, "generic") == ["READY"]
    assert "generic" in [entry.name for entry in await repository.index(ready_only=True)]
    await repository.unload("generic")
    assert not await repository.ready("generic")
    assert "READY" not in await states(repository, "generic")


async def test_facts_are_those_of_the_models_config(repository: Repository) -> None:
    await repository.load("llmapi")
    facts = await repository.facts("llmapi")
    assert (facts.name, facts.backend, facts.max_batch_size, facts.decoupled) == ("llmapi", "python", 0, True)
    assert facts.inputs["text_input"].datatype == "BYTES"
    assert not facts.inputs["text_input"].optional
    assert facts.inputs["sampling_param_seed"].datatype == "UINT64"
    assert facts.inputs["sampling_param_seed"].optional
    assert facts.outputs["text_output"].dims == (-1,)


async def test_statistics_count_what_was_done(repository: Repository, client: RawTriton) -> None:
    await repository.load("embedder")
    before = await repository.statistics("embedder")
    await client.unary("embedder", batched({"text": texts("counted")}))
    after = await until_told(  # Triton counts a request after it has answered it
        lambda: repository.statistics("embedder"), lambda now: now[0].succeeded > before[0].succeeded
    )
    assert [entry.name for entry in after] == ["embedder"]
    assert after[0].succeeded == before[0].succeeded + 1
    assert after[0].computed > before[0].computed


@pytest.mark.parametrize("question", ["facts", "statistics", "load"])
async def test_an_unknown_model_is_an_error_and_never_ready(repository: Repository, question: str) -> None:
    assert not await repository.ready("nobody")
    with pytest.raises(RpcError):
        await getattr(repository, question)("nobody")


async def test_a_config_replaces_the_models_own(repository: Repository) -> None:
    with pytest.raises(RpcError):
        await repository.load("llmapi", {"backend": "there is no such backend"})
    await repository.load("llmapi")
    assert await repository.ready("llmapi")


async def test_the_simulated_server_keeps_a_repository_too() -> None:
    async with Fleet(contract="ensemble") as fleet, repository_of(fleet.targets[0]) as repository:
        assert await repository.live()
        assert (await repository.facts("ensemble")).platform == "ensemble"
        await repository.unload("ensemble")
        assert not await repository.ready("ensemble")
        await repository.load("ensemble")
        assert await states(repository, "ensemble") == ["READY"]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with Fleet(contract="llmapi") as fleet:
        target = fleet.targets[0]
    async with repository_of(target) as repository:
        with pytest.raises(RpcError) as refused:
            await repository.live()
    assert refused.value.code is Code.UNAVAILABLE
