"""An answer as the official SDK hands it over, put together the same way from a document and from a stream's chunks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import openai


@dataclass(slots=True)
class Told:
    """By index of the choice: text, reason to end, tool calls as [name, arguments], log probabilities by token."""

    request_id: str
    texts: dict[int, str] = field(default_factory=lambda: defaultdict(str))
    reasons: dict[int, str] = field(default_factory=dict)
    calls: dict[int, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    logprobs: dict[int, list[tuple[str, float]]] = field(default_factory=lambda: defaultdict(list))
    usage: tuple[int, int] | None = None
    heads: set[tuple[str, str, str]] = field(default_factory=set)
    """Ids, objects and models that were told; of a good answer there is one."""


def chat(client: openai.OpenAI, *, stream: bool, **members: Any) -> Told:
    if not stream:
        raw = client.chat.completions.with_raw_response.create(**members)
        told, document = Told(raw.headers["x-request-id"]), raw.parse()
        _head(told, document)
        for choice in document.choices:
            _end(told, choice)
            told.texts[choice.index] += choice.message.content or ""
            _logprobs(told, choice, chat=True)
            for call in choice.message.tool_calls or ():
                told.calls[choice.index].append([call.function.name, call.function.arguments])
        return told
    members["stream_options"] = {"include_usage": True}
    raw = client.chat.completions.with_raw_response.create(**members, stream=True)
    told = Told(raw.headers["x-request-id"])
    begun: set[int] = set()
    for chunk in raw.parse():
        _head(told, chunk)
        for choice in chunk.choices:
            assert (choice.delta.role == "assistant") is (choice.index not in begun), "the role comes first, and once"
            begun.add(choice.index)
            _end(told, choice)
            told.texts[choice.index] += choice.delta.content or ""
            _logprobs(told, choice, chat=True)
            for call in choice.delta.tool_calls or ():
                _call(told.calls[choice.index], call)
    return told


def completion(client: openai.OpenAI, *, stream: bool, **members: Any) -> Told:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    raw = client.completions.with_raw_response.create(**members, **options)
    told, parsed = Told(raw.headers["x-request-id"]), raw.parse()
    for part in parsed if stream else [parsed]:
        _head(told, part)
        for choice in part.choices:
            _end(told, choice)
            told.texts[choice.index] += choice.text
            _logprobs(told, choice, chat=False)
    return told


def _head(told: Told, part: Any) -> None:
    told.heads.add((part.id, part.object, part.model))
    if part.usage is not None:
        assert told.usage is None, "usage comes once"
        told.usage = part.usage.prompt_tokens, part.usage.completion_tokens
        assert part.usage.total_tokens == sum(told.usage)


def _end(told: Told, choice: Any) -> None:
    assert choice.index not in told.reasons, "nothing comes after the reason"
    if choice.finish_reason is not None:
        told.reasons[choice.index] = choice.finish_reason


def _logprobs(told: Told, choice: Any, *, chat: bool) -> None:
    found = choice.logprobs
    if found is None:
        return
    pairs = (
        [(one.token, one.logprob) for one in found.content]
        if chat
        else list(zip(found.tokens, found.token_logprobs, strict=True))
    )
    told.logprobs[choice.index] += pairs


def _call(calls: list[list[str]], delta: Any) -> None:
    if delta.index == len(calls):
        assert delta.id
        calls.append([delta.function.name, ""])
    calls[delta.index][1] += delta.function.arguments or ""
