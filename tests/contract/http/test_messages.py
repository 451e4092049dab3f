"""HTTP/1.1 as clients speak it: methods, targets, versions, connections that stay or close, offers to upgrade."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

import pytest

from tests.support.fleet import SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.promises import Promises
from tests.support.talk import CHAT, Talk, chat, chunked, chunked_head, request

GOOD = request(chat())
LOCAL = b"http://localhost" + CHAT


def test_a_connection_serves_one_request_after_the_other(talk: Talk) -> None:
    for _ in range(3):
        answer = talk.ask(GOOD)
        assert (answer.status, answer.version) == (200, "1.1")
        assert "connection" not in answer.headers
        assert json.loads(answer.body)["object"] == "chat.completion"


def test_every_answer_is_dated(talk: Talk) -> None:
    for ask in (GOOD, request(chat(stream=True)), request(b"{"), request(method=b"GET", target=b"/v1/models")):
        assert parsedate_to_datetime(talk.ask(ask).headers["date"]).tzinfo is not None


def test_a_stream_and_a_document_share_a_connection(talk: Talk) -> None:
    assert talk.ask(request(chat(stream=True))).body.endswith(b"data: [DONE]\n\n")
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize(
    "target",
    [CHAT + b"?a=b", CHAT + b"?", b"/v1/chat%2Fcompletions", b"/%76%31/chat/completions", LOCAL, LOCAL + b"?a=b",
     LOCAL.replace(b"http", b"HTTP", 1), LOCAL.replace(b"localhost", b"127.0.0.1:80")],
)  # fmt: skip
def test_other_spellings_of_a_hot_path_are_hot(talk: Talk, target: bytes) -> None:
    answer = talk.ask(request(chat(), target=target))
    assert (answer.status, "server-timing" in answer.headers) == (200, True)
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize(
    "target",
    [CHAT + b"/", b"//v1/chat/completions", b"/V1/chat/completions", b"/v1/./chat/completions",
     b"/v1/chat/completions%00", b"/v1/chat/completions;a=b", b"/v1/chat%252Fcompletions", b"/", b"*",
     b"http://localhost/", b"http://localhost/?a"],
)  # fmt: skip
def test_what_only_looks_like_a_hot_path_is_not_found(talk: Talk, upstream: SpawnedReplica, target: bytes) -> None:
    answer = talk.ask(request(chat(), method=b"OPTIONS" if target == b"*" else b"POST", target=target))
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")
    assert upstream.calls() == []
    assert talk.ask(GOOD).status == 200


@pytest.mark.parametrize("target", [b"http://localhost", b"http://localhost?a=b"])
def test_an_absolute_target_needs_no_path(talk: Talk, promises: Promises, target: bytes) -> None:
    answer = talk.ask(request(chat(), target=target))
    assert answer.status == (404 if promises.refusals_have_envelopes else 400)


@pytest.mark.parametrize("method", [b"GET", b"OPTIONS", b"PUT", b"PATCH", b"DELETE", b"TRACE", b"QUERY"])
@pytest.mark.parametrize("path", [CHAT, b"/v1/completions", b"/v1/embeddings"])
def test_other_methods_on_hot_paths_are_refused(talk: Talk, method: bytes, path: bytes) -> None:
    answer = talk.ask(request(None, method=method, target=path))
    assert (answer.status, answer.error["code"], answer.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert not answer.closes
    assert talk.ask(GOOD).status == 200


def test_head_is_refused_without_a_body(talk: Talk) -> None:
    talk.send(request(None, b"Connection: close", method=b"HEAD", target=CHAT))
    (answer,), end = talk.ending()
    assert (answer.status, answer.body, end) == (405, b"", "eof")
    assert "x-request-id" in answer.headers


def test_names_of_headers_may_be_in_upper_case(talk: Talk, upstream: SpawnedReplica) -> None:
    head, _, body = request(chat(), b"X-Client-Request-Id: mine").partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    shouted = b"\r\n".join(
        name.upper() + colon + value
        for name, colon, value in (field.partition(b":") for field in fields.split(b"\r\n"))
    )
    answer = talk.ask(line + b"\r\n" + shouted + b"\r\n\r\n" + body)
    assert (answer.status, answer.headers["x-client-request-id"]) == (200, "mine")


@pytest.mark.parametrize("stream", [False, True])
def test_connection_close_is_said_and_done(talk: Talk, stream: bool) -> None:
    talk.send(request(chat(stream=stream), b"Connection: close"), GOOD)
    (answer,), end = talk.ending()
    assert (answer.status, answer.whole, answer.closes, end) == (200, True, True, "eof")


@pytest.mark.parametrize("fields", [(), (b"Connection: keep-alive",)])
@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_gets_no_chunks(talk: Talk, promises: Promises, stream: bool, fields: tuple[bytes, ...]) -> None:
    talk.send(request(chat(stream=stream), *fields, version=b"HTTP/1.0"))
    if fields and not stream and promises.http10_stays:
        assert talk.answer().headers["connection"] == "keep-alive"
        talk.send(request(chat(), version=b"HTTP/1.0"))
    (answer,), end = talk.ending()
    assert (answer.status, answer.closes, end) == (200, True, "eof")
    if promises.http10_has_no_chunks:
        assert "transfer-encoding" not in answer.headers
    if stream:
        assert b"data: [DONE]\n\n" in answer.body
    else:
        assert answer.headers["content-length"] == str(len(answer.body))


def test_http_1_0_needs_no_host_but_ours_if_any(talk: Talk) -> None:
    talk.send(request(chat(), version=b"HTTP/1.0", host=None))
    (answer,), _ = talk.ending()
    assert (answer.status, answer.error["code"]) == (421, "unknown_host")


UPGRADES = {
    "h2c": (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
    ),
    "websocket": (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
        b"Sec-WebSocket-Version: 13",
    ),
}


@pytest.mark.parametrize("offer", UPGRADES)
@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_an_offer_to_upgrade_is_answered_as_http_1_1(
    talk: Talk, upstream: SpawnedReplica, promises: Promises, offer: str, in_chunks: bool, apart: bool
) -> None:
    """Java's client offers h2c with every POST until it knows better."""
    body = chat("good")
    whole = chunked_head(*UPGRADES[offer]) + chunked(body) if in_chunks else request(body, *UPGRADES[offer])
    head, _, rest = whole.partition(b"\r\n\r\n")
    if apart:
        talk.send(head[:40])
        talk.send(head[40:], b"\r\n\r\n")
        answer = talk.ask(rest)
    else:
        answer = talk.ask(whole)
    if not promises.upgrades_have_bodies:
        assert answer.closes
        assert upstream.calls() == []
        return
    assert (answer.status, "upgrade" in answer.headers) == (200, False)
    assert talk.ask(GOOD).status == 200
    assert [call.body["messages"][0]["content"] for call in upstream.calls()] == ["good", "Say something."]


@pytest.mark.parametrize("offer", UPGRADES)
def test_a_body_behind_an_offer_to_upgrade_is_never_a_request(
    talk: Talk, gateway: RunningGateway, upstream: SpawnedReplica, offer: str
) -> None:
    hidden = request(chat("smuggled"))
    answers, _ = talk.send(request(hidden, b"Connection: close", *UPGRADES[offer])).ending()
    assert [answer.status for answer in answers] == [400]
    gateway.wait_idle()
    assert upstream.calls() == []


def test_many_offers_to_upgrade_in_one_packet_are_bounded(talk: Talk) -> None:
    one = request(chat(), *UPGRADES["h2c"])
    answers, end = talk.send(one * 500).ending()
    assert end != "open"
    assert 1 <= len(answers) <= 10


@pytest.mark.parametrize("offer", UPGRADES)
def test_a_cold_offer_to_upgrade_is_answered_as_http_1_1(talk: Talk, promises: Promises, offer: str) -> None:
    answer = talk.ask(request(None, *UPGRADES[offer], method=b"GET", target=b"/v1/models"))
    assert answer.status == 200
    if promises.upgrades_have_bodies:
        assert talk.ask(GOOD).status == 200
