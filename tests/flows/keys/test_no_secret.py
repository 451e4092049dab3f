"""P32 and P44 for keys: no secret is anywhere but with its owner, and no caller's key becomes a series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from security.keys import NewKey, mint
from tests.flows.keys.conftest import MODELS, VARIABLE, auth
from tests.support import plain
from tests.support.databases import running_postgres
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.knocking import ask, models
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE, wait_until

PASSWORD = "snowblind-7f3a"


def files(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def page(gateway: SpawnedGateway, path: str) -> httpx2.Response:
    return plain.get(gateway.ops_url + path)


def test_p32_no_secret_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P32: good, revoked, wrong and unknown keys, with the database there, gone and back; log level debug."""
    with running_postgres() as server:
        url = server.database().replace("postgres@", f"postgres:{PASSWORD}@")
        monkeypatch.setenv(VARIABLE, url)
        book = KeyBook(url)
        book.tenant()
        good, revoked, late = book.key(), book.key(), book.key()
        book.revoke(revoked)
        wrong, unknown = NewKey(good.id, f"sk-snow-{good.id}-{mint().text[-40:]}"), mint()
        every = (good, revoked, late, wrong, unknown)
        tree = configuration(models=MODELS, auth=auth(url))
        said: list[bytes] = []
        with spawned_gateway(tree, tmp_path, module="tests.support.loud_gateway") as gateway:
            for away in (False, True, False):
                if away:
                    server.stop()
                    wait_until(lambda: metric(page(gateway, "/metrics").text, "snowshed_key_store_up") == 0)
                elif said:
                    server.start()
                    wait_until(lambda: metric(page(gateway, "/metrics").text, "snowshed_key_store_up") == 1)
                for key in every:
                    for answer in (ask(gateway.url, key), ask(gateway.url, key, "absent"), models(gateway.url, key)):
                        said += [answer.content, str(answer.headers).encode()]
                said += [page(gateway, "/metrics").content, page(gateway, "/readyz").content]
            said.append(Path(f"/proc/{gateway.pid}/cmdline").read_bytes())
            gateway.terminate()
            gateway.wait(PATIENCE)
        said += [gateway.log.read_bytes(), gateway.errors.read_bytes()]
        server.stop()
        said += files(server.data)
    assert good.id.encode() in gateway.log.read_bytes()
    found = [(key.id, text[:80]) for key in every for text in said if key.text[-40:].encode() in text]
    assert not found
    assert not [text[:80] for text in said if PASSWORD.encode() in text]


def test_p44_two_hundred_keys_add_no_series(tmp_path: Path, book: KeyBook) -> None:
    """P44: tenants and keys are in the log, never in a label."""
    book.tenant()
    keys = [book.key(label=f"label{number}") for number in range(20)] + [mint() for _ in range(200)]

    def series(gateway: SpawnedGateway) -> set[str]:
        lines = page(gateway, "/metrics").text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    def refused(gateway: SpawnedGateway) -> float:
        return metric(page(gateway, "/metrics").text, "snowshed_requests_total", code="invalid_api_key")

    with spawned_gateway(configuration(models=MODELS, auth=auth(book.url)), tmp_path) as gateway:
        for key in (keys[0], keys[-1]):
            ask(gateway.url, key)
        wait_until(lambda: refused(gateway) == 1)
        before = series(gateway)
        for key in keys:
            ask(gateway.url, key)
        wait_until(lambda: refused(gateway) == 201)
        assert series(gateway) == before
        assert not [one for one in before if "acme" in one or keys[0].id in one]
