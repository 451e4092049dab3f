"""The simulated Triton keeps the contract that the real one is held to, in both dialects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loadtests.fleet import Call, Fleet, Settings
from tests.support.triton_asking import ContractName
from tests.support.triton_contract import BOUNDED, CONTRACT, ContractTest, Target

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
