"""P23: what a request used is known exactly, whoever asked for it; and roughly where an answer ended early."""

from __future__ import annotations

import json
from typing import Any, Literal

import httpx2
import pytest

from tests.support import plain
from tests.support.api import Api

Kind = Literal["chat", "completion"]
PATHS: dict[Kind, str] = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}


def asked(kind: Kind, directive: str, *, stream: bool, include_usage: bool, **members: Any) -> dict[str, Any]:
    words = f"Five words are said here @@{directive}@@"
    said: dict[str, Any] = {"prompt": words}
    if kind == "chat":
        said = {"messages": [{"role": "user", "content": words}]}
    options = {"stream_options": {"include_usage": include_usage}} if stream else {}
    return {"model": "mock", "stream": stream, **said, **options, **members}


def events(body: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.split("\n\n") if line.strip()]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def usages(body: str) -> list[Any]:
    """The usages that the client was shown."""
    return [event["usage"] for event in events(body) if event.get("usage")]


@pytest.mark.parametrize("include_usage", [False, True], ids=["not asked for", "asked for"])
@pytest.mark.parametrize("ends", ["finish", "length"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("kind", PATHS)
def test_p23_of_a_whole_answer(stand: Api, kind: Kind, stream: bool, ends: str, include_usage: bool) -> None:
    """P23: the record agrees with the upstream's own count, and a stream shows it only if the client asked."""
    label = stand.label()
    members = {"max_tokens": 4} if ends == "length" else {}
    body = asked(kind, "tokens=9", stream=stream, include_usage=include_usage, **members)
    answer = stand.http.post(PATHS[kind], json=body, headers={"x-client-request-id": label})
    record = stand.record(label)
    truth = stand.asked(record["id"])
    assert (truth.prompt_tokens, truth.tokens) == (6, 4 if ends == "length" else 9)
    counted = {"prompt_tokens": truth.prompt_tokens, "completion_tokens": truth.tokens}
    assert {name: record[name] for name in counted} == counted
    assert (record["usage_exact"], record["outcome"], record["chunks"] > 0) == (True, "success", stream)
    shown = usages(answer.text) if stream else [answer.json()["usage"]]
    assert [counted.items() <= usage.items() for usage in shown] == [True] * (include_usage or not stream)
    if stream:
        empty = [event for event in events(answer.text) if event["choices"] == []]
        assert len(empty) == include_usage
        assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("include_usage", [False, True], ids=["not asked for", "asked for"])
@pytest.mark.parametrize("kind", PATHS)
def test_p23_of_a_stream_that_the_client_left(stand: Api, kind: Kind, include_usage: bool) -> None:
    """P23: as many tokens as the upstream made, but for those in flight; and the count is marked as ours."""
    label = stand.label()
    body = asked(kind, "tokens=2000,delay_ms=20", stream=True, include_usage=include_usage, max_tokens=2000)
    seen = b""
    with stand.http.stream("POST", PATHS[kind], json=body, headers={"x-client-request-id": label}) as answer:
        for data in answer.iter_raw():
            seen += data
            if seen.count(b"\n\n") >= 5:
                break
    record = stand.record(label)
    truth = _ended(stand, record["id"], "cancelled")
    assert seen.count(b"\n\n") <= record["completion_tokens"] <= truth.tokens <= record["completion_tokens"] + 40
    assert (record["usage_exact"], record["outcome"], record["client_gone"]) == (False, "ignored", True)


@pytest.mark.parametrize("include_usage", [False, True], ids=["not asked for", "asked for"])
@pytest.mark.parametrize("fault", ["eof_close", "cut", "reset_after", "eof_clean"])
@pytest.mark.parametrize("kind", PATHS)
def test_p23_of_a_stream_that_the_upstream_cut(stand: Api, kind: Kind, fault: str, include_usage: bool) -> None:
    """P23: the tokens that came are counted, nothing looks like usage or a finish, and the client is told."""
    label = stand.label()
    body = asked(kind, f"tokens=9,delay_ms=2,fault={fault},after=5", stream=True, include_usage=include_usage)
    answer = stand.http.post(PATHS[kind], json=body, headers={"x-client-request-id": label})
    record = stand.record(label)
    truth = _ended(stand, record["id"], "fault")
    assert truth.tokens == 5
    in_flight = 5 if fault == "reset_after" else 0  # a reset drops what the reader's side has not taken yet
    assert 5 - in_flight <= record["completion_tokens"] <= 5
    assert (record["usage_exact"], record["outcome"], record["code"]) == (False, "failed", "upstream_interrupted")
    assert usages(answer.text) == []
    assert events(answer.text)[-1]["error"]["code"] == "upstream_interrupted"
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("fault", ["eof_close", "eof_clean", "wrong_length", "reset_after", "malformed"])
@pytest.mark.parametrize("kind", PATHS)
def test_p23_of_a_document_that_the_upstream_cut(stand: Api, kind: Kind, fault: str) -> None:
    """P23: nothing was said, so nothing is counted."""
    label = stand.label()
    body = asked(kind, f"fault={fault}", stream=False, include_usage=False)
    answer = stand.http.post(PATHS[kind], json=body, headers={"x-client-request-id": label})
    record = stand.record(label)
    assert (answer.status_code, record["status"], record["outcome"]) == (502, 502, "failed")
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_exact"]) == (0, 0, False)


@pytest.mark.parametrize("kind", PATHS)
def test_p23_of_a_document_that_the_client_did_not_wait_for(stand: Api, kind: Kind) -> None:
    """P23: the upstream is told to stop, and has made nothing."""
    label = stand.label()
    body = asked(kind, "service_ms=20000", stream=False, include_usage=False)
    headers = {"x-client-request-id": label}
    with plain.client(base_url=stand.gateway.url) as client, pytest.raises(httpx2.ReadTimeout):
        client.post(PATHS[kind], json=body, headers=headers, timeout=0.3)
    record = stand.record(label)
    assert _ended(stand, record["id"], "cancelled").tokens == 0
    assert (record["completion_tokens"], record["usage_exact"], record["client_gone"]) == (0, False, True)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p23_of_an_upstream_that_does_not_say(stand: Api, stream: bool) -> None:
    """P23: chunks stand for tokens, and the record says that it is not exact."""
    label = stand.label()
    body = asked("chat", "tokens=9,fault=no_usage", stream=stream, include_usage=stream)
    answer = stand.http.post(PATHS["chat"], json=body, headers={"x-client-request-id": label})
    record = stand.record(label)
    assert (record["outcome"], record["usage_exact"]) == ("success", False)
    assert abs(record["completion_tokens"] - (9 if stream else 0)) <= 1
    assert answer.status_code == 200


def test_p23_of_embeddings(stand: Api) -> None:
    """P23: a prompt's tokens, and none of an answer."""
    label = stand.label()
    body = {"model": "mock", "input": ["one two", "three"]}
    answer = stand.http.post("/v1/embeddings", json=body, headers={"x-client-request-id": label})
    record = stand.record(label)
    assert (record["prompt_tokens"], record["completion_tokens"], record["usage_exact"]) == (3, 0, True)
    assert answer.json()["usage"]["prompt_tokens"] == stand.asked(record["id"]).prompt_tokens == 3


def _ended(stand: Api, request_id: str, outcome: str) -> Any:
    stand.upstream.wait_for(lambda calls: any(c.request_id == request_id and c.outcome is not None for c in calls))
    call = stand.asked(request_id)
    assert call.outcome == outcome
    return call
