"""Whatever bytes come as bodies over one kept connection: each is answered in the envelope and breaks no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.api import Api, api

SECRET = "snowblind"
PATHS = st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SECRET)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
GOOD: dict[str, Any] = {
    "model": "mock", "messages": [{"role": "user", "content": "Hello"}], "prompt": "Hello", "input": "Hello",
    "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3, "n": 1, "temperature": 0.5, "stop": "x",
    "tools": [{"type": "function", "function": {"name": "f"}}], "logit_bias": {"1": 1}, "seed": 5, "user": "u",
}  # fmt: skip


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api(tmp_path_factory.mktemp("api")) as running:
        yield running
        running.gateway.wait_idle()


def judge(answer: httpx2.Response) -> None:
    """Good, or refused as the caller's mistake, by us or by the upstream, whose range may be narrower."""
    if answer.status_code == 200:
        return
    assert answer.status_code in (400, 404), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"]
    assert SECRET not in answer.text


@settings(max_examples=150)
@given(PATHS, st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
@example("/v1/chat/completions", b"\x00")
def test_any_bytes_are_refused_and_reach_no_upstream(stand: Api, path: str, body: bytes) -> None:
    answer = stand.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    judge(answer)
    assert stand.upstream.stats()["started"] == 0


@settings(max_examples=200)
@given(PATHS, st.sampled_from(sorted(GOOD)), VALUES)
def test_a_good_body_with_one_other_value_is_answered_or_refused(stand: Api, path: str, name: str, value: Any) -> None:
    body = json.dumps(GOOD | {name: value}).encode()
    answer = stand.http.post(path, content=body, headers={"content-type": "application/json"})
    judge(answer)


def test_it_lives(stand: Api) -> None:
    body = {"model": "mock", "messages": GOOD["messages"]}
    assert stand.http.post("/v1/chat/completions", json=body).status_code == 200
