"""The simulated Triton keeps the contract that the real one is held to, in both dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadtests.fleet import Call, Fleet, Settings
from tests.support.triton_asking import ContractName, Target, answers, ask, request, stub_of
from tests.support.triton_contract import BOUNDED, CONTRACT, ContractTest

MODELS: dict[ContractName, str] = {"llmapi": "tensorrt_llm", "ensemble": "ensemble"}


@pytest.fixture(params=sorted(MODELS))
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    async with Fleet(contract=request.param) as fleet:
        yield fleet


def target(fleet: Fleet) -> Target:
    (replica,) = fleet.replicas
    assert replica.triton is not None
    contract = replica.triton.contract.name

    async def ended(request_id: str) -> tuple[str, int]:
        def mine(calls: list[Call]) -> list[Call]:
            return [call for call in calls if call.body["id"] == request_id and "max_tokens" in str(call.raw)]

        (call,) = mine(await replica.wait_for(lambda calls: all(one.outcome for one in mine(list(calls)))))
        stopped = call.outcome == "cancelled" and call.left is None
        return "stopped" if stopped else str(call.outcome), call.tokens

    return Target(fleet.targets[0], contract, MODELS[contract], ended)


@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: test.__name__)
async def test_contract(fleet: Fleet, test: ContractTest) -> None:
    await test(target(fleet))


@pytest.mark.parametrize("test", BOUNDED, ids=lambda test: test.__name__)
async def test_contract_of_a_bounded_queue(fleet: Fleet, test: ContractTest) -> None:
    fleet.replicas[0].settings = Settings(slots=1, max_queue=2)
    await test(target(fleet))
    assert fleet.replicas[0].stats()["peak_running"] == 1


async def test_many_streams_on_many_replicas() -> None:
    inputs = ask("llmapi", "hi")
    async with Fleet(4, Settings(tokens=5, ttft_ms=20, delay_ms=20), contract="llmapi") as fleet:

        async def streams(target: str) -> int:
            async with stub_of(target) as stub:
                every = await asyncio.gather(*[answers(stub, request("tensorrt_llm", inputs)) for _ in range(75)])
                return sum(bool(one[-1].final) for one in every)

        assert await asyncio.gather(*map(streams, fleet.targets)) == [75] * 4
        assert [replica.stats()["finished"] for replica in fleet.replicas] == [75] * 4
        assert [replica.stats()["open_streams"] for replica in fleet.replicas] == [0] * 4
