"""What the embedded engine refuses, what it lets pass, what it adds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engines.api import Kind, Rejected
from engines.embedded.rules import Defaults, translate

DEFAULTS = Defaults(system="Be kind.", temperature=0.2, top_p=0.9, repeat_penalty=1.1)
USER = {"role": "user", "content": "hi"}


def translated(kind: Kind = "chat", defaults: Defaults = DEFAULTS, **members: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"messages": [USER]} if kind == "chat" else {"prompt": "hi"}
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in (base | members).items()}
    return {name: msgspec.json.decode(raw) for name, raw in translate(kind, fields, defaults).items()}


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
REFUSED: list[tuple[Kind, dict[str, Any], str]] = [
    ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ("chat", {"functions": [{"name": "f"}]}, "functions"),
    ("chat", {"tool_choice": "required"}, "tool_choice"),
    ("chat", {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ("chat", {"function_call": {"name": "f"}}, "function_call"),
    ("chat", {"n": 2}, "n"),
    ("chat", {"modalities": ["text", "audio"]}, "modalities"),
    ("chat", {"audio": {"voice": "x", "format": "wav"}}, "audio"),
    ("chat", {"reasoning_effort": "high"}, "reasoning_effort"),
    ("chat", {"min_tokens": 5}, "min_tokens"),
    ("chat", {"grammar": 'root ::= "a"'}, "grammar"),
    ("chat", {"n_predict": 100_000}, "n_predict"),
    ("chat", {"messages": user([{"type": "text", "text": "see"}, IMAGE])}, "messages[0].content[1]"),
    ("chat", {"messages": user([{"type": "input_audio", "input_audio": {}}])}, "messages[0].content[0]"),
    ("chat", {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "messages[1]"),
    ("chat", {"messages": [USER, {"role": "tool", "content": "4", "tool_call_id": "1"}]}, "messages[1]"),
    ("chat", {"messages": [{"content": "no role"}]}, "messages"),
    ("chat", {"messages": "hi"}, "messages"),
    ("chat", {"messages": []}, "messages"),
    ("completion", {"n": 3}, "n"),
    ("completion", {"best_of": 2}, "best_of"),
    ("completion", {"echo": True}, "echo"),
    ("completion", {"suffix": "end"}, "suffix"),
    ("completion", {"logprobs": 0}, "logprobs"),
    ("completion", {"response_format": {"type": "json_object"}}, "response_format"),
    ("completion", {"prompt": ["a", "b"]}, "prompt"),
    ("completion", {"prompt": [[1], [2]]}, "prompt"),
    ("completion", {"prompt": []}, "prompt"),
    ("completion", {"prompt": [1, True]}, "prompt"),
    ("completion", {"prompt": {"a": 1}}, "prompt"),
    ("embedding", {"input": "a"}, "model"),
]


@pytest.mark.parametrize(
    ("kind", "members", "param"), REFUSED, ids=[f"{k}-{n}-{p}" for n, (k, _, p) in enumerate(REFUSED)]
)
def test_what_can_not_be_honoured_is_refused_by_name(kind: Kind, members: dict[str, Any], param: str) -> None:
    with pytest.raises(Rejected) as refused:
        translated(kind, **members)
    assert refused.value.param == param
    assert refused.value.code in ("unsupported_parameter", "unsupported_endpoint", "invalid_type", "invalid_value")
    assert refused.value.kind == "invalid"


NEUTRAL: list[tuple[Kind, dict[str, Any]]] = [
    ("chat", {"tools": [], "tool_choice": "none", "parallel_tool_calls": True}),
    ("chat", {"functions": [], "function_call": "auto", "tool_choice": "auto"}),
    ("chat", {"n": 1, "modalities": ["text"], "min_tokens": 0, "priority": 0}),
    ("chat", {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"}),
    ("chat", {"tools": None, "audio": None, "n": None, "grammar": None, "response_format": None}),
    ("completion", {"best_of": 1, "echo": False, "suffix": "", "logprobs": None, "n": 1}),
    ("completion", {"response_format": {"type": "text"}}),
]


@pytest.mark.parametrize(("kind", "members"), NEUTRAL, ids=range(len(NEUTRAL)))
def test_values_that_ask_for_nothing_are_accepted_and_end_here(kind: Kind, members: dict[str, Any]) -> None:
    assert translated(kind, **members) == translated(kind)


def test_what_the_child_honours_passes_as_it_is() -> None:
    members: dict[str, Any] = {
        "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.1, "presence_penalty": 1, "frequency_penalty": 0.5,
        "logit_bias": {"504": -100}, "seed": 7, "stop": ["a"], "logprobs": True, "top_logprobs": 2, "max_tokens": 9,
        "response_format": {"type": "json_object"}, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert translated(**members).items() >= members.items()


def test_another_name_of_the_repeat_penalty_is_understood() -> None:
    found = translated(repetition_penalty=1.3)
    assert found["repeat_penalty"] == 1.3
    assert "repetition_penalty" not in found


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_sampling_defaults_stand_where_the_caller_gives_none(kind: Kind) -> None:
    found = translated(kind, temperature=None, top_p=0.4)
    assert (found["temperature"], found["top_p"], found["repeat_penalty"]) == (0.2, 0.4, 1.1)


def test_a_system_message_is_added_only_where_the_caller_sends_none() -> None:
    system = {"role": "system", "content": "Be kind."}
    theirs = {"role": "system", "content": ""}
    assert translated()["messages"] == [system, USER]
    assert translated(messages=[theirs, USER])["messages"] == [theirs, USER]
    assert translated(messages=[{"role": "developer", "content": "x"}, USER])["messages"][0] == {
        "role": "system",
        "content": "x",
    }
    assert translated(defaults=Defaults("", 0.2, 0.9, 1.1))["messages"] == [USER]


def test_text_parts_pass_and_an_absent_content_is_empty() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = translated(messages=[*user(parts), {"role": "assistant", "content": None}, USER])["messages"]
    assert found[1:] == [{"role": "user", "content": parts}, {"role": "assistant", "content": ""}, USER]


@pytest.mark.parametrize(
    ("prompt", "sent"), [("a", "a"), (["a"], "a"), ([1, 2], [1, 2]), ([[1, 2]], [1, 2]), ([7], [7]), ("", "")]
)
def test_one_prompt_is_taken_in_each_of_its_forms(prompt: Any, sent: Any) -> None:
    assert translated("completion", prompt=prompt)["prompt"] == sent
