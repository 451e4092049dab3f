"""What is not JSON, not an object, or says one thing twice is refused before anything is read from it."""

from __future__ import annotations

import pytest

from tests.support.bodies import chat, refusal

NOT_JSON = {
    "nothing": b"",
    "cut": chat()[:-1],
    "cut in a string": b'{"model":"sn',
    "trailing words": chat() + b" and more",
    "a second object": chat() + chat(),
    "a byte order mark": b"\xef\xbb\xbf" + chat(),
    "UTF-16": chat().decode().encode("utf-16"),
    "a zero byte": chat() + b"\0",
    "NaN": chat(temperature=float("nan")),
    "Infinity": chat(anything=float("inf")),
    "a leading zero": b'{"model":"m","seed":007}',
    "single quotes": b"{'model':'m'}",
    "a trailing comma": b'{"model":"m",}',
    "a comment": b'{"model":"m"/**/}',
    "a control character in a string": b'{"model":"m\n"}',
    "invalid UTF-8 in what we read": b'{"model":"\xff","messages":[{"role":"user","content":"x"}]}',
    "invalid UTF-8 in what we do not": chat()[:-1] + b',"anything":"\xff"}',
    "overlong UTF-8": chat()[:-1] + b',"anything":"\xc0\x80"}',
    "a surrogate in UTF-8": chat()[:-1] + b',"anything":"\xed\xa0\x80"}',
    "invalid UTF-8 in a name": chat()[:-1] + b',"\xff":1}',
    "half a surrogate pair": b'{"model":"m","messages":[{"role":"user","content":"\\ud83d and more"}]}',
    "half a pair in what we do not read": chat()[:-1] + b',"anything":"\\ud83d and more"}',
    "deep nesting in what we read": b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting in what we do not": chat()[:-1] + b',"anything":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects in what we do not": chat()[:-1] + b',"anything":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_told_without_a_param(body: bytes) -> None:
    told = refusal("chat", body)
    assert (told.param, told.code) == (None, "invalid_json")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"snowblind"', b"5", b"true", b"[" + b"1," * 9 + b"1]"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    told = refusal("chat", body)
    assert (told.param, told.code) == (None, "invalid_type")


@pytest.mark.parametrize(
    ("again", "name"),
    [
        (b'"model":"other"', "model"),
        (b'"messages":[]', "messages"),
        (b'"anything":1,"anything":1', "anything"),
        (rb'"mod\u0065l":"other"', "model"),
        (b'"x":1, "y":2 , "x" :3', "x"),
    ],
)
def test_a_name_given_twice_is_refused_and_named(again: bytes, name: str) -> None:
    told = refusal("chat", chat()[:-1] + b"," + again + b"}")
    assert (told.param, told.code) == (name, "duplicate_parameter")
    assert name in told.message


@pytest.mark.parametrize("members", range(12))
def test_a_name_given_twice_is_refused_however_the_spaces_and_the_names_add_up(members: int) -> None:
    more = b"".join(b',"k%d":1' % number for number in range(members))
    told = refusal("chat", b'{"model": "x","model":"y","messages":[]%b}' % more)
    assert (told.param, told.code) == ("model", "duplicate_parameter")


def test_a_long_name_given_twice_is_not_said_back_at_length() -> None:
    told = refusal("chat", b'{"%b":1,"%b":2}' % (b"x" * 10_000, b"x" * 10_000))
    assert told.param == "x" * 64
    assert len(told.message) < 200


def test_a_body_of_very_many_members_is_refused_before_they_are_all_read() -> None:
    body = b"{" + b",".join(b'"%d":1' % name for name in range(20_000)) + b" here the JSON is wrong, and nobody looks"
    assert refusal("chat", body).code == "object_above_max_properties"
