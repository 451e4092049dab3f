"""What requests have used, as it is told over HTTP: page by page, parted as asked, and only what was asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from gateway.store.spending import DAY, FIELDS, Spent
from tests.flows.admin.conftest import Administration
from tests.support.envelopes import enveloped
from tests.support.ledgers import MIDNIGHT, added_up, spent
from tests.support.waiting import wait_until

ROWS = [
    spent(
        f"req_{nth:02}", at=MIDNIGHT + nth * DAY // 10, tenant=("acme", "other")[nth % 2], version=f"chat@{nth % 3}",
        outcome=("success", "failed")[nth % 5 == 0], cost=nth,
    )
    for nth in range(25)
]  # fmt: skip


@pytest.fixture
def client(shared_admin: Administration) -> httpx2.Client:
    """Of a viewer, with those rows in the ledger."""
    shared_admin.book.do(lambda registry: registry.usage.write(ROWS))
    return shared_admin.client("viewer")


def pages(client: httpx2.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    found, after = [], ""
    while True:
        page = client.get(path, params={**asked, "limit": 4, "after": after}).raise_for_status().json()
        found += page["data"]
        if page["next"] is None:
            return found
        after = page["next"]


def as_told(rows: list[Spent], by: list[str]) -> list[dict[str, Any]]:
    return [
        {**{field: str(getattr(one, field)) if field in by else None for field in FIELDS},
         "requests": one.requests, "failed": one.failed, "prompt_tokens": one.prompt_tokens,
         "completion_tokens": one.completion_tokens, "cost": one.cost}
        for one in added_up(rows, by)
    ]  # fmt: skip


def test_sums_come_parted_as_asked_page_by_page(client: httpx2.Client) -> None:
    assert pages(client, "/v1/usage") == as_told(ROWS, ["day", "tenant", "model"])
    assert pages(client, "/v1/usage", by="version,day") == as_told(ROWS, ["day", "version"])
    assert pages(client, "/v1/usage", by=",".join(FIELDS)) == as_told(ROWS, list(FIELDS))
    second = [row for row in ROWS if MIDNIGHT + DAY <= row.at < MIDNIGHT + 2 * DAY and row.tenant == "acme"]
    asked = {"from": "2027-01-17", "to": "2027-01-17", "tenant": "acme"}
    assert pages(client, "/v1/usage", by="tenant", **asked) == as_told(second, ["tenant"])


def test_requests_come_one_by_one(client: httpx2.Client) -> None:
    found = pages(client, "/v1/usage/requests")
    assert [(one["id"], one["at"], one["cost"]) for one in found] == [
        (row.id, row.at, f"0.{row.cost:06}") for row in ROWS
    ]
    last = [row.id for row in ROWS if row.at >= MIDNIGHT + 2 * DAY]
    assert [one["id"] for one in pages(client, "/v1/usage/requests", **{"from": "2027-01-18"})] == last


def test_a_request_that_has_ended_is_told(shared_admin: Administration) -> None:
    key, client = shared_admin.keys["inference"], shared_admin.client("viewer")
    headers = {"authorization": f"Bearer {key.text}"}
    body = {"model": "mock", "messages": [{"role": "user", "content": "one two"}]}
    with shared_admin.gateway.client() as asking:
        request_id = asking.post("/v1/chat/completions", json=body, headers=headers).headers["x-request-id"]
    (found,) = wait_until(lambda: client.get("/v1/usage/requests").json()["data"])
    assert (found["id"], found["key"], found["tenant"], found["outcome"]) == (request_id, key.id, "acme", "success")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", "0"), ("to", "2027-02-30"), ("to", "2027-01-01T00:00:00"), ("by", "month"), ("by", ""),
        ("by", "day,"), ("after", "garbage"), ("after", "Ä"), ("limit", "0"), ("until", "2027-01-01"),
        ("after", base64.urlsafe_b64encode(json.dumps(["acme"]).encode()).decode()),
    ],
)  # fmt: skip
def test_mistakes_are_told_by_their_name(client: httpx2.Client, name: str, value: str) -> None:
    answer = client.get("/v1/usage", params={name: value})
    enveloped(answer, 400, "invalid_value", name)


@pytest.mark.parametrize("values", [["2027-01-17", "a\0b", "\ud83d"], ["0001-01-01", "", ""], ["9999-12-31", "z", "z"]])
def test_a_mark_that_nobody_made_is_no_trouble(client: httpx2.Client, values: list[str]) -> None:
    mark = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    assert client.get("/v1/usage", params={"after": mark}).status_code in {200, 400}


@pytest.mark.parametrize("mark", [[1 << 63, ""], [-1, ""], [0, "\0"], [0.5, "x"]])
def test_nor_of_requests(client: httpx2.Client, mark: list[Any]) -> None:
    made = base64.urlsafe_b64encode(json.dumps(mark).encode()).decode()
    assert client.get("/v1/usage/requests", params={"after": made}).status_code in {200, 400}
