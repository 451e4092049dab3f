"""Bad bodies over real sockets: a clear 4xx with code and param, nothing reaches the upstream, the server lives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.asking import body as good

SECRET = "snowblind"
SUBJECTS = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/embeddings": "input"}
TYPED = {"content-type": "application/json"}
USER = [{"role": "user", "content": SECRET}]
Case = tuple[str, bytes | dict[str, Any], int, str, str | None]


def spoiled(path: str, **members: Any) -> dict[str, Any]:
    subject = SUBJECTS[path]
    return {"model": "mock", subject: USER if subject == "messages" else SECRET, **members}


def raw(path: str, more: str) -> bytes:
    """A good body with more members, as they are written."""
    return (json.dumps(spoiled(path))[:-1] + more + "}").encode()


def anywhere(path: str) -> Iterator[Case]:
    """Mistakes that are the same at each path."""
    subject = SUBJECTS[path]
    yield path, b"", 400, "invalid_json", None
    yield path, b"{", 400, "invalid_json", None
    yield path, raw(path, "") + b"x", 400, "invalid_json", None
    yield path, b"null", 400, "invalid_type", None
    yield path, b"[]", 400, "invalid_type", None
    yield path, b'"' + SECRET.encode() + b'"', 400, "invalid_type", None
    yield path, b"\xff\xfe{}", 400, "invalid_json", None
    yield path, raw(path, ',"other":"') + b'\xff"}', 400, "invalid_json", None
    yield path, raw(path, ',"other":NaN'), 400, "invalid_json", None
    yield path, raw(path, ',"other":-Infinity'), 400, "invalid_json", None
    yield path, raw(path, ',"other":' + "[" * 50_000 + "]" * 50_000), 400, "invalid_json", None
    yield path, raw(path, ',"other":' + '{"a":' * 50_000 + "1" + "}" * 50_000), 400, "invalid_json", None
    yield path, b"[" * 1_000_000, 400, "invalid_type", None
    yield path, raw(path, f',"{subject}":"again"'), 400, "duplicate_parameter", subject
    yield path, raw(path, ',"\\u006dodel":"again"'), 400, "duplicate_parameter", "model"
    yield path, raw(path, "".join(f',"m{at}":{at}' for at in range(300))), 400, "object_above_max_properties", None
    yield path, spoiled(path, model=None), 400, "invalid_type", "model"
    yield path, spoiled(path, model=""), 400, "empty_string", "model"
    yield path, spoiled(path, model=5), 400, "invalid_type", "model"
    yield path, spoiled(path, model="m" * 300), 400, "string_above_max_length", "model"
    yield path, spoiled(path, model="a\u0000b"), 400, "invalid_value", "model"
    yield path, {subject: spoiled(path)[subject]}, 400, "missing_required_parameter", "model"
    yield path, {"model": "mock"}, 400, "missing_required_parameter", subject
    yield path, spoiled(path, **{subject: {SECRET: 1}}), 400, "invalid_type", subject
    yield path, spoiled(path, **{subject: []}), 400, "empty_array", subject
    yield path, spoiled(path, user=[SECRET]), 400, "invalid_type", "user"
    yield path, spoiled(path, model=SECRET), 404, "model_not_found", "model"
    yield path, raw(path, f',"other":"{"x" * 10_000_000}"'), 413, "request_too_large", None


def of_generations(path: str) -> Iterator[Case]:
    """Mistakes in members that chat and text completions share."""
    for name in ("max_tokens", "n", "seed", "top_k"):
        yield path, raw(path, f',"{name}":1e400'), 400, "invalid_value", name
        yield path, raw(path, f',"{name}":{10**30}'), 400, "integer_above_max_value", name
        yield path, spoiled(path, **{name: 1.5}), 400, "invalid_type", name
        yield path, spoiled(path, **{name: SECRET}), 400, "invalid_type", name
        yield path, spoiled(path, **{name: True}), 400, "invalid_type", name
    yield path, spoiled(path, max_tokens=-1), 400, "integer_below_min_value", "max_tokens"
    yield path, spoiled(path, n=1000), 400, "integer_above_max_value", "n"
    yield path, spoiled(path, temperature=2.5), 400, "decimal_above_max_value", "temperature"
    yield path, spoiled(path, stream="yes"), 400, "invalid_type", "stream"
    yield path, spoiled(path, stream_options={}), 400, "invalid_value", "stream_options"
    yield path, spoiled(path, stop=["a"] * 5), 400, "array_above_max_length", "stop"
    yield path, spoiled(path, stop=[SECRET, 1]), 400, "invalid_type", "stop[1]"


def of_chats() -> Iterator[Case]:
    path = "/v1/chat/completions"
    yield (
        path,
        spoiled(path, messages=[*USER, {"role": "user"}]),
        400,
        "missing_required_parameter",
        "messages[1].content",
    )
    yield path, spoiled(path, messages=[{"role": SECRET, "content": ""}]), 400, "invalid_value", "messages[0].role"
    yield path, spoiled(path, messages=[{"content": SECRET}]), 400, "missing_required_parameter", "messages[0].role"
    yield path, spoiled(path, messages=[SECRET]), 400, "invalid_type", "messages[0]"
    yield path, spoiled(path, tools=[{"type": "function"}]), 400, "missing_required_parameter", "tools[0].function"


CASES = [
    *(case for path in SUBJECTS for case in anywhere(path)),
    *(case for path in list(SUBJECTS)[:2] for case in of_generations(path)),
    *of_chats(),
]


def test_p25_each_bad_body_is_a_clear_4xx_and_reaches_no_upstream(stand: Api) -> None:
    """P25: status, code and param, over kept connections, without the caller's words; then a good one is answered."""
    wrong = []
    for path, body, *expected in CASES:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = stand.http.post(path, content=data, headers=TYPED)
        error = answer.json()["error"]
        got = [answer.status_code, error["code"], error["param"]]
        if got != expected or SECRET in answer.text or not error["message"]:
            wrong.append((path, data[:120], expected, got, error["message"]))
        assert answer.headers["x-request-id"].startswith("req_")
    assert not wrong, "\n".join(map(str, wrong))
    assert stand.upstream.calls() == []
    stand.gateway.wait_idle()
    assert stand.http.post("/v1/chat/completions", json=good()).status_code == 200


@pytest.mark.parametrize("path", SUBJECTS)
def test_a_body_in_another_type_is_not_read(stand: Api, path: str) -> None:
    data = json.dumps(spoiled(path)).encode()
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/jsonx",
    ):
        answer = stand.http.post(path, content=data, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_type")
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert stand.http.post(path, content=data, headers={"content-type": kind}).status_code == 200
    assert len(stand.upstream.calls()) == 2
