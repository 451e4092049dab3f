"""What a text model is asked: one typed view of a request, in which what asks for nothing is absent.

Neutral values (a penalty of 0, `top_k` of -1, `response_format` text, ...) become None or empty here, so that whoever
can't honour a parameter refuses it wherever it is set. Names beyond OpenAI's are vLLM's: `top_k`, `min_p`,
`min_tokens`, `repetition_penalty`, `bad_words`, `chat_template_kwargs`, `guided_*`, `structured_outputs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from engines.api import Call, Kind
from engines.text.guides import Guide, forced_guide, function_of, guide_of
from engines.text.members import (
    ChatMembers,
    CompletionMembers,
    EmbeddingMembers,
    Members,
    decode,
    invalid,
    unsupported,
)

MAX_WORDS = 64
"""Stop strings or bad words in one request; OpenAI has 4."""


class Image(NamedTuple):
    """A picture in a message: its URL, http(s) or data, and its path in the body."""

    url: str
    param: str


class Asked(msgspec.Struct, kw_only=True):
    """One request to a text model. None, False and empty mean: not asked for, what the server does by itself.

    `messages` have plain strings for content wherever they hold text alone, and say `system` for `developer`.
    `prompts` are the texts of a completion, or the inputs of an embedding. `seed` is a uint64. `guide` is the form
    that the text must have, by `response_format`, its kin, or a `tool_choice` that forces a call: then `forced` is
    true and the text is `{"name": ..., "parameters": {...}}`. `images` are in the order of the messages.
    """

    kind: Kind
    messages: list[dict[str, Any]] = []
    prompts: list[str] = []
    max_tokens: int = 0
    stream: bool = False
    show_usage: bool = False
    n: int = 1
    best_of: int | None = None
    stops: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    min_tokens: int | None = None
    seed: int | None = None
    bad_words: tuple[str, ...] = ()
    logit_bias: dict[int, float] | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    guide: Guide | None = None
    tools: list[dict[str, Any]] = []
    tool_choice: str = "auto"
    forced: bool = False
    parallel_tool_calls: bool = True
    template_options: dict[str, Any] = {}
    images: tuple[Image, ...] = ()
    echo: bool = False
    base64: bool = False
    dimensions: int | None = None

    def __repr__(self) -> str:
        return f"<Asked {self.kind}, {len(self.messages or self.prompts)} texts, {self.max_tokens} tokens>"


def read(call: Call) -> Asked:
    """Raises Rejected naming the member that is wrong, or that no text model can honour."""
    members = decode(call)
    if isinstance(members, EmbeddingMembers):
        asked = Asked(kind="embedding", prompts=_texts("input", members.input))
        asked.base64 = members.encoding_format == "base64"
        asked.dimensions = members.dimensions
        return asked
    asked = _generation(call, members)
    if isinstance(members, ChatMembers):
        _read_chat(asked, members)
    else:
        _read_completion(asked, members)
    if asked.min_tokens is not None and asked.min_tokens > asked.max_tokens:
        raise invalid("min_tokens", "it must not be more than the largest number of tokens")
    return asked


def _generation(call: Call, members: ChatMembers | CompletionMembers) -> Asked:
    """What chat and completions have in common; the gateway has set a cap under one of its two names."""
    cap_name = "max_completion_tokens" if members.max_completion_tokens is not None else "max_tokens"
    cap = getattr(members, cap_name)
    if not cap:
        raise invalid(cap_name, "this model makes one token at least")
    return Asked(
        kind=call.kind,
        max_tokens=cap,
        stream=call.stream,
        show_usage=call.show_usage,
        n=members.n or 1,
        stops=_words("stop", members.stop),
        temperature=members.temperature,
        top_p=members.top_p,
        top_k=members.top_k if members.top_k is not None and members.top_k > 0 else None,
        min_p=members.min_p or None,
        presence_penalty=members.presence_penalty or None,
        frequency_penalty=members.frequency_penalty or None,
        repetition_penalty=None if members.repetition_penalty == 1 else members.repetition_penalty,
        min_tokens=members.min_tokens or None,
        seed=None if members.seed is None else members.seed % 2**64,  # negative ones too: each its own
        bad_words=_words("bad_words", members.bad_words),
        logit_bias=members.logit_bias or None,
        guide=guide_of(members) if _is_guided(members) else None,
    )


def _is_guided(members: Members) -> bool:
    return (
        members.response_format is not None
        or members.structured_outputs is not None
        or members.guided_json is not None
        or members.guided_regex is not None
        or members.guided_choice is not None
        or members.guided_grammar is not None
    )


def _words(param: str, given: str | list[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    words = (given,) if isinstance(given, str) else tuple(given)
    if len(words) > MAX_WORDS:
        raise invalid(param, f"there must not be more than {MAX_WORDS}")
    if "" in words:
        raise invalid(param, "an empty string stands nowhere")
    return words


def _read_completion(asked: Asked, members: CompletionMembers) -> None:
    asked.prompts = _texts("prompt", members.prompt)
    asked.logprobs = members.logprobs is not None
    asked.top_logprobs = members.logprobs or 0
    asked.echo = members.echo is True
    if members.best_of is not None and members.best_of != asked.n:
        if members.best_of < asked.n:
            raise invalid("best_of", "it must not be less than 'n'")
        if asked.n > 1:
            raise unsupported("best_of", "This model chooses the best one only: 'best_of' can't be used with 'n'.")
        asked.best_of = members.best_of


def _texts(param: str, given: str | list[str | int | list[int]]) -> list[str]:
    if isinstance(given, str):
        return [given]
    texts = [item for item in given if isinstance(item, str)]
    if len(texts) != len(given):
        raise unsupported(param, "This model takes text, not tokens.")
    return texts


def _read_chat(asked: Asked, members: ChatMembers) -> None:
    images: list[Image] = []
    asked.messages = [_message(message, f"messages[{at}]", images) for at, message in enumerate(members.messages)]
    asked.images = tuple(images)
    asked.logprobs = members.logprobs is True
    asked.top_logprobs = (members.top_logprobs or 0) if asked.logprobs else 0
    asked.tools = members.tools or []
    for at, tool in enumerate(asked.tools):
        function_of(tool, f"tools[{at}]")
    asked.parallel_tool_calls = members.parallel_tool_calls is not False
    asked.template_options = members.chat_template_kwargs or {}
    if members.tool_choice is not None:
        _read_tool_choice(asked, members.tool_choice)


def _read_tool_choice(asked: Asked, choice: str | dict[str, Any]) -> None:
    """Forcing a call is a guide over the tools that may be called."""
    if choice in ("none", "auto"):
        asked.tool_choice = str(choice)
        return
    if asked.guide is not None:
        raise invalid("tool_choice", f"a call can't be forced together with '{asked.guide.param}'")
    asked.guide = forced_guide(asked.tools, choice)
    asked.tool_choice = "required"
    asked.forced = True


def _message(message: dict[str, Any], path: str, images: list[Image]) -> dict[str, Any]:
    """As templates want it: one text where there is only text, and `system` for its newer name."""
    if not isinstance(message.get("role"), str):
        raise invalid(f"{path}.role", "it must be a string")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise invalid(f"{path}.tool_calls", "it must be an array of objects")
    if message["role"] == "developer":
        message["role"] = "system"
    content = message.get("content")
    if content is None or isinstance(content, str):
        return message
    if not isinstance(content, list):
        raise invalid(f"{path}.content", "it must be a string or an array")
    before = len(images)
    texts = [_part(part, f"{path}.content[{at}]", images) for at, part in enumerate(content)]
    if len(images) == before:
        message["content"] = "\n".join(text for text in texts if text is not None)
    return message


def _part(part: Any, path: str, images: list[Image]) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise invalid(f"{path}.{kind}", "it must be a string")
        return str(part[kind])
    if kind == "image_url":
        url = part.get("image_url")
        if isinstance(url, dict):
            url = url.get("url")
        if not isinstance(url, str):
            raise invalid(f"{path}.image_url.url", "it must be a string")
        images.append(Image(url, path))
        return None
    if not isinstance(kind, str):
        raise invalid(path, "it must be an object with a type")
    raise unsupported(path, "This model reads text and images only.")
