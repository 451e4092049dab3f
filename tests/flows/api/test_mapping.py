"""What reaches the upstream of a request, and what comes back of its answer."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest

from tests.support.api import CAPPED, ENVIRONMENT_KEY, FILE_KEY, NAMED, UPSTREAM, Api
from tests.support.written import whole_lines

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
ANOTHER = 'yet "another"\\ näme\t'
CANARY = "snowblind"


def asked(path: str, model: str = NAMED, **members: Any) -> dict[str, Any]:
    subject = {"chat/completions": "messages", "completions": "prompt", "embeddings": "input"}[
        path.removeprefix("/v1/")
    ]
    said: Any = [{"role": "user", "content": "Hello"}] if subject == "messages" else "Hello"
    return {"model": model, subject: said, **members}


def post(stand: Api, path: str, body: dict[str, Any], **headers: str) -> tuple[httpx2.Response, Any]:
    """The answer, and what the upstream was asked for it."""
    answer = stand.http.post(path, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})
    assert answer.status_code == 200, answer.text
    return answer, stand.asked(answer.headers["x-request-id"])


@pytest.mark.parametrize("reported", ["", ANOTHER, NAMED], ids=["its own", "yet another", "the public one"])
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("path", PATHS)
def test_the_public_name_goes_out_as_the_upstreams_and_comes_back(
    stand: Api, path: str, stream: bool, reported: str
) -> None:
    """In a document, in every chunk, in embeddings; whatever the upstream calls itself; escaped as JSON wants it."""
    stand.upstream.set(upstream_model=reported)
    streams = stream and path != "/v1/embeddings"
    answer, call = post(stand, path, asked(path) | ({"stream": True} if streams else {}))
    assert call.model == call.body["model"] == UPSTREAM
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    named = [json.loads(line)["model"] for line in lines if line != "[DONE]"]
    assert set(named) == {NAMED}
    assert len(named) == (13 if streams else 1)


@pytest.mark.parametrize(
    "given", [{}, {"max_tokens": 3}, {"max_completion_tokens": 3}, {"max_tokens": 2, "n_predict": 3}]
)
@pytest.mark.parametrize(
    ("model", "field", "default"), [("mock", "max_tokens", 1024), (CAPPED, "max_completion_tokens", 7)]
)
@pytest.mark.parametrize("path", PATHS[:2])
def test_exactly_one_token_cap_is_always_sent(
    stand: Api, path: str, model: str, field: str, default: int, given: dict[str, int]
) -> None:  # fmt: skip
    _, call = post(stand, path, asked(path, model, **given))
    caps = {name: call.body[name] for name in ("max_tokens", "max_completion_tokens", "n_predict") if name in call.body}
    assert caps == {field: 3 if given else default}


def test_embeddings_have_no_cap_and_no_stream_options(stand: Api) -> None:
    body = asked("/v1/embeddings", dimensions=4, user="u")
    assert post(stand, "/v1/embeddings", body)[1].body == body | {"model": UPSTREAM}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": None, "other": [1]}, {"include_usage": True, "other": [1]}),
        ({"other": {"a": 1}, "include_usage": True}, {"other": {"a": 1}, "include_usage": True}),
    ],
)
def test_stream_options_are_kept_and_usage_always_asked_for(stand: Api, given: Any, sent: Any) -> None:
    _, call = post(stand, PATHS[0], asked(PATHS[0], stream=True, stream_options=given))
    assert call.body["stream_options"] == sent
    _, unary = post(stand, PATHS[0], asked(PATHS[0]))
    assert "stream_options" not in unary.body


def test_what_is_not_read_passes_byte_by_byte(stand: Api) -> None:
    """Numbers keep their spelling, strings their escapes, objects their order: the length tells."""
    others = (
        r'"temperature":1.0e-1,"big":123456789012345678901234567890.10,"logit_bias":{"5":-1e1},'
        r'"text":"\u00e9\/\ud83d\ude42é\u0000","nested":{"b":[1,2.50,{"a":null}],"a":  {}},"seed":-0'
    )
    body = r'{"messages":[{"role":"user","content":"Hi\u0021"}],"model":"mock","max_tokens":5,' + others + "}"
    answer = stand.http.post(PATHS[0], content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    call = stand.asked(answer.headers["x-request-id"])
    assert call.body == json.loads(body)
    assert call.body_bytes == len(body.encode())
    assert list(call.body) == [*(name for name in json.loads(body) if name != "max_tokens"), "max_tokens"]


@pytest.mark.parametrize("path", PATHS)
def test_the_callers_headers_stay_here_and_ours_go_upstream(stand: Api, path: str) -> None:
    """No credential, cookie, forwarded address, id, priority or unknown header of the caller's reaches the upstream."""
    theirs = {
        "authorization": f"Bearer {CANARY}", "cookie": CANARY, "proxy_authorization": CANARY, "x_api_key": CANARY,
        "api_key": CANARY, "x_forwarded_for": CANARY, "x_forwarded_host": CANARY, "forwarded": f"for={CANARY}",
        "x_real_ip": CANARY, "x_request_id": CANARY, "x_client_request_id": f"{CANARY}-2", "traceparent": CANARY,
        "x_priority": "batch", "openai_organization": CANARY, "user_agent": CANARY, "referer": CANARY,
        "x_unknown": CANARY, "te": "trailers", "accept_language": CANARY, "accept_encoding": "gzip",
    }  # fmt: skip
    answer, call = post(stand, path, asked(path), **theirs)
    told = dict(call.headers)
    assert len(told) == len(call.headers)
    assert CANARY not in str(told)
    assert set(told) == {
        "host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "authorization",
        "x-request-id", "x-request-timeout-ms",
    }  # fmt: skip
    assert told["authorization"] == f"Bearer {ENVIRONMENT_KEY}"
    assert told["x-request-id"] == answer.headers["x-request-id"]
    assert told["accept-encoding"] == "identity"
    assert "content-encoding" not in answer.headers


