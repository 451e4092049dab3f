"""What the official SDK makes of our errors: its own classes, with code, param, status and our request id."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.support import plain
from tests.support.api import Api
from tests.support.asking import body
from tests.support.waiting import PATIENCE

Case = tuple[type[openai.APIStatusError], int, str, str | None, dict[str, Any]]
CASES: list[Case] = [
    (openai.BadRequestError, 400, "decimal_above_max_value", "temperature", body(temperature=3)),
    (openai.BadRequestError, 400, "empty_array", "messages", body(messages=[])),
    (openai.BadRequestError, 400, "context_length_exceeded", "messages", body("fault=status,status=400")),
    (openai.NotFoundError, 404, "model_not_found", "model", body(model="absent")),
    (openai.APIStatusError, 413, "request_too_large", None, body("fault=status,status=413")),
    (openai.InternalServerError, 502, "upstream_error", None, body("fault=status,status=401")),
    (openai.InternalServerError, 502, "upstream_error", None, body("fault=status,status=500")),
    (openai.InternalServerError, 502, "upstream_error", None, body("fault=error_body_200")),
    (openai.InternalServerError, 503, "upstream_overloaded", None, body("fault=status,status=429")),
    (openai.InternalServerError, 503, "upstream_overloaded", None, body("fault=status,status=503,retry_after=7")),
]


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("case", CASES)
def test_p25_each_error_is_of_the_sdks_own_class(stand: Api, case: Case, stream: bool) -> None:
    """P25: with code, param, type and request id; the record holds the same status, code and id."""
    kind, status, code, param, asked = case
    label = stand.label()
    with pytest.raises(kind) as caught:
        stand.client().chat.completions.create(**asked, stream=stream, extra_headers={"x-client-request-id": label})
    error = caught.value
    record = stand.record(label)
    assert (error.status_code, error.code, error.param) == (status, code, param)
    assert error.type == ("invalid_request_error" if status < 500 else "server_error")
    assert error.request_id == record["id"]
    assert error.response.headers["x-client-request-id"] == label
    assert (record["status"], record["code"]) == (status, code)
    assert ("retry-after" in error.response.headers) is (status == 503)


def test_p25_an_error_within_a_stream_is_raised_with_its_code(stand: Api) -> None:
    """P25: after the first content the status is spent, and the SDK reads the error from the last event."""
    stream = stand.client().chat.completions.create(**body("tokens=9,fault=eof_close,after=4"), stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert not isinstance(caught.value, openai.APIStatusError)
    assert (caught.value.code, caught.value.type, caught.value.param) == ("upstream_interrupted", "server_error", None)


def test_the_sdks_retries_succeed_after_a_failure(stand: Api) -> None:
    """It comes back after what was neither overload nor a timeout; amid an outage it is told not to."""
    stand.gateway.run(stand.gateway.forgive)
    stand.upstream.set(fault="status", status=500)

    def recover(request: Any) -> None:
        if int(request.headers["x-stainless-retry-count"]) == 1:
            stand.upstream.set(fault="")

    with plain.client(event_hooks={"request": [recover]}) as http:
        client = stand.client(max_retries=2, http_client=http)
        assert client.chat.completions.create(**body()).choices[0].finish_reason == "stop"
    assert len(stand.upstream.calls()) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_the_sdks_timeout_is_our_deadline_and_the_upstreams(stand: Api, stream: bool) -> None:
    client = stand.client(timeout=PATIENCE)
    answer = client.chat.completions.with_raw_response.create(**body(), stream=stream)
    told = stand.asked(answer.headers["x-request-id"]).header("x-request-timeout-ms")
    assert told is not None
    assert PATIENCE - 10 < int(told) / 1000 <= PATIENCE + 1, "with the grace"


def test_the_callers_own_deadline_ends_a_call_with_504(stand: Api) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        stand.client().chat.completions.create(
            **body("service_ms=20000"), extra_headers={"x-request-timeout-ms": "300"}
        )
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")
    stand.upstream.wait_for(lambda calls: [call.outcome for call in calls] == ["cancelled"])
