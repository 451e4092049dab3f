"""What the process is made of is closed again, whatever happens to one part of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.config import check
from gateway.wiring import Gateway, build
from router.api import Replica
from security.open_door import OpenDoor


class Engine:
    """One that notes its end, which may fail or be cancelled."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.closed = False

    async def start(self) -> None: ...

    async def aclose(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure


def gateway(tmp_path: Path, *engines: Engine) -> Gateway:
    tree = {
        "server": {"port": 0},
        "ops": {"port": 0},
        "models": [{"name": "m", "engine": "scripted"}],
    }
    made = build(check(tree, "test"), tmp_path, os.open(os.devnull, os.O_WRONLY))
    replicas = [Replica(f"m-{number}", engine) for number, engine in enumerate(engines)]  # type: ignore[arg-type]
    made.upstreams.homes = {"m@1": replicas}
    return made


async def test_an_engine_that_can_not_be_closed_keeps_no_other_open(tmp_path: Path) -> None:
    engines = [Engine(), Engine(OSError("broken"))]
    with pytest.raises(BaseExceptionGroup):
        async with gateway(tmp_path, *engines).running():
            pass
    assert [engine.closed for engine in engines] == [True, True]


async def test_a_second_stop_while_keys_are_put_away_leaves_no_engine_open(tmp_path: Path) -> None:
    class Slow(OpenDoor):
        async def aclose(self) -> None:
            raise asyncio.CancelledError

    engine = Engine()
    made = gateway(tmp_path, engine)
    made.auth = Slow()
    with pytest.raises(asyncio.CancelledError):
        async with made.running():
            pass
    assert engine.closed


@pytest.mark.parametrize(
    ("section", "setting"),
    [
        ({"auth": {"database": {"env": "SECRET_URL"}}}, "auth"),
        ({"admin": {"rate_store": {"env": "SECRET_URL"}}}, "admin.rate_store"),
        ({"admin": {"rate_store": {"env": "NOT_SET"}}}, "admin.rate_store"),
        ({"admin": {"tls": dict.fromkeys(("certificate", "key", "clients"), os.devnull)}}, "admin.tls"),
    ],
    ids=range(4),
)
def test_what_can_not_be_used_is_told_with_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, dict[str, Any]], setting: str
) -> None:
    """Nothing is opened for it, and nothing of a secret repeated."""
    monkeypatch.setenv("SECRET_URL", "snowblind")
    tree: dict[str, Any] = {"models": [{"name": "m", "engine": "scripted"}], **section}
    tree["auth"] = {"kind": "keys", "sqlite": str(tmp_path / "snowshed.db"), **section.get("auth", {})}
    with pytest.raises(ValueError, match=f"^{setting}: ") as refused:
        build(check(tree, "test"), tmp_path, 2)
    assert "snowblind" not in str(refused.value)
