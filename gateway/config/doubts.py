"""What `config check` finds besides mistakes: libraries that are missing, and prices of models that there are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Final

from engines.choices import meant
from gateway.config.coherence import Mistake
from gateway.config.errors import ConfigError
from gateway.config.shape import Path, dotted
from gateway.config.tree import Config

MODULES: Final = {
    "embedded": ("xllamacpp",),
    "jwt": ("jwt", "cryptography", "httpx2"),
    "postgres": ("asyncpg",),
    "redis": ("hiredis", "redis"),
    "tensorrt-llm": ("tensorrt_llm",),
    "triton": ("tritonclient",),
}
"""Extras of the package, and what comes with each."""


def check_doubts(config: Config) -> None:
    """Raises ConfigError with all of them."""
    lines = [f"  {dotted(path)}: {words}" for path, words in doubts(config, _is_installed)]
    if lines:
        raise ConfigError("\n".join(["what the configuration refers to:", *lines]))


def doubts(config: Config, is_installed: Callable[[str], bool]) -> Iterator[Mistake]:
    """`is_installed` is asked for modules by name."""
    for path, extra in _extras(config):
        if not all(map(is_installed, MODULES[extra])):
            yield path, f"needs what is not installed: install snowshed[{extra}]"
    yield from _prices(config)


def _extras(config: Config) -> Iterator[tuple[Path, str]]:
    """What each setting needs."""
    auth, database = config.auth, config.auth.database
    if auth.jwt is not None:
        yield ("auth", "jwt"), "jwt"
    if auth.kind == "keys" and database is not None and database.read().startswith("postgres"):
        yield ("auth", "database"), "postgres"
    if auth.kind == "keys" and config.admin.rate_store is not None:
        yield ("admin", "rate_store"), "redis"
    if config.quotas.store is not None:
        yield ("quotas", "store"), "redis"
    for at, spec in enumerate(config.models):
        extra = spec.engine.replace("_", "-")
        if extra in MODULES:
            yield ("models", at, "engine"), extra


def _prices(config: Config) -> Iterator[Mistake]:
    """A price of a model that is no more, or that only the admin API has set, is none.

    It is a typing error where a model has a name like it, and no price of its own: it would be free.
    """
    priced = {price.model for price in config.ledger.prices}
    models = {name for spec in config.models for name in spec.names}
    for at, price in enumerate(config.ledger.prices):
        near = "" if price.model in models else meant(price.model, models - priced)
        if near:
            yield ("ledger", "prices", at, "model"), f"there is no model of that name{near}"


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None
