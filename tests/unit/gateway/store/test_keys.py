"""What an authenticator is told of the keys, on both databases."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.config.auth import Auth
from gateway.store.database import address
from gateway.store.keys import SqlKeyStore
from gateway.store.records import Tenant
from security.api import StoreAway, Unauthenticated
from security.authenticator import KeyAuthenticator
from tests.support.databases import PostgresServer
from tests.support.stored import SOMEBODY, KeyBook, Stored

NEVER = float("inf")


@pytest.mark.parametrize(
    ("tenant", "key", "both"),
    [
        (None, None, None),
        (["a", "b"], None, {"a", "b"}),
        (None, ["a"], {"a"}),
        (["a", "b"], ["b", "c"], {"b"}),
        ([], ["a"], set()),
    ],
)
async def test_a_key_never_has_more_models_than_its_tenant(
    stored: Stored, tenant: list[str] | None, key: list[str] | None, both: set[str] | None
) -> None:
    await stored.registry.create_tenant(Tenant(name="acme", weight=5, priority=-6, models=tenant), by=SOMEBODY)
    made, _ = await stored.registry.create_key("acme", models=key, scopes=["inference", "viewer"], by=SOMEBODY)
    grant = (await stored.store.find_many({made.id, "0123456789ab"}))[made.id]
    principal = grant.principal
    assert principal.models == both
    assert (principal.key_id, principal.tenant, principal.weight, principal.priority) == (made.id, "acme", 5, -6)
    assert principal.scopes == {"inference", "viewer"}
    assert grant.ends == NEVER


async def test_what_was_never_there_is_not_found(stored: Stored) -> None:
    assert await stored.store.find_many({"0123456789ab"}) == {}


async def test_changes_are_told_once_each(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    one, _ = await stored.registry.create_key("acme", by=SOMEBODY)
    two, _ = await stored.registry.create_key("acme", expires_in=100_000_000, by=SOMEBODY)
    start = (await stored.store.changes(None)).revision
    assert (await stored.store.changes(start)).grants == ()
    await stored.registry.revoke_key(one.id, by=SOMEBODY)
    changes = await stored.store.changes(start)
    assert [(grant.principal.key_id, grant.ends) for grant in changes.grants] == [(one.id, 0)]
    assert changes.revision == start + 1
    await stored.registry.change_tenant("acme", models=["a"], by=SOMEBODY)
    grants = {grant.principal.key_id: grant for grant in (await stored.store.changes(start + 1)).grants}
    allowed = {key: grant.principal.models for key, grant in grants.items()}
    assert allowed == {one.id: frozenset("a"), two.id: frozenset("a")}
    assert grants[two.id].ends == 1_900_000_000


async def test_the_last_use_is_the_latest(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, _ = await stored.registry.create_key("acme", by=SOMEBODY)
    before = await stored.store.changes(None)
    await stored.store.note_uses({key.id: 200, "0123456789ab": 7})
    await stored.store.note_uses({key.id: 100})
    assert [key.used for key in await stored.registry.keys()] == [200]
    assert await stored.store.changes(None) == before


async def test_a_database_without_tables_counts_as_away(postgres: PostgresServer) -> None:
    store = SqlKeyStore(address(postgres.database()))
    await store.open()
    with pytest.raises(StoreAway, match="run snowshed migrate"):
        await store.changes(None)
    await store.aclose()


async def test_a_file_put_in_the_place_of_another_is_the_one_that_counts(tmp_path: Path) -> None:
    book, restored = KeyBook(f"sqlite:///{tmp_path}/keys.db"), KeyBook(f"sqlite:///{tmp_path}/restored.db")
    book.tenant()
    restored.tenant()
    old, new = book.key(), restored.key()
    checks = KeyAuthenticator(SqlKeyStore(address(book.url)), 900.0, time.monotonic, time.time)
    await checks.start()
    assert (await checks.learn(_headers(old.text))).key_id == old.id
    (tmp_path / "keys.db").unlink()
    await checks.refresh()
    assert checks.trouble == "keys: the database can't be asked (FileNotFoundError)"
    assert checks.recall(_headers(old.text)), "within the grace"
    (tmp_path / "restored.db").rename(tmp_path / "keys.db")
    await checks.refresh()
    with pytest.raises(Unauthenticated):
        await checks.learn(_headers(old.text))
    assert (await checks.learn(_headers(new.text))).key_id == new.id
    book.revoke(new)
    await checks.refresh()
    with pytest.raises(Unauthenticated):
        checks.recall(_headers(new.text))
    await checks.aclose()


def _headers(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


async def test_nobody_at_the_address_counts_as_away() -> None:
    store = SqlKeyStore(address("postgresql://u:secret@127.0.0.1:9/x"))
    with pytest.raises(StoreAway) as away:
        await store.find_many({"0123456789ab"})
    assert away.value.reason == "ConnectionRefusedError"
    assert "secret" not in repr(store)
    await store.aclose()


@pytest.mark.parametrize("name", ["a b", "what?.db", "100%25.db", "a#b", "ü"])
def test_a_file_may_be_called_as_one_likes(name: str) -> None:
    path = Path("/data", name)
    assert address(Auth(sqlite=path).url()).database == str(path)


async def test_postgres_is_short_for_postgresql(postgres: PostgresServer) -> None:
    """Clouds and libraries write both."""
    short = postgres.database().replace("postgresql://", "postgres://")
    KeyBook(short).tenant()
    store = SqlKeyStore(address(short))
    assert (await store.changes(None)).revision > 0
    await store.aclose()


def test_tls_is_asked_for_as_everywhere_with_postgresql() -> None:
    url = address("postgresql://u:p@h/x?sslmode=verify-full&host=/run")
    assert dict(url.query) == {"ssl": "verify-full", "host": "/run"}, "as asyncpg calls it"


async def test_a_server_without_tls_is_refused_where_tls_is_required(postgres: PostgresServer) -> None:
    url = postgres.database()
    store = SqlKeyStore(address(f"{url}{'&' if '?' in url else '?'}sslmode=require"))
    with pytest.raises(StoreAway) as away:
        await store.changes(None)
    assert away.value.reason != "TypeError"
    await store.aclose()


@pytest.mark.parametrize("name", ["password", "application_name", "sslrootcert"])
def test_what_the_driver_would_not_take_is_told_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"not {name}$") as refused:
        address(f"postgresql://u:s3cret@h/x?{name}=s3cret")
    assert "s3cret" not in str(refused.value)


def test_a_password_that_is_not_quoted_as_urls_want_it_is_not_told() -> None:
    with pytest.raises(ValueError, match="takes a URL like") as refused:
        address("postgresql://u:pass@w:s3cret@h/x")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "x", "mysql://h/x", "sqlite://", "sqlite:///:memory:"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"takes|needs"):
        address(url)
