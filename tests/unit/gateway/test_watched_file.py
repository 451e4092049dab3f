"""A file is read again once it has changed for good, or when somebody asks, and only then."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from gateway.config import Config
from gateway.quotas import Quotas
from gateway.reloading import Reloading, Source
from tests.support.gateway import metric
from tests.support.reloading import EVERY, Applied, Stand, listening, model
from tests.support.waiting import until


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "gateway.yaml")


@pytest.fixture
def events() -> Iterator[list[logging.LogRecord]]:
    with listening() as said:
        yield said


async def test_a_change_of_the_file_is_seen(stand: Stand, events: list[logging.LogRecord]) -> None:
    async with stand.watched():
        stand.write(model(), model("n"))
        await until(lambda: stand.versions == ["m@1", "n@1"])
        stand.write(model("x", nonsense=1))
        await until(lambda: stand.valid == 0)
        stand.file.unlink()
        await until(lambda: len(events) == 3)
        stand.write(model(), model("n"))
        await until(lambda: stand.valid == 1)
    assert [record.getMessage() for record in events] == [
        "configuration reloaded", "configuration not reloaded", "configuration not reloaded", "configuration reloaded",
    ]  # fmt: skip
    assert stand.applied.number == 2


@pytest.mark.parametrize(
    ("make", "reason", "valid"), [(Path.mkdir, "Is a directory", 0), (os.mkfifo, "no plain file", 1)]
)
async def test_what_is_no_file_in_its_place_is_told_once(
    stand: Stand, events: list[logging.LogRecord], make: Callable[[Path], None], reason: str, valid: float
) -> None:
    """What is read once only says nothing about the configuration: that it was started with stays valid."""
    looks = 0
    look = Source.look

    def counted(source: Source) -> bytes | None:
        nonlocal looks
        looks += 1
        return look(source)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Source, "look", counted)
        async with stand.watched():
            stand.write(model(), model("n"))
            await until(lambda: stand.versions == ["m@1", "n@1"])
            stand.file.unlink()
            make(stand.file)
            await until(lambda: any(reason in vars(record).get("reason", "") for record in events))
            assert stand.valid == valid
            enough = looks + 5
            await until(lambda: looks >= enough)
            said = len(events)
            stand.file.rename(stand.file.with_suffix(".odd"))
            stand.write(model())
            await until(lambda: stand.versions == ["m@1"])
    assert said == 2, "the change, and that it is no file"
    assert stand.valid == 1


async def test_a_link_that_is_exchanged_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link through a link to a folder, and that is exchanged."""
    for folder, name in (("v1", "m"), ("v2", "n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "gateway.yaml").write_text(yaml.safe_dump({"models": [model(name)]}))
    (tmp_path / "data").symlink_to("v1")
    file = tmp_path / "gateway.yaml"
    file.symlink_to(Path("data") / "gateway.yaml")
    source = Source(file)
    applied = Applied(source.read())
    task = asyncio.create_task(Reloading(source, applied, Quotas([]), every=EVERY).watch())
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").rename(tmp_path / "data")
    await until(lambda: [spec.name for spec in applied.file.models] == ["n"])
    task.cancel()
    await asyncio.wait([task])


async def test_a_file_that_is_still_being_written_is_not_read(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look sees more of it, so none counts; half of a file may well be a configuration."""
    looks = iter([b"a", b"ab", b"abc", b"abcd"])
    seen: list[bytes] = []

    def look(_: Source) -> bytes:
        seen.append(next(looks, b"abcd"))
        return seen[-1]

    def parse(_: Source) -> Config:
        read.append(len(seen))
        return stand.applied.file

    read: list[int] = []
    monkeypatch.setattr(Source, "look", look)
    monkeypatch.setattr(Source, "read", parse)
    async with stand.watched():
        await until(lambda: len(seen) >= 12)
    assert read == [6]  # the fourth and fifth look agreed; the sixth was the reload's own


async def test_an_untouched_file_is_compared_once_and_said_nothing_of(
    stand: Stand, events: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = Source.read

    def parse(source: Source) -> Config:
        read.append(1)
        return original(source)

    monkeypatch.setattr(Source, "read", parse)
    async with stand.watched():
        await until(lambda: read)
        os.utime(stand.file)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await until(lambda: loop.time() > begun + 10 * EVERY)
    assert len(read) == 1
    assert (events, stand.applied.number) == ([], 1)


async def test_who_asks_hears_even_that_nothing_changed(stand: Stand, events: list[logging.LogRecord]) -> None:
    async with stand.watched():
        stand.reloading.ask()
        await until(lambda: events)
    assert events[0].getMessage() == "configuration reloaded"


async def test_a_mistake_of_ours_does_not_end_the_watch(stand: Stand, events: list[logging.LogRecord]) -> None:
    async with stand.watched():
        stand.applied.failure = RuntimeError("a bug")
        stand.write(model("n"))
        await until(lambda: any(record.getMessage() == "reload broke" for record in events))
        stand.applied.failure = None
        stand.write(model("x"))
        await until(lambda: stand.versions == ["x@1"])


async def test_without_a_file_there_is_nothing_to_read(events: list[logging.LogRecord]) -> None:
    applied = Applied(Source().read())
    nothing = Reloading(Source(), applied, Quotas([]), every=EVERY)
    watching = asyncio.create_task(nothing.watch())
    nothing.ask()
    await until(lambda: events)
    assert "no file" in vars(events[0])["reason"]
    assert metric("".join(nothing.lines()), "snowshed_config_valid") == 1
    watching.cancel()
    await asyncio.wait([watching])
