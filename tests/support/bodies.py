"""Request bodies to be spoiled, and what a spoiled one is answered with."""

from __future__ import annotations

import json

import pytest

from engines.api import Kind
from gateway.prompt import Invalid, parse

SECRET = "snowblind"
"""Stands for the caller's words; no complaint may repeat it."""


def refusal(kind: Kind, body: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse(kind, body)
    assert SECRET not in caught.value.message
    assert caught.value.too_large is False
    return caught.value


def chat(**members: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": SECRET}]} | members).encode()


def message(**members: object) -> bytes:
    return chat(messages=[{"role": "user", "content": SECRET}, members])


def part(**members: object) -> bytes:
    return message(role="user", content=[{"type": "text", "text": SECRET}, members])


def completion(**members: object) -> bytes:
    return json.dumps({"model": "m", "prompt": SECRET} | members).encode()


def embedding(**members: object) -> bytes:
    return json.dumps({"model": "m", "input": SECRET} | members).encode()
