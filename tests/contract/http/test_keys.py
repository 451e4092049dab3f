"""Where keys are asked for, both doors let in the same people, and tell the others before they read a body."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from security.keys import NewKey, mint
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedReplica
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.stored import KeyBook
from tests.support.talk import CHAT, Answer, Talk, chat, request
from tests.support.waiting import wait_until

MODELS = b"/v1/models"
STRANGERS = {
    "no header": [],
    "nothing": [b"Authorization:"],
    "no key": [b"Authorization: Bearer"],
    "basic": [b"Authorization: Basic YTpi"],
    "foreign": [b"Authorization: Bearer sk-proj-0123"],
    "unknown": [b"Authorization: Bearer " + mint().text.encode()],
    "bytes": [b"Authorization: Bearer \xff\xfe"],
    "long": [b"Authorization: Bearer " + b"a" * 20_000],
}


def bearer(key: NewKey) -> bytes:
    return b"Authorization: Bearer " + key.text.encode()


def listing(*fields: bytes) -> bytes:
    return request(None, *fields, method=b"GET", target=MODELS)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def book(file: Path) -> KeyBook:
    book = KeyBook(sqlite(file))
    book.tenant()
    book.tenant("elsewhere", models=["other"])
    return book


@pytest.fixture(scope="module")
def running(adapter: Adapter, upstream: SpawnedReplica, book: KeyBook) -> Iterator[RunningGateway]:
    auth = {"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///")}
    with running_gateway(configuration([upstream.url], auth=auth), adapter) as gateway:
        yield gateway


def test_a_key_opens_for_answers_and_streams_alike(talk: Talk, book: KeyBook, upstream: SpawnedReplica) -> None:
    key = book.key()
    for body in (chat(), chat(stream=True)):
        answer = talk.ask(request(body, bearer(key)))
        assert (answer.status, answer.whole) == (200, True)
    assert b'"mock"' in talk.ask(listing(bearer(key))).body
    assert len(upstream.calls()) == 2
    assert key.text not in str([call.headers for call in upstream.calls()])


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_refused_whatever_is_asked_for(talk: Talk, upstream: SpawnedReplica, name: str) -> None:
    for wanted in (
        request(chat(), *STRANGERS[name]),
        request(chat(model="absent"), *STRANGERS[name]),
        listing(*STRANGERS[name]),
    ):
        answer = talk.ask(wanted)
        assert (answer.status, answer.closes, answer.error["code"]) == (401, False, "invalid_api_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert upstream.calls() == []


def test_a_stranger_is_refused_before_the_body_is_sent(gateway: RunningGateway) -> None:
    """And is not told to go on with it."""
    for fields in ([], [b"Expect: 100-continue"]):
        with Talk(gateway.url) as talk:
            head = request(None, b"Content-Type: application/json", b"Content-Length: 5000000", *fields, target=CHAT)
            answer = talk.ask(head)
            assert (answer.status, answer.closes, answer.error["code"]) == (401, True, "invalid_api_key")
            assert talk.interim == []


def test_two_keys_are_none(gateway: RunningGateway, book: KeyBook, upstream: SpawnedReplica) -> None:
    """A proxy in front may have looked at the other one."""
    key = book.key()
    for wanted in (request(chat(), bearer(key), bearer(mint())), listing(bearer(mint()), bearer(key))):
        with Talk(gateway.url) as talk:
            answer = talk.ask(wanted)
            assert (answer.status, answer.closes, answer.error["code"]) == (400, True, "repeated_header")
    assert upstream.calls() == []


def test_the_right_id_with_a_wrong_secret_is_refused(talk: Talk, book: KeyBook) -> None:
    key = book.key()
    wrong = NewKey(key.id, f"sk-snow-{key.id}-{mint().text[-40:]}")
    assert [talk.ask(request(chat(), bearer(one))).status for one in (wrong, key, wrong, key)] == [401, 200, 401, 200]


def test_a_key_for_something_else_is_told_so(talk: Talk, book: KeyBook) -> None:
    looking, elsewhere = book.key(scopes=["viewer"]), book.key("elsewhere")
    for wanted in (request(chat(), bearer(looking)), listing(bearer(looking))):
        answer = talk.ask(wanted)
        assert (answer.status, answer.error["code"]) == (403, "insufficient_permissions")
    answer = talk.ask(request(chat(), bearer(elsewhere)))
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


def test_a_revoked_key_ends_within_seconds(gateway: RunningGateway, book: KeyBook) -> None:
    key = book.key()
    assert asked_anew(gateway, request(chat(), bearer(key))).status == 200
    book.revoke(key)
    wait_until(lambda: asked_anew(gateway, request(chat(), bearer(key))).status, lambda status: status == 401)
    assert asked_anew(gateway, listing(bearer(key))).status == 401


def test_unknown_keys_are_told_to_come_back_while_the_database_is_away(
    gateway: RunningGateway, book: KeyBook, file: Path
) -> None:
    known, unknown = book.key(), book.key()
    assert asked_anew(gateway, request(chat(), bearer(known))).status == 200
    (file / "snowshed.db").rename(file / "away.db")
    gateway.wait_until(lambda: bool(gateway.objects.auth.trouble))
    for wanted in (request(chat(), bearer(unknown)), listing(bearer(unknown))):
        answer = asked_anew(gateway, wanted)
        assert (answer.status, answer.error["code"]) == (503, "keys_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert asked_anew(gateway, request(chat(), bearer(known))).status == 200
    (file / "away.db").rename(file / "snowshed.db")
    gateway.wait_until(lambda: not gateway.objects.auth.trouble)
    assert asked_anew(gateway, request(chat(), bearer(unknown))).status == 200


def asked_anew(gateway: RunningGateway, wanted: bytes) -> Answer:
    """On a connection of its own: what takes seconds may outlast the time for which a server keeps one."""
    with Talk(gateway.url) as talk:
        return talk.ask(wanted)
