"""Whoever has a key is served what is theirs; everybody else is told why not, in OpenAI's shape."""

from __future__ import annotations

import time

import openai
import pytest

from security.keys import NewKey, mint
from tests.support.gateway import RunningGateway
from tests.support.knocking import SOON, ask, code, models
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


@pytest.fixture
def key(book: KeyBook) -> NewKey:
    book.tenant()
    return book.key()


def test_a_key_opens(gateway: RunningGateway, key: NewKey) -> None:
    assert code(ask(gateway.url, key)) == (200, None)
    assert [model["id"] for model in models(gateway.url, key).json()["data"]] == ["mock", "other"]


def test_the_sdk_knows_the_refusals(gateway: RunningGateway, key: NewKey, book: KeyBook) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key.text, max_retries=0) as client:
        assert client.models.retrieve("mock").id == "mock"
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "hi"}])
        assert refused.value.code == "invalid_api_key"
    looking = book.key(scopes=["viewer"])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=looking.text, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            client.models.list()
        assert forbidden.value.code == "insufficient_permissions"


@pytest.mark.parametrize(
    "sent",
    [None, "", "sk-wrong", "ü" * 60, b"\xff\xfe", "a" * 20_000, "sk-snow-0123456789ab-" + "a" * 40],
    ids=["none", "empty", "foreign", "non-ascii", "bytes", "long", "unknown"],
)
def test_what_is_no_key_is_refused(gateway: RunningGateway, sent: str | bytes | None) -> None:
    if isinstance(sent, str):
        sent = sent.encode()
    for answer in (ask(gateway.url, sent), ask(gateway.url, sent, "no-such-model")):
        assert code(answer) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["x-request-id"]
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


def test_models_are_not_listed_to_strangers(gateway: RunningGateway) -> None:
    for answer in (models(gateway.url, None), models(gateway.url, "sk-wrong", "mock")):
        assert code(answer) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_right_id_with_a_wrong_secret_is_refused(gateway: RunningGateway, key: NewKey) -> None:
    assert ask(gateway.url, key).status_code == 200
    wrong = f"sk-snow-{key.id}-{mint().text[-40:]}"
    assert code(ask(gateway.url, wrong)) == (401, "invalid_api_key")
    assert ask(gateway.url, key).status_code == 200


def test_a_key_of_a_megabyte_ends_with_the_head(gateway: RunningGateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ")
        for _ in range(64):
            try:
                connection.sendall(b"a" * 16384)
            except OSError:
                break
        assert connection.recv(64).startswith(b"HTTP/1.1 431 ")


def test_a_stranger_is_refused_before_the_body(gateway: RunningGateway) -> None:
    with gateway.connect() as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 1000000\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 401 ")


def test_a_model_that_is_not_theirs_is_not_there(gateway: RunningGateway, book: KeyBook) -> None:
    book.tenant("narrow", models=["mock", "unbuilt"])
    key, narrower = book.key("narrow"), book.key("narrow", models=["other"])
    assert code(ask(gateway.url, key, "mock")) == (200, None)
    unseen, absent = ask(gateway.url, key, "other"), ask(gateway.url, key, "no-such-model")
    assert code(unseen) == (404, "model_not_found")
    assert unseen.json() == absent.json()
    assert [model["id"] for model in models(gateway.url, key).json()["data"]] == ["mock"]
    assert code(models(gateway.url, key, "other")) == (404, "model_not_found")
    assert models(gateway.url, narrower).json()["data"] == []


def test_a_key_expires_to_the_second(gateway: RunningGateway, book: KeyBook) -> None:
    book.tenant()
    key = book.key(expires_in=3)
    end = book.do(lambda registry: registry.key(key.id)).expires
    assert end is not None
    assert ask(gateway.url, key).status_code == 200
    wait_until(lambda: code(ask(gateway.url, key)) == (401, "invalid_api_key"))
    assert end <= time.time() < end + SOON
