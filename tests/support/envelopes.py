"""Errors as every listener tells them: OpenAI's envelope, with nothing in it of what was sent."""

from __future__ import annotations

import httpx2

SECRET = "snowblind"
"""What a test puts where it might be repeated."""

_TYPES = {429: "rate_limit_error"}


def enveloped(answer: httpx2.Response, status: int, code: str, param: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]
    assert answer.headers["x-request-id"].startswith("req_")
    if answer.request.method == "HEAD":
        assert answer.content == b""
        return
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    assert error["message"].endswith((".", "?", "…"))
    assert SECRET not in answer.text