def test_credentials_come_from_a_file_or_are_not_sent_at_all(stand: Api) -> None:
    assert post(stand, PATHS[0], asked(PATHS[0], CAPPED))[1].header("authorization") == f"Bearer {FILE_KEY}"
    assert post(stand, PATHS[0], asked(PATHS[0], "mock"), authorization="Bearer x")[1].header("authorization") is None


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_of_the_upstreams_headers_only_listed_ones_come_back(stand: Api, stream: bool) -> None:
    """Neither its cookies nor its names nor its request id; a listed one as it is, once."""
    listed = "openai-processing-ms:17;openai-version:2020-10-01"
    hidden = "server:hidden;set-cookie:hidden=1;x-request-id:hidden;x-hidden:1;x-client-request-id:hidden;retry-after:9"
    stand.upstream.set(headers=f"{listed};{hidden};access-control-allow-origin:*")
    answer, _ = post(stand, PATHS[0], asked(PATHS[0], stream=stream))
    ours = {
        "x-request-id",
        "x-model-version",
        "content-type",
        "server-timing",
        "date",
        "openai-processing-ms",
        "openai-version",
    }
    framing = {"cache-control", "x-accel-buffering", "transfer-encoding"} if stream else {"content-length"}
    assert set(answer.headers) - {"date"} == (ours | framing) - {"date"}
    assert answer.headers["openai-processing-ms"] == "17"
    assert "hidden" not in str(answer.headers)
    assert len(answer.headers) == len(answer.headers.multi_items())


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_server_timing_tells_overhead_queue_and_first_token(stand: Api, stream: bool) -> None:
    answer, _ = post(stand, PATHS[0], asked(PATHS[0], stream=stream))
    timing = answer.headers["server-timing"]
    found = re.fullmatch(r"gateway;dur=(\d+\.\d+), queue;dur=(\d+\.\d+), first_token;dur=(\d+\.\d+)", timing)
    assert found, timing
    assert float(found[1]) < 1000
    assert float(found[2]) == 0


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        ({}, ""),
        ({"x_client_request_id": "mine-1.2:3_4"}, "mine-1.2:3_4"),
        ({"x_request_id": "proxy-1"}, "proxy-1"),
        ({"x_request_id": "proxy-1", "x_client_request_id": "mine"}, "mine"),
        ({"x_request_id": "not a label"}, ""),
        ({"x_request_id": "a" * 129}, ""),
        ({"x_client_request_id": "a" * 128}, "a" * 128),
    ],
)
def test_the_id_is_ours_and_the_callers_is_a_label(stand: Api, sent: dict[str, str], label: str) -> None:
    """Echoed, logged, and nothing else: two requests of one label have two ids."""
    answers = [post(stand, PATHS[0], asked(PATHS[0]), **sent)[0] for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", one) for one in ids)
    assert [answer.headers.get("x-client-request-id", "") for answer in answers] == [label] * 2
    lines = [json.loads(line) for line in _lines(stand, ids)]
    assert [line["client_request_id"] for line in lines] == [label] * 2


def _lines(stand: Api, ids: set[str]) -> list[str]:
    def found() -> list[str]:
        return [line for line in whole_lines(stand.log) if any(one in line for one in ids)]

    stand.gateway.wait_until(lambda: len(found()) == len(ids))
    return found()
