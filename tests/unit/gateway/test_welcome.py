"""What the process says once it serves tells who may ask, and how to try it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import check
from gateway.welcome import welcome
from tests.support.gateway import configuration

JWT = {"issuer": "https://login.example.com", "audiences": ["x"], "tenant": "acme"}


@pytest.mark.parametrize(
    ("sections", "who"),
    [
        ({}, "this machine only"),
        ({"server": {"open": True}}, "anybody who can reach it"),
        ({"auth": {"kind": "keys"}}, "Requests need a key"),
        ({"auth": {"kind": "keys", "jwt": JWT}}, "; or a token of https://login.example.com."),
        ({"auth": {"kind": "jwt", "jwt": JWT}}, "Requests need a token of https://login.example.com."),
    ],
)
def test_it_says_who_may_ask(sections: dict[str, Any], who: str) -> None:
    said = welcome(check(configuration(**sections), "test"), 8080, 8081)
    assert who in said
    assert ("$SNOWSHED_API_KEY" in said) is ("auth" in sections)
    assert '{"model": "mock", "messages": [' in said
