"""What is accepted, what is read from it, and what a model server gets to see."""

from __future__ import annotations

import json
from typing import Literal

import msgspec
import pytest

from engines.api import Kind
from gateway.prompt import Prompt, parse

CHAT = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]%b}'


def chat(members: bytes = b"") -> Prompt:
    return parse("chat", CHAT % (members and b"," + members))


def sent(
    prompt: Prompt, cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens", default: int = 100
) -> bytes:
    return msgspec.json.encode(prompt.upstream_fields("upstream", cap_field, default))


def test_the_smallest_chat_is_read() -> None:
    prompt = chat()
    assert (prompt.kind, prompt.model, prompt.stream, prompt.show_usage) == ("chat", "m", False, False)
    assert (prompt.max_tokens, prompt.n) == (None, 1)


def test_a_prompt_shows_no_content_when_printed() -> None:
    assert repr(chat()) == "<Prompt chat for m, 2 members>"


def test_the_upstream_gets_its_own_model_name_and_always_a_cap() -> None:
    assert sent(chat()) == b'{"model":"upstream","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}'


def test_what_is_not_ours_is_sent_on_byte_for_byte_in_its_place() -> None:
    theirs = (
        b'"z":1.0e-0,"a":123456789012345678901234567890,"f":[1.50,-0.0,1E400],"s":"\\u00e9\\/\xc3\xa9",'
        b'"o":{"b" : 1,"a":[ ]},"temperature":0.10,"":null'
    )
    prompt = parse("chat", b'{"first":true,' + CHAT[1:] % (b"," + theirs))
    assert sent(prompt) == (
        b'{"first":true,"model":"upstream","messages":[{"role":"user","content":"Hi"}],'
        + theirs
        + b',"max_tokens":100}'
    )


def test_encoding_for_one_upstream_leaves_the_prompt_as_it_was_for_the_next() -> None:
    prompt = chat(b'"max_completion_tokens":5,"stream":true')
    first = sent(prompt)
    sent(prompt, "max_completion_tokens", 9)
    assert sent(prompt) == first


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        (b'"max_tokens":7', 7),
        (b'"max_completion_tokens":7', 7),
        (b'"max_tokens":1,"max_completion_tokens":738', 738),
        (b'"max_tokens":738,"max_completion_tokens":1', 738),
        (b'"max_tokens":1,"n_predict":738', 738),
        (b'"max_tokens":null,"max_completion_tokens":null', None),
    ],
)
def test_p02_the_larger_of_several_caps_counts_and_only_that_one_is_sent(caps: bytes, expected: int | None) -> None:
    prompt = chat(caps)
    assert prompt.max_tokens == expected
    cap = 100 if expected is None else expected
    members = json.loads(sent(prompt, "max_completion_tokens"))
    assert members == {
        "model": "upstream",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": cap,
    }


def test_p02_the_answers_that_one_prompt_costs_are_the_larger_of_n_and_best_of() -> None:
    assert chat(b'"n":4').n == 4
    assert parse("completion", b'{"model":"m","prompt":"x","n":2,"best_of":5}').n == 5


@pytest.mark.parametrize(("batch", "prompts"), [('["x","y"]', 2), ("[[1,2,3],[4]]", 2), ("[1,2,3]", 1), ('["x"]', 1)])
def test_p02_each_prompt_of_a_batch_costs_its_answers(batch: str, prompts: int) -> None:
    asked = '{"model":"m","prompt":%s,"n":2,"best_of":5}' % batch  # noqa: UP031  # braces are JSON's
    assert parse("completion", asked.encode()).n == 5 * prompts


def test_a_completion_may_ask_for_no_token_at_all() -> None:
    prompt = parse("completion", b'{"model":"m","prompt":"x","echo":true,"max_tokens":0}')
    assert b'"max_tokens":0' in sent(prompt)


@pytest.mark.parametrize(
    ("options", "upstream", "shown"),
    [
        (b"", b'{"include_usage":true}', False),
        (b',"stream_options":null', b'{"include_usage":true}', False),
        (b',"stream_options":{}', b'{"include_usage":true}', False),
        (b',"stream_options":{"include_usage":null}', b'{"include_usage":true}', False),
        (b',"stream_options":{"include_usage":false}', b'{"include_usage":true}', False),
        (b',"stream_options":{"include_usage":true}', b'{"include_usage":true}', True),
        (b',"stream_options":{"every":1.0e-0,"include_usage":false}', b'{"every":1.0e-0,"include_usage":true}', False),
        (b',"stream_options":{"every" : 1.0e-0}', b'{"every":1.0e-0,"include_usage":true}', False),
        (b',"stream_options":{"every" : 1,"include_usage":true}', b'{"every" : 1,"include_usage":true}', True),
    ],
)
def test_p23_a_streams_usage_is_always_asked_for_and_shown_only_to_who_asked(
    options: bytes, upstream: bytes, *, shown: bool
) -> None:
    prompt = chat(b'"stream":true' + options)
    assert prompt.stream
    assert prompt.show_usage is shown
    assert bytes(prompt.upstream_fields("upstream", "max_tokens", 1)["stream_options"]) == upstream


def test_a_unary_request_gets_no_stream_options() -> None:
    assert b"stream_options" not in sent(chat(b'"stream":false'))


