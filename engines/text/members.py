"""The members of an OpenAI request that a text model can do something with, their types and ranges; no others pass.

A member that is not known here is refused unless it is `null`: a caller must not take silence for an answer. The
ranges are the gateway's; what a server can't take of them, the engine says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from engines.api import Call, Kind, Rejected

INT32 = 2**31 - 1
MAX_MEMBER = 256 * 1024
"""Bytes of any member but those of `_LONG`."""
MAX_CHOICES = 1000
ADVISORY = frozenset({
    "model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention",
})  # fmt: skip
"""Members that ask for nothing in the answer. They end here."""
_LONG = frozenset({"messages", "prompt", "input"}) | ADVISORY

Count = Annotated[int, Meta(ge=0, le=INT32)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Text = Annotated[str, Meta(min_length=1)]
Object = dict[str, Any]


class StructuredOutputs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """vLLM's newer spelling of `guided_json` and its kin."""

    json: str | Object | None = None
    regex: Text | None = None
    choice: Annotated[list[Text], Meta(min_length=1, max_length=MAX_CHOICES)] | None = None
    grammar: Text | None = None
    json_object: bool | None = None


class StreamOptions(msgspec.Struct):
    """Whether the stream ends with its usage; what else is in there asks for nothing in the text."""

    include_usage: bool | None = None


class Members(msgspec.Struct, kw_only=True, gc=False):
    """What chat and text completions have in common. `null` counts as absent."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    top_k: Annotated[int, Meta(ge=-1, le=INT32)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    min_tokens: Count | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    bad_words: list[str] | None = None
    logit_bias: dict[Count, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    response_format: Object | None = None
    guided_json: str | Object | None = None
    guided_regex: Text | None = None
    guided_choice: Annotated[list[Text], Meta(min_length=1, max_length=MAX_CHOICES)] | None = None
    guided_grammar: Text | None = None
    structured_outputs: StructuredOutputs | None = None


class ChatMembers(Members, kw_only=True, gc=False):
    """Those of a chat. Messages and tools are as the template will see them."""

    messages: Annotated[list[Object], Meta(min_length=1)]
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: Object | None = None


class CompletionMembers(Members, kw_only=True, gc=False):
    """Those of a text completion."""

    prompt: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None


class EmbeddingMembers(msgspec.Struct, kw_only=True, gc=False):
    """Those of a request for embeddings."""

    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=INT32)] | None = None


NEUTRAL: Mapping[str, Callable[[Any], bool]] = {
    "suffix": lambda value: value == "",
    "functions": lambda value: value == [],
    "function_call": lambda value: value in ("none", "auto"),
    "modalities": lambda value: value == ["text"],
    "priority": lambda value: value == 0 and value is not False,  # what is urgent, the gateway's keys say
    "best_of": lambda value: value == 1,  # of a chat
    "echo": lambda value: value is False,  # of a chat
}
"""Members that no text model can honour, and the values (besides null) by which nothing is asked."""

KNOWN: Mapping[Kind, frozenset[str]] = {
    "chat": frozenset(ChatMembers.__struct_fields__),
    "completion": frozenset(CompletionMembers.__struct_fields__),
    "embedding": frozenset(EmbeddingMembers.__struct_fields__),
}


def decode(call: Call) -> ChatMembers | CompletionMembers | EmbeddingMembers:
    """The members by their types. Raises Rejected naming the one that is wrong, unknown or can't be honoured."""
    known = KNOWN[call.kind]
    try:
        for name, raw in call.fields.items():
            if name not in known and name not in ADVISORY:
                _check_stranger(name, bytes(raw))
        body = call.body()
        if len(body) > MAX_MEMBER:
            _check_sizes(call.fields)
        members: ChatMembers | CompletionMembers | EmbeddingMembers = _DECODERS[call.kind].decode(body)
        if b"\\u0000" in body:  # the only way to write it
            _check_no_nul(call.fields)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _mistake(str(error)) from None
    except RecursionError:
        raise Rejected("The request body is nested too deeply.", code="invalid_json") from None
    return members


def _check_sizes(fields: Mapping[str, msgspec.Raw]) -> None:
    """Refuse before it is decoded what no server should be given to build a grammar of, and no loop to walk through."""
    for name, raw in fields.items():
        if name not in _LONG and memoryview(raw).nbytes > MAX_MEMBER:
            raise invalid(name[:_NAME_SHOWN], f"it must not have more than {MAX_MEMBER} bytes")


def unsupported(param: str, what: str = "") -> Rejected:
    """`param` is meant well, but can't be honoured here."""
    return Rejected(what or f"This model does not support '{param}'.", param=param, code="unsupported_parameter")


def invalid(param: str, why: str) -> Rejected:
    """`why` ends a sentence that begins with the parameter."""
    return Rejected(f"Invalid '{param}': {why}.", param=param, code="invalid_value")


def _check_stranger(name: str, raw: bytes) -> None:
    if raw == b"null":
        return
    if name not in NEUTRAL or not NEUTRAL[name](msgspec.json.decode(raw)):
        raise unsupported(name[:_NAME_SHOWN])


def _check_no_nul(fields: Mapping[str, msgspec.Raw]) -> None:
    """The servers' own strings end at a NUL: what stands behind it would be lost, or worse."""
    for name, raw in fields.items():
        if b"\\u0000" in bytes(raw) and _has_nul(msgspec.json.decode(raw)):
            raise invalid(name, "a NUL character can't be sent to this model")


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _mistake(text: str) -> Rejected:
    """What msgspec found, in its words, which quote no content; the place is in them, after a dollar sign."""
    if missing := _MISSING.search(text):
        return Rejected(
            f"Missing required parameter: '{missing[1]}'.", param=missing[1], code="missing_required_parameter"
        )
    if place := _PLACE.search(text):
        param = place["path"].split("[...]")[0].removeprefix(".")
        return Rejected(
            f"Invalid '{param}': {text[: place.start()][:_WORDS_SHOWN]}.", param=param or None, code="invalid_value"
        )
    return Rejected(f"The request body is not valid JSON ({text}).", code="invalid_json")


_WORDS_SHOWN = 200  # characters of what msgspec says, which may quote a name of a member
_NAME_SHOWN = 64  # characters of a name that is said back to its caller
_MISSING = re.compile(r"missing required field `(\w+)`$")
_PLACE = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`$")
_DECODERS: Mapping[Kind, msgspec.json.Decoder[Any]] = {
    "chat": msgspec.json.Decoder(ChatMembers),
    "completion": msgspec.json.Decoder(CompletionMembers),
    "embedding": msgspec.json.Decoder(EmbeddingMembers),
}
