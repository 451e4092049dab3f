"""A file that is read again is taken over as far as it may, and told; a bad one changes nothing."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.api import Unreachable
from gateway.config import Config, ConfigError
from gateway.reloading import LIVE, Reloading, Source
from tests.support.gateway import metric
from tests.support.reloading import EVERY, Stand, listening, model
from tests.support.waiting import PATIENCE


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "gateway.yaml")


@pytest.fixture
def events() -> Iterator[list[logging.LogRecord]]:
    with listening() as said:
        yield said


async def test_a_reload_tells_what_changed(stand: Stand, events: list[logging.LogRecord]) -> None:
    stand.write(model(), model(version="2"), model("gone"), routing=[{"model": "gone"}])
    await stand.reloading.reload()
    stand.write(model(weight=2), model("new"), model(version="2"), routing=[{"model": "new", "aliases": ["n"]}])
    reloaded = await stand.reloading.reload()
    assert (reloaded.added, reloaded.removed) == (["new@1", "routing of new"], ["gone@1", "routing of gone"])
    assert (reloaded.changed, reloaded.needs_restart, reloaded.generation) == (["m@1"], [], 3)
    assert stand.versions == ["m@1", "new@1", "m@2"]
    said = vars(events[-1])
    assert (said["msg"], said["added"]) == ("configuration reloaded", "new@1, routing of new")
    assert "needs_restart" not in said


async def test_the_queue_s_terms_change_while_requests_wait(stand: Stand) -> None:
    stand.write(model(), admission={"queue": 7})
    reloaded = await stand.reloading.reload()
    assert (reloaded.changed, reloaded.needs_restart) == (["admission"], [])
    assert stand.applied.file.admission.queue == 7


async def test_where_costs_are_kept_is_told_and_not_taken_over(stand: Stand) -> None:
    stand.write(model(), admission={"queue": 7, "costs": "costs.json"})
    told = [
        (one.changed, one.needs_restart) for one in (await stand.reloading.reload(), await stand.reloading.reload())
    ]
    assert told == [(["admission"], ["admission.costs"]), ([], ["admission.costs"])]
    assert (stand.applied.file.admission.queue, stand.applied.file.admission.costs) == (7, None)


async def test_plans_are_taken_over_and_their_store_is_not(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def plans(**limits: int) -> list[dict[str, object]]:
        return [{"name": name, "key": {"requests_per_minute": limit}} for name, limit in limits.items()]

    stand.write(model(), quotas={"plans": plans(default=1, gone=1)})
    assert (await stand.reloading.reload()).added == ["plan default", "plan gone"]
    stand.write(model(), quotas={"plans": plans(default=2, new=3), "store": {"env": "LIMITS"}})
    monkeypatch.setenv("LIMITS", "redis://127.0.0.1:1")
    done = await stand.reloading.reload()
    assert (done.added, done.removed, done.changed) == (["plan new"], ["plan gone"], ["plan default"])
    assert done.needs_restart == ["quotas.store"]
    assert {name: plan.key.requests_per_minute for name, plan in stand.quotas.plans.items()} == {"default": 2, "new": 3}
    stand.applied.failure = Unreachable("Replica n-0: no luck")
    stand.write(model(), quotas={"plans": plans(default=4)})
    with pytest.raises(Unreachable):
        await stand.reloading.reload()
    assert stand.quotas.plans.keys() == {"default", "new"}


@pytest.mark.parametrize(
    ("kind", "words"), [("none", "takes auth.kind keys"), ("keys", "m has no price")], ids=["no_ledger", "no_price"]
)
async def test_budgets_are_not_taken_over_without_what_they_are_counted_by(
    tmp_path: Path, kind: str, words: str
) -> None:
    """They would pay for everything, or for nothing, until a restart."""
    stand = Stand(tmp_path / "gateway.yaml", {"auth": {"kind": kind}})
    spent = {"name": "default", "key": {"budgets": {"day": 5}}}
    prices = [{"model": "m", "input": 1, "output": 1}]
    stand.write(model(), auth={"kind": "keys"}, ledger={"prices": prices}, quotas={"plans": [spent]})
    with pytest.raises(ConfigError, match=rf"quotas\.plans\[0\]\.key\.budgets: {words}.* takes a restart"):
        await stand.reloading.reload()
    assert (stand.quotas.plans, stand.valid) == ({}, 0)


async def test_other_settings_are_told_and_not_taken_over(stand: Stand) -> None:
    stand.write(
        model(), model("n"), server={"port": 7000}, timeouts={"connect": 1, "total": 600}, logs={"level": "debug"}
    )
    for _ in range(2):  # as long as they differ from what runs
        reloaded = await stand.reloading.reload()
        assert reloaded.needs_restart == ["server.port", "timeouts.connect", "logs.level"]
    assert stand.versions == ["m@1", "n@1"]
    assert stand.applied.file.server.port == 8080
    assert stand.applied.number == 2


async def test_a_bad_file_changes_nothing_and_is_told_once_with_every_mistake(
    stand: Stand, events: list[logging.LogRecord]
) -> None:
    stand.write(model(wait=3), model("n", engine="sripted"))
    with pytest.raises(ConfigError) as refused:
        await stand.reloading.reload()
    for place in ("models[0].wait", "models[1].engine"):
        assert place in str(refused.value)
    assert (stand.versions, stand.applied.number, stand.valid) == (["m@1"], 1, 0)
    assert [(record.levelname, vars(record)["reason"]) for record in events] == [("ERROR", str(refused.value))]
    stand.write(model())
    await stand.reloading.reload()
    assert stand.valid == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"models: [", b"\xff", b"models: {}", b"models:\n- {name: m, engine: scripted}\nmodel: 1"],
    ids=range(5),
)
async def test_what_is_no_configuration_changes_nothing(stand: Stand, content: bytes) -> None:
    stand.file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"gateway\.yaml"):
        await stand.reloading.reload()
    assert (stand.versions, stand.valid) == (["m@1"], 0)


async def test_a_replica_that_can_not_start_makes_it_not_valid(stand: Stand) -> None:
    stand.applied.failure = Unreachable("Replica n-0: no luck")
    stand.write(model("n"))
    with pytest.raises(Unreachable, match="no luck"):
        await stand.reloading.reload()
    assert (stand.versions, stand.valid) == (["m@1"], 0)
    stand.applied.failure = None
    await stand.reloading.reload()  # the same file: it is not in force yet
    assert (stand.versions, stand.valid) == (["n@1"], 1)


async def test_a_secret_that_is_not_there_is_found_before_anything_is_exchanged(stand: Stand) -> None:
    replica = {"url": "http://127.0.0.1:1/v1", "api_key": {"env": "NO_SUCH_KEY"}}
    stand.write(model("n", engine="openai", replicas=[replica]))
    with pytest.raises(ConfigError, match=r"models\[0\].replicas\[0\].api_key: .*NO_SUCH_KEY is not set"):
        await stand.reloading.reload()
    assert stand.applied.number == 1


async def test_the_environment_goes_over_the_file_each_time(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "gateway.yaml", SNOWSHED_MODELS__0__MAX_TOKENS="77")
    stand.write(model("n", max_tokens=5))
    await stand.reloading.reload()
    assert [(spec.name, spec.max_tokens) for spec in stand.applied.file.models] == [("n", 77)]


async def test_what_can_be_read_once_only_is_left_alone(tmp_path: Path, stand: Stand) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    once = Reloading(Source(pipe), stand.applied, stand.quotas, every=EVERY)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConfigError, match="no plain file"):
            await once.reload()
    assert metric("".join(once.lines()), "snowshed_config_valid") == 1


async def test_reloads_take_turns(stand: Stand) -> None:
    busy: list[int] = []
    most: list[int] = []
    original = stand.applied.apply

    async def apply(file: Config) -> None:
        busy.append(1)
        most.append(len(busy))
        await asyncio.sleep(0)
        await original(file)
        busy.pop()

    stand.applied.apply = apply  # type: ignore[method-assign]
    stand.write(model("n"))
    reloads = [stand.reloading.reload() for _ in range(5)]
    generations = [reloaded.generation for reloaded in await asyncio.gather(*reloads)]
    assert (generations, max(most)) == ([2] * 5, 1)  # the first changes it, the others find it so


def test_it_says_what_it_reads(stand: Stand) -> None:
    assert repr(stand.reloading) == f"<Reloading {stand.file}, valid>"
    assert set(Config.model_fields) > LIVE
