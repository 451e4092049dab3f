"""What was learned of costs is there at the next start, whatever state its file is in, and in whole."""

from __future__ import annotations

import json
import logging
import os
import resource
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway import learned_costs
from gateway.learned_costs import LearnedCosts, decoded, encoded, read, write
from gateway.overrides import Overrides
from gateway.snapshots import Pools, snapshot
from router.admission import Admission
from router.cost import Costs
from router.events import ignore
from tests.support.costs import finished
from tests.support.upstreams import NotingMaker, configured, model
from tests.support.waiting import until

TWO = (model("a", "b"), model("c", version="2"))


def started(*models: dict[str, Any]) -> Pools:
    """As a process has them when it begins: `m@1` with the replicas m-0 and m-1, and `m@2` with m@2-0."""
    config, pools = configured(*(models or TWO)), Pools(time.monotonic, Random(1), ignore)
    snapshot(config, NotingMaker().homes(config.models, {}), pools, Overrides())
    return pools


def of(pools: Pools, label: str = "m@1") -> Costs:
    return admission(pools, label).costs


def admission(pools: Pools, label: str) -> Admission:
    (found,) = [each for each in pools.every if each.pool.name == label]
    return found


def teach(pools: Pools, label: str = "m@1", output: int = 16) -> None:
    """That answers are short; by all replicas of the version, and one that is gone."""
    names = [replica.name for replica in admission(pools, label).pool.replicas]
    of(pools, label).learn([finished(output=output, replica=name) for name in (*names, "gone") for _ in range(60)])


def expected(pools: Pools, label: str = "m@1") -> int:
    return of(pools, label).output("a", 1000, None)


def inside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


async def run(file: Path, pools: Pools) -> None:
    async with LearnedCosts(file, pools).kept():
        pass


async def lives(file: Path) -> None:
    """A process that starts, learns that answers are short, and ends."""
    pools = started()
    async with LearnedCosts(file, pools).kept():
        teach(pools)
        teach(pools, "m@2", output=64)


async def test_what_was_learned_is_there_at_the_next_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "costs.json"
    with caplog.at_level(logging.INFO):
        await lives(file)
        assert events(caplog) == [], "that there is no file yet is as it should be"
        pools = started()
        assert expected(pools) == 256
        async with LearnedCosts(file, pools).kept():
            assert (expected(pools), expected(pools, "m@2")) == (16, 64)
            assert set(of(pools).replicas) == {"m-0", "m-1"}
    assert events(caplog) == ["costs recalled"]
    assert vars(caplog.records[0])["versions"] == 2


async def test_only_its_owner_may_read_it_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text("{}")
    file.chmod(0o644)
    await lives(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert inside(tmp_path) == ["costs.json"]


async def test_versions_and_replicas_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    await lives(file)
    pools = started(model("a"), model("d", version="3"))
    await run(file, pools)
    assert set(of(pools).replicas) == {"m-0"}
    assert expected(pools, "m@3") == 256
    assert set(decoded(read(file))) == {"m@1", "m@3"}


def damaged(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def changed(**different: object) -> Callable[[Path], object]:
    return lambda file: file.write_text(json.dumps({**json.loads(file.read_bytes()), **different}))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


DAMAGES = {
    "empty": damaged(b""),
    "cut": cut,
    "no JSON": damaged(b"\xff\x00{"),
    "deep": damaged(b'{"form":1,"versions":' + b"[" * 100_000),
    "deeper": damaged(b'{"form":1,"versions":{"m@1":' + b'{"replicas":' * 100_000),
    "something else": damaged(b'{"models": []}'),
    "another release": changed(form=2),
    "more": changed(more=1),
    "one of two": lambda file: changed(versions={**json.loads(file.read_bytes())["versions"], "m@2": {}})(file),
    "too long": lambda file: os.truncate(file, learned_costs.LONGEST + 1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_file_is_left_aside_whole_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    file = tmp_path / "costs.json"
    await lives(file)
    damage(file)
    pools = started()
    async with LearnedCosts(file, pools).kept():
        assert (expected(pools), expected(pools, "m@2")) == (256, 256)
        assert events(caplog) == ["costs left aside"]
        teach(pools, output=32)
    again = started()
    await run(file, again)
    assert expected(again) == 32
    assert events(caplog) == ["costs left aside"], "once"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
async def test_what_is_no_file_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    file = tmp_path / "costs.json"
    make(file)
    await run(file, started())
    assert events(caplog) == ["costs left aside", "costs not kept"]
    assert {vars(record)["reason"] for record in caplog.records} == {"is no plain file"}
    assert not file.is_file()


async def test_that_it_can_not_be_written_is_told_once_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, pools = tmp_path / "not yet" / "costs.json", started()
    learned = LearnedCosts(file, pools, every=0.001)
    assert repr(learned) == f"<LearnedCosts in {file}>"
    async with learned.kept():
        teach(pools)
        await until(lambda: repr(learned), lambda shown: "No such file" in shown)
        file.parent.mkdir()
        await until(file.exists)
        await until(lambda: repr(learned), lambda shown: "No such file" not in shown)
        again = started()
        await LearnedCosts(file, again)._recall(file)
        assert expected(again) == 16, "it is written meanwhile, too"
    assert events(caplog) == ["costs not kept"]


async def test_a_name_that_can_not_be_one_keeps_nobody_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    await run(Path("\0"), started())
    assert events(caplog) == ["costs left aside", "costs not kept"]


async def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    learned = LearnedCosts(None, started(), every=0.001)
    async with learned.kept():
        assert repr(learned) == "<LearnedCosts in no file>"
    assert inside(tmp_path) == []


async def test_it_is_written_when_the_process_ends_in_trouble(tmp_path: Path) -> None:
    file, pools = tmp_path / "costs.json", started()

    async def die() -> None:
        async with LearnedCosts(file, pools).kept():
            raise KeyError

    with pytest.raises(KeyError):
        await die()
    assert set(decoded(read(file))) == {"m@1", "m@2"}


def test_what_a_link_leads_to_is_written_not_the_link(tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "costs.json", tmp_path / "costs.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_several_who_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    file, pools = tmp_path / "costs.json", started()
    teach(pools)
    contents = [encoded({f"m@{number}": of(pools).state()}) for number in range(4)]
    write(file, contents[0])
    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, file, content) for _ in range(20) for content in contents]
        seen = [read(file)]
        while not all(one.done() for one in writing):
            seen.append(read(file))
    assert [one.result() for one in writing] == [None] * 80
    assert set(seen) <= set(contents)
    assert inside(tmp_path) == ["costs.json"]


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    write(file, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(file, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == b"old"
    assert inside(tmp_path) == ["costs.json"]


def test_what_would_be_too_long_to_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large"):
        write(tmp_path / "costs.json", bytes(learned_costs.LONGEST + 1))
    assert inside(tmp_path) == []
