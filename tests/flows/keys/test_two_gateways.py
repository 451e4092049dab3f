"""What is changed in the database holds in every process within five seconds."""

from __future__ import annotations

import time

from tests.flows.keys.conftest import Spawn
from tests.support.knocking import SOON, ask, code, models, seconds_until
from tests.support.stored import SOMEBODY, KeyBook


def test_a_revocation_reaches_every_process(shared: KeyBook, spawn: Spawn) -> None:
    shared.tenant()
    revoked, other = shared.key(), shared.key()
    urls = [spawn(shared, name).url for name in ("one", "two")]
    for url in urls:
        assert code(ask(url, revoked)) == code(ask(url, other)) == (200, None)
    shared.revoke(revoked)
    refused = (401, "invalid_api_key")
    assert seconds_until(lambda: all(code(ask(url, revoked)) == refused for url in urls)) < SOON
    assert all(code(ask(url, other)) == (200, None) for url in urls)


def test_expiry_rotation_and_models_reach_every_process(shared: KeyBook, spawn: Spawn) -> None:
    shared.tenant()
    key = shared.key()
    urls = [spawn(shared, name).url for name in ("one", "two")]
    assert all(ask(url, key).status_code == 200 for url in urls)

    shared.do(lambda registry: registry.change_tenant("acme", models=["other"], by=SOMEBODY))
    assert seconds_until(lambda: all(ask(url, key).status_code == 404 for url in urls)) < SOON
    assert [model["id"] for model in models(urls[1], key).json()["data"]] == ["other"]

    _, rotated = shared.do(lambda registry: registry.rotate_key(key.id, 1, by=SOMEBODY))
    end = time.time() + 1
    assert all(ask(url, rotated, "other").status_code == 200 for url in urls)
    seconds_until(lambda: all(ask(url, key, "other").status_code == 401 for url in urls))
    assert time.time() < end + SOON
