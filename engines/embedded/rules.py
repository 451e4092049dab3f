"""What the embedded model is asked, and what it is not: refuses what it can't honour, and adds its own defaults.

llama.cpp takes no notice of members that it does not know, and of some that it does (tools, where the model's template
has none; `echo`, `best_of`, `suffix`). A caller must not take that for an answer, so what may pass is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engines.api import Kind, Rejected
from engines.text import members
from engines.text.members import unsupported

Fields = dict[str, msgspec.Raw]

_SAMPLING = {
    "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "logit_bias",
    "seed", "stop",
}  # fmt: skip
_ENVELOPE = {"model", "max_tokens", "max_completion_tokens", "stream", "stream_options"}
HONOURED: Mapping[Kind, frozenset[str]] = {
    "chat": frozenset(_SAMPLING | _ENVELOPE | {"messages", "logprobs", "top_logprobs", "response_format"}),
    "completion": frozenset(_SAMPLING | _ENVELOPE | {"prompt"}),
}
"""Members that the child does something with, each tried."""

ADVISORY = members.ADVISORY | {"parallel_tool_calls"}
"""Members that ask for nothing in the answer. They end here."""

NEUTRAL: Mapping[str, Callable[[Any], bool]] = {
    **members.NEUTRAL,
    "n": lambda value: value == 1,  # more would take slots that are not counted, and llama.cpp's usage leaves them out
    "logprobs": lambda value: value is False,  # of a completion: llama.cpp's answer is not OpenAI's; chat's is
    "response_format": lambda value: value == {"type": "text"},  # of a completion
    "tools": lambda value: value == [],
    "tool_choice": lambda value: value in ("none", "auto"),
    "min_tokens": lambda value: value == 0,
}
"""Members that can't be honoured, and the values (besides null) by which nothing is asked. They end here too."""


_ASKED_OF_THE_CHILD = {
    "stream": msgspec.Raw(b"true"),
    "stream_options": msgspec.Raw(b'{"include_usage":true}'),
    "return_progress": msgspec.Raw(b"true"),
}
"""Always: see `engines.embedded.unary` and `engines.embedded.reply`."""


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: Any = None
    function_call: Any = None


class Defaults(msgspec.Struct, frozen=True):
    """What is sampled with, and said first, where the caller says nothing."""

    system: str
    temperature: float
    top_p: float
    repeat_penalty: float


def translate(kind: Kind, fields: Fields, defaults: Defaults) -> Fields:
    """The members for the child. Raises Rejected naming the member that can't be honoured."""
    if kind == "embedding":
        raise Rejected("This model does not make embeddings.", param="model", code="unsupported_endpoint")
    asked = {_own_name(name): raw for name, raw in fields.items() if bytes(raw) != b"null"}
    out = {name: raw for name, raw in asked.items() if _passes(kind, name, raw)} | _ASKED_OF_THE_CHILD
    for name in ("temperature", "top_p", "repeat_penalty"):
        out.setdefault(name, _raw(getattr(defaults, name)))
    if kind == "chat":
        out["messages"] = _raw(_messages(out.get("messages"), defaults.system))
    else:
        out["prompt"] = _one_prompt(out.get("prompt"))
    return out


def _own_name(name: str) -> str:
    return "repeat_penalty" if name == "repetition_penalty" else name  # vLLM's name for it


def _passes(kind: Kind, name: str, raw: msgspec.Raw) -> bool:
    if name in HONOURED[kind]:
        return True
    if name in ADVISORY or (name in NEUTRAL and NEUTRAL[name](msgspec.json.decode(raw))):
        return False
    raise unsupported(name)


def _messages(raw: msgspec.Raw | None, system: str) -> list[dict[str, Any]]:
    """Role and text of each message, the system message first; `developer` is the newer name of its role."""
    try:
        messages = msgspec.json.decode(raw or b"null", type=list[_Message])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected(f"Invalid 'messages': {error}.", param="messages", code="invalid_type") from None
    if not messages:
        raise Rejected("Invalid 'messages': there are none.", param="messages", code="invalid_value")
    out = [_plain(message, f"messages[{place}]") for place, message in enumerate(messages)]
    if system and out[0]["role"] != "system":
        out.insert(0, {"role": "system", "content": system})
    return out


def _plain(message: _Message, path: str) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    if role not in ("system", "user", "assistant") or message.tool_calls or message.function_call:
        raise unsupported(path, "This model does not use tools.")
    if isinstance(message.content, list):
        for place, part in enumerate(message.content):
            if part.type != "text":
                raise unsupported(f"{path}.content[{place}]", f"This model reads text only, not '{part.type}'.")
    return {"role": role, "content": message.content or ""}


def _one_prompt(raw: msgspec.Raw | None) -> msgspec.Raw:
    """One text or the tokens of one, also as the only one of a list; several would take slots that are not counted."""
    prompt = msgspec.json.decode(raw or b"null")
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, str) or (isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt)):
        return _raw(prompt)
    raise unsupported("prompt", "This model takes one prompt a call.")


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
