"""What is written down is what the model server counted, by whichever gateway, and whatever becomes of it meanwhile."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import httpx2
import pytest

from gateway.store.spending import Seen
from security.keys import NewKey
from tests.flows.keys.conftest import VARIABLE
from tests.flows.usage.conftest import (
    ask_until_killed,
    ask_whole,
    from_several,
    leave_early,
    ledger_tree,
    rows,
    sums,
)
from tests.support import plain
from tests.support.balancer import paired_gateways
from tests.support.databases import PostgresServer
from tests.support.fleet import LoggedCall, SpawnedFleet
from tests.support.gateway import metric, spawned_gateway
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE, wait_until

REQUESTS, CALLERS = 240, 8
SENT_ON = 100
"""Tokens that a model server may have made, one each 20 ms, before it has noticed that nobody wants them."""


def test_it_is_what_the_model_server_counted(shared: KeyBook, upstream: SpawnedFleet, tmp_path: Path) -> None:
    """Over two gateways: to the token for whole answers, within what was on its way for those that were left."""
    keys = [_key(shared, tenant) for tenant in ("acme", "other")]
    left: set[str] = set()

    def ask(client: httpx2.Client, turn: int) -> str:
        key = keys[turn // 8 % 2]
        match turn % 8:
            case 0:
                left.add(request_id := leave_early(client, key))
                return request_id
            case 1:
                return ask_whole(client, key, "fault=status,status=400")
            case 2:
                return ask_whole(client, key, f"tokens={20 + turn},after={5 + turn // 8},fault=cut", stream=True)
            case kind:
                return ask_whole(client, key, f"tokens={turn}", stream=kind % 2 == 0)

    with paired_gateways(ledger_tree(shared, upstream), tmp_path) as pair:
        asked = from_several(pair, CALLERS, REQUESTS, ask)
        found = wait_until(lambda: {row.id: row for row in rows(shared)}, lambda them: len(them) == REQUESTS)
        assert sorted(pair.metric("snowshed_ledger_written_total")) == [REQUESTS / 2] * 2, "both have written"
    assert found.keys() == set(asked)
    assert Counter(row.outcome for row in found.values()) == {"success": 150, "ignored": 60, "failed": 30}
    assert {row.tenant for row in found.values()} == {"acme", "other"}
    calls = {call.request_id: call for call in upstream.replicas[0].calls()}
    for row in found.values():
        _compare(row, calls[row.id], was_left=row.id in left)
    _check_sums(shared, found.values())


def test_a_killed_gateway_loses_no_more_than_the_last_interval(
    shared: KeyBook, upstream: SpawnedFleet, tmp_path: Path
) -> None:
    key = _key(shared, "acme")
    ended: list[tuple[str, float]] = []
    with spawned_gateway(ledger_tree(shared, upstream), tmp_path) as gateway:
        with plain.client(base_url=gateway.url, timeout=PATIENCE) as client:
            for request_id in ask_until_killed(client, key):
                ended.append((request_id, time.monotonic()))
                if len(ended) > 200 and ended[-1][1] > ended[0][1] + 3:
                    break
        gateway.child.send_signal(signal.SIGKILL)
        gateway.wait(PATIENCE)
        killed = time.monotonic()
    kept = {row.id for row in rows(shared)}
    early = {request_id for request_id, at in ended if at < killed - 2}  # which is twenty intervals
    assert early
    assert early <= kept <= {request_id for request_id, _ in ended}
    with spawned_gateway(ledger_tree(shared, upstream), tmp_path) as gateway:  # and it goes on
        with plain.client(base_url=gateway.url, timeout=PATIENCE) as client:
            kept.add(ask_whole(client, key))
        wait_until(lambda: rows(shared), lambda them: {row.id for row in them} == kept)
    _check_sums(shared, rows(shared))


def test_one_that_stops_in_order_loses_nothing(shared: KeyBook, upstream: SpawnedFleet, tmp_path: Path) -> None:
    key = _key(shared, "acme")
    with spawned_gateway(ledger_tree(shared, upstream, every="24h"), tmp_path) as gateway:
        with plain.client(base_url=gateway.url, timeout=PATIENCE) as client:
            asked = {ask_whole(client, key) for _ in range(50)}
        assert rows(shared) == []
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0
    assert {row.id for row in rows(shared)} == asked


def test_while_the_database_is_away_requests_go_on_and_each_is_written_once(
    postgres: PostgresServer, upstream: SpawnedFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen in the midst of writing, and killed: what was taken and what was not, nobody can tell."""
    url = postgres.database()
    monkeypatch.setenv(VARIABLE, url)
    book = KeyBook(url)
    key = _key(book, "acme")
    with (
        spawned_gateway(ledger_tree(book, upstream, every="1ms"), tmp_path) as gateway,
        plain.client(base_url=gateway.url, timeout=PATIENCE) as client,
    ):

        def waits(_: object = None) -> bool:
            return "usage is not written" in plain.get(f"{gateway.ops_url}/readyz").text

        asked = {ask_whole(client, key) for _ in range(50)}
        postgres.freeze()
        asked |= {ask_whole(client, key) for _ in range(50)}
        wait_until(waits)
        postgres.thaw()
        wait_until(waits, lambda away: not away)
        asked |= {ask_whole(client, key) for _ in range(50)}
        postgres.stop(signal.SIGKILL)
        asked |= {ask_whole(client, key) for _ in range(50)}
        wait_until(waits)
        postgres.start()
        wait_until(lambda: {row.id for row in rows(book)}, lambda them: them == asked)
        page = plain.get(f"{gateway.ops_url}/metrics").text
        assert metric(page, "snowshed_ledger_lost_total") == 0
    _check_sums(book, rows(book))


def _key(book: KeyBook, tenant: str) -> NewKey:
    book.tenant(tenant)
    return book.key(tenant)


def _compare(row: Seen, call: LoggedCall, *, was_left: bool) -> None:
    """With what the model server has of it."""
    if row.outcome == "success":
        assert (row.prompt_tokens, row.completion_tokens) == (call.prompt_tokens, call.tokens), (row, call)
        assert row.exact
    elif was_left:
        assert (row.outcome, row.exact) == ("ignored", False)
        assert 3 <= row.completion_tokens <= call.tokens <= row.completion_tokens + SENT_ON, (row, call)
        assert row.prompt_tokens > 0, "it was read"
    elif row.outcome == "failed":
        assert 0 < row.completion_tokens <= call.tokens, (row, call)
    else:
        assert (row.prompt_tokens, row.completion_tokens) == (0, 0), "refused"
    spent = (Decimal("0.5") * row.prompt_tokens + Decimal("1.5") * row.completion_tokens) / 1_000_000
    assert Decimal(row.cost) == spent.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def _check_sums(book: KeyBook, found: Iterable[Seen]) -> None:
    """They are what the rows add up to."""
    told: Counter[tuple[str, str]] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    for row in found:
        for name, counted in (
            ("requests", 1), ("prompt", row.prompt_tokens), ("completion", row.completion_tokens),
            ("failed", row.outcome == "failed"), ("cost", int(Decimal(row.cost) * 1_000_000)),
        ):  # fmt: skip
            spent[row.key, name] += counted
    for one in sums(book):
        for name, counted in (
            ("requests", one.requests), ("prompt", one.prompt_tokens), ("completion", one.completion_tokens),
            ("failed", one.failed), ("cost", int(Decimal(one.cost) * 1_000_000)),
        ):  # fmt: skip
            told[str(one.key), name] += counted
    assert told == spent
