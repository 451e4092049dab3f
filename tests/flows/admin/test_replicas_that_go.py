"""A replica may leave, or its version be drained, while somebody steers it: both are told as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.recent import Recent
from gateway.reloading import Source
from gateway.store.registry import Registry
from tests.flows.admin.conftest import Administration, administration
from tests.support.envelopes import enveloped
from tests.support.stored import KeyBook

ONE = {"name": "mock", "engine": "scripted"}
OTHER = {"name": "other", "engine": "scripted"}


def test_a_drain_by_hand_outlasts_that_of_the_version(admin: Administration) -> None:
    client = admin.client("operator")
    client.post("/v1/models/mock/versions/1/drain")
    for _ in "ab":
        assert client.post("/v1/replicas/mock-0/drain").json()["drained"] is True
    client.post("/v1/models/mock/versions/1/restore")
    seen = {row["name"]: row["drained"] for row in client.get("/v1/replicas").json()["data"]}
    assert seen["mock-0"] is True
    assert client.post("/v1/replicas/mock-0/restore").json()["drained"] is False
    trail = client.get("/v1/audit?object=mock-0").json()["data"]
    assert [(one["action"], one["after"]["drained"]) for one in trail] == [("drain", True), ("restore", False)]


@pytest.mark.parametrize(("action", "asked"), [("drain", None), ("eject", {"seconds": 5}), ("restore", None)])
def test_one_that_goes_meanwhile_is_not_there(
    book: KeyBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, asked: Any
) -> None:
    """While the entry of the audit trail is written, the file is read again."""
    file = tmp_path / "gateway.yaml"
    note = Registry.note

    async def note_and_reload(registry: Registry, *entry: Any, **who: Any) -> None:
        await note(registry, *entry, **who)
        file.write_text(yaml.safe_dump({"models": [OTHER]}))
        await admin.gateway.objects.reloading.reload()

    file.write_text(yaml.safe_dump({"models": [ONE, OTHER]}))
    with administration(book, [ONE, OTHER], source=Source(file)) as admin:
        client = admin.client("operator")
        if action == "restore":
            client.post("/v1/replicas/mock-0/eject", json={"seconds": None})
        monkeypatch.setattr(Registry, "note", note_and_reload)
        enveloped(client.post(f"/v1/replicas/mock-0/{action}", json=asked), 404, "not_found", "replica")
        assert [row["name"] for row in client.get("/v1/replicas").json()["data"]] == ["other-0"]


def test_a_bug_is_told_in_the_envelope(admin: Administration, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Recent, request_id: str) -> None:
        raise LookupError(request_id)

    monkeypatch.setattr(Recent, "find", broken)
    client = admin.client("viewer")
    for _ in range(2):
        answer = client.get("/v1/requests/req_secret")
        enveloped(answer, 500, "internal_error")
        assert "req_secret" not in answer.text
    assert client.get("/v1/whoami").status_code == 200
