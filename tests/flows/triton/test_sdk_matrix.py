"""The official SDK against every kind of model on a real Triton: a right answer, or a refusal that names its reason.

What each kind refuses is what the golden table says (`tests/golden/triton.yaml`): then the model hears nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import openai
import pytest

from engines.text.tokens import Tokenizer
from loadtests.triton import Entry
from tests.support.sdk_answers import Told, chat, completion
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_stand import GENERATES, TRANSPORTS, Journal, TritonStand

SCRIPTED = ("llmapi", "ensemble", "bls", "generic")
LEGACY = ("ensemble", "bls")
EIGHT = "The quick brown fox jumps over the lazy"
ANSWER = '{"name":"Ötzi","age":5300}'
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
IMAGE = "data:image/png;base64,AA"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}}}
CALL = '{"name": "weather", "%s": {"city": "Genève"}}'


def says(text: str) -> str:
    """What makes the scripted models say this."""
    return f"@@says={text.encode().hex()}@@"


@dataclass(frozen=True)
class Case:
    """`refused`: what the models that can't do it name, by model. `sent`: inputs that reach the others, by model."""

    members: dict[str, Any]
    texts: tuple[str, ...] = (EIGHT,)
    reason: str = "length"
    calls: int = 0
    logprobs: bool = False
    prompt: str = "Say it."
    completion: bool | None = None
    """Whether it is for completions only, or for chats only; None: for both."""
    refused: Mapping[str, str] = field(default_factory=dict)
    sent: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict)


def _refused(param: str, *models: str) -> Mapping[str, str]:
    return dict.fromkeys(models, param)


def _legacy(sent: Mapping[str, list[Any]]) -> Mapping[str, Mapping[str, list[Any]]]:
    return dict.fromkeys(LEGACY, sent)


CASES: dict[str, Case] = {
    "plain": Case({}),
    "fewer than max_tokens": Case({"max_tokens": 40}, (EIGHT,), "stop", prompt="@@tokens=8@@"),
    "n": Case({"n": 3}, (EIGHT,) * 3),
    "several prompts": Case({"prompt": ["One.", "Two more."], "n": 2}, (EIGHT,) * 4, completion=True),
    "stop": Case({"stop": ["x jumps o", "never"], "max_tokens": 30}, ("The quick brown fo",), "stop"),
    "logprobs": Case(
        {"logprobs": True}, logprobs=True, completion=False, refused=_refused("logprobs", "llmapi", "generic")
    ),
    "logprobs of completions": Case(
        {"logprobs": 0}, logprobs=True, completion=True, refused=_refused("logprobs", "llmapi", "generic")
    ),
    "top_logprobs": Case(
        {"logprobs": True, "top_logprobs": 2}, completion=False, refused=_refused("top_logprobs", *SCRIPTED)
    ),
    "tools": Case(
        {"tools": [TOOL], "max_tokens": 99}, ("",), "tool_calls", calls=1, completion=False,
        prompt=says(f"<tool_call>{CALL % 'arguments'}</tool_call>"),
    ),
    "tools that are not called": Case({"tools": [TOOL]}, completion=False),
    "a forced tool": Case(
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_tokens": 99},
        ("",), "tool_calls", calls=1, completion=False, prompt=says(CALL % "parameters"),
        refused=_refused("tool_choice", "llmapi", "generic"),
        sent=_legacy({"guided_decoding_guide_type": ["json_schema"]}),
    ),
    "json_schema": Case(
        {"extra_body": {"response_format": SCHEMA}, "max_tokens": 99}, (ANSWER,), "stop",
        prompt=says(ANSWER), refused=_refused("response_format", "llmapi", "generic"),
        sent=_legacy(
            {"guided_decoding_guide_type": ["json_schema"], "guided_decoding_guide": ['{"type":"object"}']}
        ),
    ),
    "seed": Case(
        {"seed": 42}, refused=_refused("seed", "generic"),
        sent={"llmapi": {"sampling_param_seed": [42]}, **_legacy({"seed": [42]})},
    ),
    "temperature": Case(
        {"temperature": 0.5},
        sent={"llmapi": {"sampling_param_temperature": [0.5]}, "generic": {"HEAT": [0.5]},
              **_legacy({"temperature": [0.5]})},
    ),
    "top_p": Case({"top_p": 0.5}, refused=_refused("top_p", "generic")),
    "bad_words": Case(
        {"extra_body": {"bad_words": ["quick"]}}, ("The brown fox jumps over the lazy dog",),
        refused=_refused("bad_words", "llmapi", "generic"),
    ),
    "logit_bias": Case({"logit_bias": {"5": 1}}, refused=_refused("logit_bias", *SCRIPTED)),
    "an image": Case(
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}]},
        completion=False,
        refused={**_refused("messages[0].content[0]", "ensemble", "generic"),  # the model has no place for it
                 **_refused("messages", "llmapi", "bls")},  # nor has the chat template
    ),
}  # fmt: skip


