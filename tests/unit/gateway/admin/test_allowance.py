"""So many requests a minute for each address, by slowapi, without what surprises in it."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from gateway.admin import allowance
from gateway.admin.allowance import Allowance


def test_each_address_has_its_own_and_is_told_when_to_come_back() -> None:
    rate = Allowance(2)
    assert [rate.spend("198.51.100.1") for _ in range(2)] == [None, None]
    wait = rate.spend("198.51.100.1")
    assert wait is not None
    assert 0 < wait <= 60
    assert rate.spend("198.51.100.2") is None


def test_who_is_refused_fills_no_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    rate = Allowance(1)
    assert [rate.spend("198.51.100.1") is None for _ in range(3)] == [True, False, False]
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


@pytest.mark.parametrize("where", ["environment", "file"])
def test_nothing_outside_of_the_configuration_turns_it_off(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    switches = {"RATELIMIT_ENABLED": "false", "RATELIMIT_DEFAULT": "1/day", "RATELIMIT_KEY_PREFIX": "theirs"}
    if where == "environment":
        for name, value in switches.items():
            monkeypatch.setenv(name, value)
    else:
        (tmp_path / ".env").write_bytes(
            "\n".join(f"{name}={value}" for name, value in switches.items()).encode() + b"\xff"
        )
    rate = Allowance(1)
    assert rate.spend("198.51.100.1") is None
    assert rate.spend("198.51.100.1") is not None


def test_any_number_of_addresses_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MOST", 3)
    rate = Allowance(1)
    assert [rate.spend(f"198.51.100.{n}") for n in range(4)] == [None] * 4  # the last one for everybody else
    assert rate.spend("198.51.100.5") is not None


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://:hunter2@host",
        "redis://",
        "redis://:hunter2@host:port",
        "redis://:hunter2@host:0",
        "redis://:hunter2@host?socket_timeout=1000",
        "redis://host?hunter2",
        "redis+cluster://:hunter2@host",
    ],
)
def test_a_store_that_can_be_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="takes") as refused:
        Allowance(1, url)
    assert "hunter2" not in str(refused.value)


def test_without_its_driver_a_store_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_redis(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_redis)
    with pytest.raises(ValueError, match=r"install snowshed\[redis\]"):
        Allowance(1, "redis://127.0.0.1")


def test_a_store_is_first_asked_when_something_is_counted() -> None:
    Allowance(1, "redis://127.0.0.1:1/0?ssl_ca_certs=/nowhere").close()