def test_an_embedding_gets_a_model_and_nothing_else() -> None:
    prompt = parse("embedding", b'{"input":["a","b"],"model":"m","dimensions":8,"truncate":1.50}')
    assert sent(prompt) == b'{"input":["a","b"],"model":"upstream","dimensions":8,"truncate":1.50}'
    assert (prompt.stream, prompt.max_tokens, prompt.n) == (False, None, 1)


def test_an_upstreams_name_is_encoded_as_json() -> None:
    fields = chat().upstream_fields('a "b" \\ é', "max_tokens", 1)
    assert json.loads(msgspec.json.encode(fields))["model"] == 'a "b" \\ é'


ACCEPTED: list[bytes] = [
    b'{"role":"system","content":""},{"role":"user","content":"x","name":null}',
    b'{"role":"developer","content":[{"type":"text","text":"x"}]},{"role":"user","content":"x","extra":{"a":1}}',
    b'{"content":"the role may come last","role":"user"}',
    (
        b'{"role":"user","content":[{"type":"text","text":"x","cache_control":{}},'
        b'{"type":"image_url","image_url":{"url":"data:,","detail":"low"}},'
        b'{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"file","file":{"file_id":"1"}}]}'
    ),
    b'{"role":"user","content":[{"type":"video_url","video_url":{"url":"http://x"}},{"type":"audio_url"}]}',
    b'{"role":"assistant","content":"x","tool_calls":[]},{"role":"assistant","content":"","refusal":null}',
    b'{"role":"assistant","content":null,"refusal":"no"},{"role":"assistant","content":[{"type":"refusal","refusal":""}]}',
    (
        b'{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":""}}]},'
        b'{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"x"}]}'
    ),
    b'{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"custom","custom":{"name":"c","input":""}}]}',
    (
        b'{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},'
        b'{"role":"function","name":"f","content":null}'
    ),
    b'{"role":"assistant","audio":{"id":"a"}},{"role":"assistant","content":null,"reasoning_content":"x"}',
    b'{"role":"us\\u0065r","content":"\\ud83c\\udfd4 \xe9\x9b\xaa"}',
]


@pytest.mark.parametrize("messages", ACCEPTED, ids=[f"conversation {n}" for n in range(len(ACCEPTED))])
def test_conversations_that_clients_really_send_are_accepted(messages: bytes) -> None:
    prompt = parse("chat", b'{"model":"m","messages":[%b]}' % messages)
    assert bytes(prompt.fields["messages"]) == b"[" + messages + b"]"


OPTIONAL = (
    b"stream stream_options n stop temperature top_p min_p top_k presence_penalty frequency_penalty min_tokens seed "
    b"repetition_penalty logit_bias response_format user max_tokens max_completion_tokens n_predict logprobs "
    b"top_logprobs tools tool_choice parallel_tool_calls functions function_call anything"
).split()


def test_null_counts_as_absent_for_every_optional_member() -> None:
    prompt = chat(b",".join(b'"%b":null' % name for name in OPTIONAL))
    assert (prompt.stream, prompt.show_usage, prompt.max_tokens, prompt.n) == (False, False, None, 1)


@pytest.mark.parametrize(
    "members",
    [
        b'"temperature":0,"top_p":1,"top_k":-1,"min_p":0.0,"presence_penalty":-2,"frequency_penalty":2',
        b'"stop":"x"',
        b'"stop":[]',
        b'"stop":["a","b","c","d"]',
        b'"logprobs":true,"top_logprobs":20',
        b'"top_logprobs":0',
        b'"logit_bias":{"50256":-100,"0":100.0}',
        b'"tools":[]',
        b'"tool_choice":"auto"',
        b'"tool_choice":"none"',
        b'"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required"',
        (
            b'"tools":[{"type":"function","function":{"name":"f"}}],'
            b'"tool_choice":{"type":"function","function":{"name":"f"}}'
        ),
        b'"tools":[{"type":"custom","custom":{"name":"c"}}],"tool_choice":{"type":"custom","custom":{"name":"c"}}',
        b'"functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"}',
        b'"response_format":{"type":"json_object"}',
        b'"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{},"strict":true}}',
        b'"response_format":{"type":"structural_tag","structures":[]}',
        b'"seed":-9223372036854775808,"user":"u","metadata":{"a":"b"},"store":true',
    ],
)
def test_members_within_their_ranges_are_accepted_and_sent_on(members: bytes) -> None:
    assert members in sent(chat(members))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("completion", b'{"model":"m","prompt":%b}'),
        ("embedding", b'{"model":"m","input":%b}'),
    ],
)
@pytest.mark.parametrize("batch", [b'"x"', b'["x","y"]', b"[1,2,3]", b"[[1],[2,3]]", b"[" + b"7," * 4000 + b"7]"])
def test_texts_and_tokens_are_accepted_alone_and_in_batches(kind: Kind, body: bytes, batch: bytes) -> None:
    assert batch in map(bytes, parse(kind, body % batch).fields.values())


@pytest.mark.parametrize(
    ("member", "user"),
    [
        (b"", b""),
        (b'"user":null', b""),
        (b'"user":""', b""),
        (b'"user":"\\u0061"', b"a"),
        (b'"user":"\xc3\xa4"', b"\xc3\xa4"),
    ],
)
def test_a_user_is_the_same_however_it_is_spelled(member: bytes, user: bytes) -> None:
    assert chat(member).user == user