class Question(NamedTuple):
    case: Case
    model: str
    chat: bool
    stream: bool


QUESTIONS = [
    pytest.param(
        Question(case, model, chat, stream),
        id=f"{name} {'chat' if chat else 'completion'} {model} {'stream' if stream else 'unary'}".replace(" ", "-"),
    )
    for name, case in CASES.items()
    for model in SCRIPTED
    for chat in (True, False)
    if case.completion is not chat
    for stream in (True, False)
]


def ask(stand: TritonStand, question: Question) -> Told:
    case = question.case
    members: dict[str, Any] = {"model": question.model, "max_tokens": 8, **case.members}
    if question.chat:
        members.setdefault("messages", [{"role": "user", "content": case.prompt}])
    else:
        members.setdefault("prompt", case.prompt)
    return (chat if question.chat else completion)(stand.sdk(), stream=question.stream, **members)


@pytest.mark.parametrize("transport", TRANSPORTS[-1:], indirect=True)  # which is nothing to what is asked
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_sdk_is_answered_rightly_or_refused_by_name(
    stand: TritonStand, journal: Journal, tokenizer: Tokenizer, question: Question
) -> None:
    if (param := question.case.refused.get(question.model)) is None:
        told = ask(stand, question)
        check_told(question, told)
        check_sent(question, told, journal.asked(), tokenizer)
        return
    with pytest.raises(openai.BadRequestError) as caught:
        ask(stand, question)
    assert caught.value.param == param
    assert caught.value.code in ("unsupported_parameter", "invalid_value")
    ask(stand, question._replace(case=CASES["plain"]))
    assert len(journal.asked()) == 1, "the model heard of the good one only"


def check_told(question: Question, told: Told) -> None:
    case = question.case
    object_ = "chat.completion" if question.chat else "text_completion"
    assert told.texts == dict(enumerate(case.texts))
    assert told.reasons == dict.fromkeys(range(len(case.texts)), case.reason)
    ((identity, kind_told, name),) = told.heads
    assert identity == f"{'chatcmpl' if question.chat else 'cmpl'}-{told.request_id}"
    assert kind_told == (f"{object_}.chunk" if question.chat and question.stream else object_)
    assert name == question.model
    assert sum(map(len, told.calls.values())) == case.calls
    for tool, arguments in told.calls[0]:
        assert (tool, json.loads(arguments)) == ("weather", {"city": "Genève"})
    assert bool(told.logprobs) is case.logprobs
    if case.logprobs:
        assert "".join(token for token, _ in told.logprobs[0]) == EIGHT
        assert [one for _, one in told.logprobs[0]] == [-0.5] * 8


def check_sent(question: Question, told: Told, asked: list[Entry], tokenizer: Tokenizer) -> None:
    case, model = question.case, question.model
    assert [one.model for one in asked] == [GENERATES.get(model, model)] * len(case.texts)
    for name, value in case.sent.get(model, {}).items():
        assert asked[0].inputs[name] == value
    assert told.usage is not None
    prompts = [prompt_tokens(tokenizer, one.inputs) for one in asked]
    assert told.usage[0] == sum(prompts) // case.members.get("n", 1)
    if case.reason == "length":
        assert told.usage[1] == 8 * len(case.texts)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """That of the scripted models."""
    return Tokenizer.load(write_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def prompt_tokens(tokenizer: Tokenizer, inputs: Mapping[str, list[Any]]) -> int:
    """What the server was sent: a text, that we count, or ids themselves."""
    if "input_ids" in inputs:
        return len(inputs["input_ids"])
    text: str = inputs.get("text_input", inputs.get("PROMPT", []))[0]
    return tokenizer.count(text)
