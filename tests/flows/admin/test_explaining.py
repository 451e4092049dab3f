"""Why a request went where it went: its version, its replicas and what failed on them, and nothing of its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gateway.reloading import Source
from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.support.envelopes import SECRET, enveloped
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until

EXPLAINED = (
    "id", "kind", "tenant", "key", "class", "began", "model", "version", "why", "fallback", "replica", "attempts",
    "failed", "outcome", "status", "code", "reason",
)  # fmt: skip
MEASURED = (
    "client_gone", "stream", "body_ms", "queue_ms", "first_token_ms", "duration_ms", "prompt_tokens",
    "completion_tokens",
)  # fmt: skip


def explained(admin: Administration, request_id: str) -> dict[str, Any]:
    client = admin.client("viewer")
    answer = wait_until(lambda: client.get(f"/v1/requests/{request_id}"), lambda answer: answer.status_code == 200)
    found: dict[str, Any] = answer.json()
    return found


def test_a_request_that_another_model_answered(book: KeyBook) -> None:
    """Its own could not be reached."""
    (dead,) = free_ports(1)
    models = [
        {"name": "far", "engine": "openai", "replicas": [{"url": f"http://127.0.0.1:{dead}/v1"}]},
        {"name": "near", "engine": "scripted", "version": "7"},
    ]
    with administration(book, models, [{"model": "far", "fallback": {"models": ["near"]}}]) as admin:
        caller = admin.keys["inference"]
        answer = ask(admin.gateway.url, caller, "far")
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "near@7")
        found = explained(admin, answer.headers["x-request-id"])
        assert tuple(found) == EXPLAINED + MEASURED
        about = {name: found[name] for name in EXPLAINED}
        assert about == {
            "id": answer.headers["x-request-id"], "kind": "chat", "tenant": "acme", "key": caller.id,
            "class": "standard",
            "began": about["began"], "model": "far", "version": "near@7", "why": "only", "fallback": "outage",
            "replica": "near@7-0", "attempts": 2, "failed": [{"replica": "far-0", "reason": "unreachable"}],
            "outcome": "success", "status": 200, "code": "", "reason": "",
        }  # fmt: skip
        assert (found["client_gone"], found["stream"], found["completion_tokens"] > 0) == (False, False, True)


def test_a_request_whose_version_was_chosen_pinned_or_ruled(book: KeyBook) -> None:
    models = [{"name": "chat", "version": version, "engine": "scripted"} for version in ("1", "2")]
    book.tenant("ruled")
    ruled, pinning = book.key("ruled"), book.key("ruled", scopes=["inference", "routing"])
    routing = [{"model": "chat", "rules": [{"version": "2", "tenants": ["ruled"]}]}]
    with administration(book, models, routing) as admin:
        whys = {
            why: explained(admin, ask(admin.gateway.url, key, model).headers["x-request-id"])
            for why, key, model in [
                ("weights", admin.keys["inference"], "chat"), ("rule 1", ruled, "chat"), ("pin", pinning, "chat@1"),
            ]
        }  # fmt: skip
        assert {why: found["why"] for why, found in whys.items()} == {why: why for why in whys}
        assert (whys["rule 1"]["version"], whys["pin"]["version"]) == ("chat@2", "chat@1")


def test_a_request_that_came_to_nothing_says_what_and_repeats_nothing(admin: Administration) -> None:
    answer = ask(admin.gateway.url, admin.keys["inference"], SECRET)
    assert answer.status_code == 404
    found = explained(admin, answer.headers["x-request-id"])
    assert (found["model"], found["version"], found["why"], found["code"]) == ("", "", "", "model_not_found")
    assert SECRET not in str(found)
    enveloped(admin.client("viewer").get(f"/v1/requests/{SECRET}"), 404, "not_found", "request_id")


def test_a_file_is_read_again_when_asked_for_and_that_is_in_the_trail(book: KeyBook, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    models = [{"name": "mock", "engine": "scripted"}]
    tree = {**admin_tree(book.url), "models": models}
    file.write_text(yaml.safe_dump(tree))
    with administration(book, models, source=Source(file)) as admin:
        client = admin.client("operator")
        terms = {"admission": {"queue": 40}, "limits": {"connections": 7}}
        file.write_text(yaml.safe_dump({**tree, "models": [*models, {"name": "new", "engine": "scripted"}], **terms}))
        done = client.post("/v1/reload")
        assert (done.status_code, done.json()["added"], done.json()["removed"]) == (200, ["new@1"], [])
        assert [row["name"] for row in client.get("/v1/models").json()["data"]] == ["mock", "new"]
        assert (done.json()["changed"], done.json()["needs_restart"]) == (["admission"], ["limits.connections"])
        holds = client.get("/v1/config").json()
        assert [spec["name"] for spec in holds["models"]] == ["mock", "new"]
        assert (holds["admission"]["queue"], holds["limits"]["connections"]) == (40, 10_000)
        file.write_text(yaml.safe_dump({**tree, "models": [{"name": "mock", "engine": "steam"}]}))
        refused = client.post("/v1/reload")
        enveloped(refused, 409, "conflict")
        assert "models[0].engine" in refused.json()["error"]["message"]
        (entry,) = client.get("/v1/audit?object=config").json()["data"]
        assert (entry["action"], entry["kind"], entry["after"]) == ("reload", "config", done.json())
