"""Answers of Triton servers that end where their caller's limits have no more left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadtests.triton import TritonServer
from tests.support.fleet import spawn_fleet
from tests.support.limited import plan
from tests.support.sdk_answers import completion
from tests.support.triton_stand import TritonStand, behind, real_models, triton_stand

both = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@contextmanager
def limited_stand(folder: Path, models: Callable[[Path], list[dict[str, Any]]], tokens: int) -> Iterator[TritonStand]:
    """Whose only caller has so many tokens left for the whole day."""
    plans = [plan(key={"tokens_per_day": tokens}, cut_answers=True)]
    with triton_stand(folder, models, quotas={"plans": plans}) as stand:
        yield stand
        stand.wait_idle()


@both
def test_a_real_model_ends_where_no_tokens_are_left(triton: TritonServer, tmp_path: Path, *, stream: bool) -> None:
    with limited_stand(tmp_path, partial(real_models, triton), 60) as stand:
        label = stand.label()
        members: dict[str, Any] = {"prompt": "Once upon a time", "temperature": 0}
        told = completion(
            stand.sdk(), stream=stream, model="smollm2", extra_headers={"x-client-request-id": label}, **members
        )
        record = stand.record(label)
        assert told.reasons == {0: "length"}
        assert 0 < record["completion_tokens"] <= record["output_cap"] < 60, (
            "counted by its text, where the server tells none"
        )
        assert record["cut"] is False


@pytest.mark.parametrize("heeded", [True, False], ids=["heeded", "ignored"])
@both
def test_a_simulated_one_ends_there_whether_it_heeds_its_cap_or_not(
    tmp_path: Path, *, stream: bool, heeded: bool
) -> None:
    """The engine knows its cap: there is nothing left to be cut."""
    with spawn_fleet(contract="llmapi") as fleet:
        target = {"url": fleet.targets[0], "model": "tensorrt_llm"}
        with limited_stand(tmp_path, lambda tokenizer: [behind("m", tokenizer, target)], 100) as stand:
            label = stand.label()
            prompt = f"Say it. @@tokens=300,delay_ms=2,heeds_cap={str(heeded).lower()}@@"
            told = completion(
                stand.sdk(), stream=stream, model="m", prompt=prompt, extra_headers={"x-client-request-id": label}
            )
            record = stand.record(label)
        assert told.reasons == {0: "length"}
        assert 0 < record["completion_tokens"] == record["output_cap"] < 100
        assert (record["cut"], record["outcome"]) == (False, "success")
        (call,) = fleet.replicas[0].calls()
        assert call.outcome == ("finished" if heeded else "cancelled")
