"""A request as a text model sees it: what is read, what passes as nothing, and what is refused under which name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engines.api import Kind, Rejected
from engines.text.asked import MAX_WORDS, Asked, Image, read
from engines.text.guides import Guide
from engines.text.members import MAX_CHOICES, MAX_MEMBER
from tests.support.golden_table import call

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALLS_F = {"type": "function", "function": {"name": "f"}}
FORCED = (
    '{"type":"object","properties":{"name":{"type":"string","enum":["%s"]},"parameters":%s},'
    '"required":["name","parameters"]}'
)


def asked(kind: Kind = "chat", **members: Any) -> Asked:
    return read(call(kind, **members))


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def format_of(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}


def test_what_is_not_asked_for_is_absent() -> None:
    plain = asked()
    assert plain == Asked(kind="chat", messages=user("hi"), max_tokens=16)


NEUTRAL: list[tuple[Kind, dict[str, Any]]] = [
    ("chat", {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "min_tokens": 0}),
    ("chat", {"top_k": -1, "min_p": 0, "logit_bias": {}, "stop": [], "bad_words": []}),
    ("chat", {"response_format": {"type": "text"}, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}),
    ("chat", {"logprobs": False, "top_logprobs": 0, "functions": [], "function_call": "none", "best_of": 1}),
    ("chat", {"modalities": ["text"], "priority": 0, "chat_template_kwargs": {}, "echo": False, "suffix": ""}),
    ("chat", {"user": "u", "metadata": {}, "store": True, "service_tier": "flex", "prompt_cache_key": "k"}),
    ("chat", {"structured_outputs": {"json_object": False}, "guided_json": None, "unheard_of": None}),
    ("completion", {"best_of": 1, "echo": False, "suffix": "", "logprobs": None, "temperature": None}),
]


@pytest.mark.parametrize(("kind", "members"), NEUTRAL, ids=lambda value: "-".join(value)[:80])
def test_a_value_by_which_nothing_is_asked_passes_as_nothing(kind: Kind, members: dict[str, Any]) -> None:
    assert asked(kind, **members) == asked(kind)


REFUSED: list[tuple[Kind, dict[str, Any], str, str]] = [
    ("chat", {"temperature": 2.5}, "temperature", "invalid_value"),
    ("chat", {"top_k": 1.5}, "top_k", "invalid_value"),
    ("chat", {"max_tokens": 2**31}, "max_tokens", "invalid_value"),
    ("chat", {"max_tokens": 0}, "max_tokens", "invalid_value"),
    ("chat", {"max_completion_tokens": 0, "max_tokens": None}, "max_completion_tokens", "invalid_value"),
    ("chat", {"min_tokens": 17}, "min_tokens", "invalid_value"),
    ("chat", {"stop": ["a", ""]}, "stop", "invalid_value"),
    ("chat", {"stop": ["a"] * (MAX_WORDS + 1)}, "stop", "invalid_value"),
    ("chat", {"stop": ["a\0"]}, "stop", "invalid_value"),
    ("chat", {"bad_words": [""]}, "bad_words", "invalid_value"),
    ("chat", {"messages": []}, "messages", "invalid_value"),
    ("chat", {"messages": user("\0")}, "messages", "invalid_value"),
    ("chat", {"messages": user([{"type": "text", "text": "a"}, {"type": "file"}])}, "messages[0].content[1]",
     "unsupported_parameter"),
    ("chat", {"messages": user([{"type": "text"}])}, "messages[0].content[0].text", "invalid_value"),
    ("chat", {"messages": user([1])}, "messages[0].content[0]", "invalid_value"),
    ("chat", {"messages": user(1)}, "messages[0].content", "invalid_value"),
    ("chat", {"messages": [{"content": "x"}]}, "messages[0].role", "invalid_value"),
    ("chat", {"messages": [{**user("x")[0], "tool_calls": 5}]}, "messages[0].tool_calls", "invalid_value"),
    ("chat", {"messages": [*user("x"), {**user("x")[0], "tool_calls": ["x"]}]}, "messages[1].tool_calls",
     "invalid_value"),
    ("chat", {"messages": user([{"type": "image_url", "image_url": {}}])}, "messages[0].content[0].image_url.url",
     "invalid_value"),
    ("chat", {"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
    ("chat", {"function_call": {"name": "f"}}, "function_call", "unsupported_parameter"),
    ("chat", {"tools": [{"type": "web"}]}, "tools[0]", "unsupported_parameter"),
    ("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0]", "unsupported_parameter"),
    ("chat", {"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ("chat", {"tools": [FUNCTION], "tool_choice": "sometimes"}, "tool_choice", "invalid_value"),
    ("chat", {"tools": [FUNCTION], "tool_choice": {"type": "function"}}, "tool_choice", "invalid_value"),
    ("chat", {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice",
     "invalid_value"),
    ("chat", {"tools": [FUNCTION], "tool_choice": CALLS_F, "guided_regex": "a"}, "tool_choice", "invalid_value"),
    ("chat", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": 1}}}],
              "tool_choice": "required"}, "tools[0].function.parameters.type", "invalid_value"),
    ("chat", {"response_format": {"type": "xml"}}, "response_format.type", "unsupported_parameter"),
    ("chat", {"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
    ("chat", {"response_format": format_of([])}, "response_format.json_schema.schema", "invalid_value"),
    ("chat", {"response_format": format_of({"properties": {"a": {"type": "txt"}}})},
     "response_format.json_schema.schema.properties.a.type", "invalid_value"),
    ("chat", {"guided_json": "{"}, "guided_json", "invalid_value"),
    ("chat", {"guided_json": "[1]"}, "guided_json", "invalid_value"),
    ("chat", {"guided_regex": ""}, "guided_regex", "invalid_value"),
    ("chat", {"guided_choice": []}, "guided_choice", "invalid_value"),
    ("chat", {"guided_regex": "a", "guided_json": {}}, "guided_regex", "invalid_value"),
    ("chat", {"structured_outputs": {"structural_tag": "x"}}, "structured_outputs", "invalid_value"),
    ("chat", {"structured_outputs": {"x" * 10_000: 1}}, "structured_outputs", "invalid_value"),
    ("chat", {"guided_json": {"properties": {"x" * 10_000: 1}}}, "guided_json.properties." + "x" * 177,
     "invalid_value"),
    ("chat", {"guided_json": {"enum": ["x" * MAX_MEMBER]}}, "guided_json", "invalid_value"),
    ("chat", {"stop": ["x"] * MAX_MEMBER}, "stop", "invalid_value"),
    ("chat", {"guided_choice": ["x"] * (MAX_CHOICES + 1)}, "guided_choice", "invalid_value"),
    ("chat", {"priority": False}, "priority", "unsupported_parameter"),
    ("chat", {"reasoning_effort": "low"}, "reasoning_effort", "unsupported_parameter"),
    ("chat", {"x" * 99: 1}, "x" * 64, "unsupported_parameter"),
    ("chat", {"prompt": "x"}, "prompt", "unsupported_parameter"),
    ("completion", {"prompt": [[1]]}, "prompt", "unsupported_parameter"),
    ("completion", {"prompt": []}, "prompt", "invalid_value"),
    ("completion", {"prompt": None}, "prompt", "invalid_value"),
    ("completion", {"best_of": 1, "n": 2}, "best_of", "invalid_value"),
    ("completion", {"suffix": "x"}, "suffix", "unsupported_parameter"),
    ("completion", {"tools": [FUNCTION]}, "tools", "unsupported_parameter"),
    ("embedding", {"input": [1]}, "input", "unsupported_parameter"),
    ("embedding", {"input": "a\0"}, "input", "invalid_value"),
    ("embedding", {"max_tokens": 1}, "max_tokens", "unsupported_parameter"),
    ("embedding", {"encoding_format": "hex"}, "encoding_format", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "members", "param", "code"), REFUSED, ids=lambda value: str(value)[:160])
def test_what_no_text_model_can_do_is_refused_by_name(
    kind: Kind, members: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        asked(kind, **members)
    assert (refused.value.param, refused.value.code) == (param, code)
    assert len(refused.value.message) < 600


def test_a_missing_member_is_named() -> None:
    bare = call("chat")
    del bare.fields["messages"]
    with pytest.raises(Rejected) as refused:
        read(bare)
    assert (refused.value.param, refused.value.code) == ("messages", "missing_required_parameter")


def test_what_is_said_may_be_long() -> None:
    long = "x" * 2 * MAX_MEMBER
    assert asked(messages=user(long), metadata={"a": long}).messages == user(long)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert asked(stop="\\u0000").stops == ("\\u0000",)


def test_sampling_is_read_as_it_is() -> None:
    got = asked(temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, seed=-1, n=2, stop="x", logit_bias={"7": -1})
    assert (got.temperature, got.top_p, got.top_k, got.min_p) == (0.5, 0.9, 3, 0.1)
    assert (got.seed, got.n, got.stops, got.logit_bias) == (2**64 - 1, 2, ("x",), {7: -1})


def test_either_cap_counts() -> None:
    assert asked(max_tokens=None, max_completion_tokens=9).max_tokens == 9


def test_texts_in_parts_become_one_and_the_newer_role_the_older() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    got = asked(messages=[{"role": "developer", "content": "s"}, *user(parts)])
    assert got.messages == [{"role": "system", "content": "s"}, *user("a\nb")]


def test_images_are_found_and_stay_where_they_are() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]
    got = asked(messages=user(parts))
    assert got.images == (Image("https://a/b.png", "messages[0].content[1]"),)
    assert got.messages == user(parts)


def test_a_completion_is_texts() -> None:
    got = asked("completion", prompt=["a", "b"], echo=True, logprobs=0, best_of=3)
    assert (got.prompts, got.echo, got.logprobs, got.top_logprobs, got.best_of) == (["a", "b"], True, True, 0, 3)


def test_an_embedding_is_texts() -> None:
    got = asked("embedding", input=["a", "b"], encoding_format="base64", dimensions=3)
    assert (got.prompts, got.base64, got.dimensions) == (["a", "b"], True, 3)


GUIDES: list[tuple[dict[str, Any], Guide]] = [
    ({"response_format": {"type": "json_object"}}, Guide("json", "", "response_format")),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}}, Guide("json", "", "response_format")),
    ({"response_format": format_of({"type": "object"})}, Guide("json_schema", '{"type":"object"}', "response_format")),
    ({"guided_json": '{"type": "null"}'}, Guide("json_schema", '{"type":"null"}', "guided_json")),
    ({"structured_outputs": {"json_object": True}}, Guide("json", "", "structured_outputs.json_object")),
    ({"structured_outputs": {"choice": ["a b", "c."]}}, Guide("regex", r"(a b|c\.)", "structured_outputs.choice")),
    ({"structured_outputs": {"grammar": "g"}}, Guide("ebnf_grammar", "g", "structured_outputs.grammar")),
    ({"guided_regex": "a+"}, Guide("regex", "a+", "guided_regex")),
]


@pytest.mark.parametrize(("members", "guide"), GUIDES, ids=lambda value: str(value)[:160])
def test_a_form_is_one_guide_whatever_it_is_called(members: dict[str, Any], guide: Guide) -> None:
    assert asked(**members).guide == guide


def test_a_forced_call_is_a_guide_over_the_tools_it_may_be_of() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    named = asked(tools=[FUNCTION, other], tool_choice=CALLS_F)
    assert named.guide is not None
    assert named.forced
    assert named.guide.text == FORCED % ("f", '{"type":"object"}')
    any_of = asked(tools=[FUNCTION, other], tool_choice="required").guide
    assert any_of is not None
    empty = '{"type":"object","properties":{}}'
    assert any_of.text == f'{{"anyOf":[{named.guide.text},{FORCED % ("g", empty)}]}}'


@pytest.mark.parametrize("member", ["priority", "messages", "guided_json", "metadata", "tools", "chat_template_kwargs"])
@pytest.mark.parametrize("depth", [200, 900, 950, 980, 2000, 50_000])
def test_no_depth_is_too_deep_to_be_refused(member: str, depth: int) -> None:
    deep = b"[" * depth + b'"\\u0000"' + b"]" * depth
    within = {"messages": b'[{"role":"user","content":"","x":%b}]', "guided_json": b'{"default":%b}'}
    asked_deeply = call("chat", **{member: 0})
    asked_deeply.fields[member] = msgspec.Raw(within.get(member, b"%b") % deep)
    with pytest.raises(Rejected):
        read(asked_deeply)


@pytest.mark.parametrize("depth", range(900, 1000, 7))
def test_a_schema_that_can_be_read_can_be_written_or_is_refused(depth: int) -> None:
    asked_deeply = call("chat", guided_json=0)
    asked_deeply.fields["guided_json"] = msgspec.Raw(b'{"default":%b}' % (b"[" * depth + b"]" * depth))
    try:
        text = getattr(read(asked_deeply).guide, "text", "")
    except Rejected as refused:
        text = refused.message
    assert text.count("[") == depth or "nested too deeply" in text


def test_the_tools_that_a_forced_call_chooses_from_are_bounded_together() -> None:
    wide = [{"type": "function", "function": {"name": f"f{at}", "parameters": {"anyOf": [{}] * 3000}}} for at in (0, 1)]
    assert asked(tools=wide, tool_choice={"type": "function", "function": {"name": "f1"}}).forced
    with pytest.raises(Rejected) as refused:
        asked(tools=wide, tool_choice="required")
    assert refused.value.param == "tools[1].function.parameters"
