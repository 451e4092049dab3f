"""Whatever is sent as a body: it is refused as the caller's mistake, or it is in range and sent on as it was."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.api import Kind
from gateway.prompt import Invalid, Prompt, parse

SECRET = "snowblind"
UNHURRIED = settings(deadline=None)  # what is proved here has no clock

VALID: dict[Kind, dict[str, Any]] = {
    "chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stream": True, "stream_options": {"include_usage": True}, "n": 2, "stop": ["a", "b"], "temperature": 0.5,
        "top_p": 0.5, "logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "max_tokens": 5, "seed": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}, "other": {"a": [1, {}]},
    },
    "completion": {
        "model": "m", "prompt": ["a", "b"], "n": 1, "best_of": 2, "echo": False, "logprobs": 1, "max_tokens": 5,
        "presence_penalty": 1.5, "stop": "x", "other": None,
    },
    "embedding": {"model": "m", "input": [[1, 2], [3]], "encoding_format": "float", "dimensions": 3, "user": "u"},
}  # fmt: skip

KINDS = st.sampled_from(sorted(VALID))
WORDS = st.just(SECRET) | st.text().map(lambda text: SECRET + text)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**30, -(10**400), 2**31, 2**63, -1, 0, 1e308])
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read(kind: Kind, body: bytes) -> Prompt | Invalid:
    """The outcome; an exception of any other type fails the test."""
    try:
        return parse(kind, body)
    except Invalid as error:
        told = error
    assert told.code
    assert SECRET not in told.message
    return told


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside this one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@UNHURRIED
@given(KINDS, st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@example("chat", b"\xff")
def test_any_bytes_and_any_json_are_refused_politely(kind: Kind, body: bytes) -> None:
    assert isinstance(read(kind, body), Invalid)


@UNHURRIED
@given(st.data(), KINDS)
def test_p14_a_valid_body_with_one_value_replaced_is_refused_with_a_param_or_sent_on(
    data: st.DataObject, kind: Kind
) -> None:
    body = copy.deepcopy(VALID[kind])
    *way, last = data.draw(st.sampled_from(places(body)[1:]))
    inside = body
    for step in way:
        inside = inside[step]
    inside[last] = data.draw(ANY_JSON)
    encoded = json.dumps(body).encode()
    outcome = read(kind, encoded)
    if isinstance(outcome, Invalid):
        assert outcome.code == "invalid_json" or (outcome.param or "").split("[")[0].split(".")[0] in body
    else:
        sent = json.loads(msgspec.json.encode(outcome.upstream_fields("upstream", "max_tokens", 1)))
        ours = {"model", "max_tokens", "stream_options"}
        assert {name: sent[name] for name in sent.keys() - ours} == {name: body[name] for name in body.keys() - ours}


@UNHURRIED
@given(st.data(), KINDS)
def test_a_valid_body_with_bytes_changed_is_refused_or_read(data: st.DataObject, kind: Kind) -> None:
    body = bytearray(json.dumps(VALID[kind]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read(kind, bytes(body))


SPACE = st.text(" \t\r\n", max_size=2)
DIGITS = st.text("0123456789", min_size=1, max_size=40)
SPELLED_NUMBER = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["0", "1", "123456789012345678901234567890"]),
    st.just("") | DIGITS.map(lambda digits: "." + digits),
    st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), DIGITS),
)
SPELLED_STRING = st.text().map(json.dumps) | st.text(
    st.characters(codec="utf-8", min_codepoint=32, exclude_characters='"\\')
).map('"{}"'.format)
SPELLED: st.SearchStrategy[str] = st.recursive(
    SPELLED_NUMBER | SPELLED_STRING | st.sampled_from(["null", "true", "false"]),
    lambda inner: (
        st.lists(st.builds("{}{}{}".format, SPACE, inner, SPACE), max_size=3).map(",".join).map("[{}]".format)
        | st.lists(st.builds("{}{}:{}{}".format, SPACE, SPELLED_STRING, SPACE, inner), max_size=3)
        .map(",".join)
        .map("{{{}}}".format)
    ),
    max_leaves=8,
)


@UNHURRIED
@given(KINDS, st.dictionaries(st.text().map("x-".__add__), SPELLED, max_size=6), SPACE)
@example("chat", {"x-a": "1.0e-0", "x-b": "123456789012345678901234567890", "x-c": '{"a":1, "a":2}'}, " ")
def test_what_is_not_ours_comes_out_as_it_went_in(kind: Kind, extra: dict[str, str], space: str) -> None:
    ours = json.dumps(VALID[kind])[1:-1]
    theirs = "".join(f"{space}{json.dumps(name)}{space}:{space}{value}{space}," for name, value in extra.items())
    prompt = parse(kind, f"{{{theirs}{ours}}}".encode())
    fields = prompt.upstream_fields("upstream", "max_tokens", 1)
    assert {name: bytes(fields[name]).decode() for name in extra} == extra
    assert list(fields)[: len(extra)] == list(extra)
    assert json.loads(msgspec.json.encode(fields))["model"] == "upstream"


@UNHURRIED
@given(KINDS, st.dictionaries(st.text(), SPELLED_NUMBER, min_size=1, max_size=5), st.data())
def test_a_member_given_twice_is_always_refused(kind: Kind, extra: dict[str, str], data: st.DataObject) -> None:
    names = [*extra, data.draw(st.sampled_from(sorted({*extra, *VALID[kind]} - {"other"})))]
    members = [f"{json.dumps(name)}:{extra.get(name, '1')}" for name in names]
    body = f"{json.dumps(VALID[kind])[:-1]},{','.join(members)}}}".encode()
    with pytest.raises(Invalid) as caught:
        parse(kind, body)
    assert caught.value.code == "duplicate_parameter"


RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2), "top_p": (0, 1), "min_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
    "top_k": (-1, 2**31 - 1), "n": (1, 128), "max_tokens": (1, 2**31 - 1), "max_completion_tokens": (1, 2**31 - 1),
    "n_predict": (1, 2**31 - 1), "min_tokens": (0, 2**31 - 1), "seed": (-(2**63), 2**63 - 1),
}  # fmt: skip


@UNHURRIED
@given(
    st.sampled_from(sorted(RANGES)), st.integers() | st.integers(-3, 3) | st.sampled_from([128, 129, 2**31, 10**400])
)
def test_p14_a_number_is_accepted_exactly_when_it_is_in_range(name: str, number: int) -> None:
    low, high = RANGES[name]
    outcome = read("chat", json.dumps({"model": "m", "messages": VALID["chat"]["messages"], name: number}).encode())
    assert isinstance(outcome, Prompt) is (low <= number <= high)
    if isinstance(outcome, Invalid):
        assert outcome.param == name


CAPS = st.none() | st.integers(1, 2**31 - 1)


@UNHURRIED
@given(CAPS, CAPS, CAPS, st.sampled_from(["max_tokens", "max_completion_tokens"]))
def test_p02_exactly_one_cap_is_sent_and_it_is_the_largest(
    old: int | None, new: int | None, llama: int | None, field: Any
) -> None:
    given_caps = {"max_tokens": old, "max_completion_tokens": new, "n_predict": llama}
    prompt = parse("chat", json.dumps({"model": "m", "messages": VALID["chat"]["messages"]} | given_caps).encode())
    fields = prompt.upstream_fields("upstream", field, 77)
    largest = max((cap for cap in given_caps.values() if cap is not None), default=None)
    assert prompt.max_tokens == largest
    assert {name: int(bytes(fields[name])) for name in given_caps if name in fields} == {field: largest or 77}
