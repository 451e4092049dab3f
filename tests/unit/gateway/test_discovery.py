"""What a resolver says counts in a fixed order; what it does not say is told once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest

from engines.api import EngineError
from gateway import discovery
from gateway.discovery import Discovery, resolve
from tests.support.upstreams import Names
from tests.support.waiting import PATIENCE, until


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(record)["reason"]) for record in caplog.records if record.levelno == logging.WARNING]


async def test_addresses_of_both_families_come_once_and_in_order() -> None:
    names = Names(pods=["fd00::2", "10.0.0.10", "10.0.0.9", "fd00::1", "10.0.0.9"], none=())
    found = await Discovery(names).ask(["pods", "none"])
    assert found == {"pods": ("10.0.0.9", "10.0.0.10", "fd00::1", "fd00::2")}


async def test_no_more_than_so_many_count() -> None:
    names = Names(pods=[f"10.0.{n // 256}.{n % 256}" for n in range(300)])
    found = await Discovery(names).ask(["pods"])
    assert found["pods"] == tuple(f"10.0.0.{n}" for n in range(64))


async def test_a_trouble_is_told_once_and_again_when_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    names = Names(pods=OSError(-2, "Name or service not known"))
    asked = Discovery(names)
    for _ in range(3):
        assert await asked.ask(["pods"]) == {}
    names.answers["pods"] = ()
    for _ in range(3):
        assert await asked.ask(["pods"]) == {}
    assert told(caplog) == ["Name or service not known", "no addresses"]


async def test_a_resolver_that_hangs_holds_nobody_up_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(_: str) -> Iterable[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(discovery, "PATIENCE", 0.05)
    async with asyncio.timeout(PATIENCE):
        assert await Discovery(hang).ask(["pods", "others"]) == {}
    assert told(caplog) == ["no answer within 0.05 s"] * 2


async def test_what_an_answer_breaks_is_told_once_and_the_next_is_another_try(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[str, tuple[str, ...]]] = []

    async def found(host: str, addresses: tuple[str, ...]) -> None:
        heard.append((host, addresses))
        if len(heard) in {1, 2, 3, 7}:
            raise EngineError("not yet")
        if len(heard) in {4, 5}:
            raise RuntimeError("a mistake of ours")

    asked = Discovery(Names(pods=["10.0.0.1"]))
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        asked.follow({"pods": 0.01}, tasks, found)
        await until(lambda: len(heard) >= 8)
        asked.stop()
    assert set(heard) == {("pods", ("10.0.0.1",))}
    assert told(caplog) == ["not yet"] * 2  # between them all was well once
    assert sum(record.getMessage() == "discovery broke" for record in caplog.records) == 2


async def test_hosts_are_followed_as_long_as_they_are_asked_for() -> None:
    async def found(host: str, addresses: tuple[str, ...]) -> None:
        pass

    names = Names(one=["10.0.0.1"], two=["10.0.0.2"])
    asked = Discovery(names)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        asked.follow({"one": 0.01, "two": 3600}, tasks, found)
        await until(lambda: names.asked.count("one") > 2)
        assert "two" not in names.asked
        asked.follow({"two": 0.01}, tasks, found)
        names.asked.clear()
        await until(lambda: names.asked.count("two") > 2)
        assert "one" not in names.asked
        asked.stop()


async def test_the_systems_resolver_knows_this_machine() -> None:
    assert "127.0.0.1" in set(await resolve("localhost"))
    with pytest.raises(OSError, match=r"."):
        await resolve("no-such-host.invalid")
