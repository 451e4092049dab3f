"""What `config check` finds besides mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import check
from gateway.config.doubts import MODULES, doubts
from gateway.config.shape import dotted

REPLICA = {"engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}
CHAT = {"name": "chat", **REPLICA}
JWT = {"issuer": "https://login.example.com", "audiences": ["x"], "tenant": "acme"}


def found(*modules: str, models: Any = (CHAT,), **sections: Any) -> dict[str, str]:
    """By path, where these are not installed."""
    config = check({"models": list(models), **sections}, "test")
    return {dotted(path): words for path, words in doubts(config, lambda name: name not in modules)}


def priced(*names: str) -> dict[str, Any]:
    return {"prices": [{"model": name, "input": 1, "output": 1} for name in names]}


EVERY = [module for modules in MODULES.values() for module in modules]


@pytest.mark.parametrize(
    ("tree", "path", "extra"),
    [
        ({"auth": {"kind": "jwt", "jwt": JWT}}, "auth.jwt", "jwt"),
        ({"auth": {"kind": "keys", "jwt": JWT}}, "auth.jwt", "jwt"),
        ({"auth": {"kind": "keys", "database": {"env": "POSTGRES_URL"}}}, "auth.database", "postgres"),
        ({"auth": {"kind": "keys"}, "admin": {"rate_store": {"env": "REDIS_URL"}}}, "admin.rate_store", "redis"),
        ({"quotas": {"store": {"env": "REDIS_URL"}}}, "quotas.store", "redis"),
        ({"models": [CHAT, {"name": "m", "engine": "embedded"}]}, "models[1].engine", "embedded"),
        (
            {"models": [{"name": "m", "engine": "triton", "upstream": "m", "replicas": [{"url": "127.0.0.1:1"}]}]},
            "models[0].engine",
            "triton",
        ),
    ],
)
def test_what_is_configured_and_not_installed_is_told(
    tree: dict[str, Any], path: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://user@host/name")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    for missing in MODULES[extra]:
        assert found(missing, **tree) == {path: f"needs what is not installed: install snowshed[{extra}]"}
    assert found(*(set(EVERY) - set(MODULES[extra])), **tree) == {}


def test_nothing_is_asked_for_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_URL", "sqlite:///a.db")
    assert found(*EVERY) == {}
    assert found(*EVERY, auth={"kind": "keys", "database": {"env": "SQLITE_URL"}}) == {}
    assert found(*EVERY, admin={"rate_store": {"env": "REDIS_URL"}}) == {}, "there is no admin listener"


def test_a_price_of_a_model_that_is_misspelt_is_told_with_the_right_name() -> None:
    assert found(ledger=priced("chta")) == {
        "ledger.prices[0].model": "there is no model of that name; did you mean chat?"
    }


@pytest.mark.parametrize("names", [["chat"], ["chat", "chat-1"], ["other"], ["other", "chat", "chta"]])
def test_prices_of_models_that_are_no_more_are_none(names: list[str]) -> None:
    """They have no name like one that has no price, and is served for nothing."""
    assert found(ledger=priced(*names)) == {}
