"""A request body, checked and taken apart once, and put together again for the model server."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from engines.api import Kind
from gateway.complaints import Invalid, undecodable
from gateway.schema import Chat, Completion, Embedding

__all__ = ["Invalid", "Prompt", "parse"]

_CAPS = ("max_tokens", "max_completion_tokens", "n_predict")
"""Every name under which some server takes a token cap; llama.cpp lets `n_predict` override the other two."""

_NAME_SHOWN = 64  # characters of a name that we say back to its caller
_ASK_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = msgspec.Raw(b"true")


class Prompt(msgspec.Struct, gc=False):
    """What a caller asks of a model.

    `model` is the public name asked for. `fields` are the top-level members as the caller spelled them. `max_tokens`
    is the largest cap given, None if none was. `n` is how many answers each prompt costs: the larger of `n` and
    `best_of`.
    """

    kind: Kind
    model: str
    stream: bool
    show_usage: bool
    fields: dict[str, msgspec.Raw]
    max_tokens: int | None
    n: int

    def __repr__(self) -> str:
        return f"<Prompt {self.kind} for {self.model}, {len(self.fields)} members>"

    def upstream_fields(
        self, upstream_model: str, cap_field: Literal["max_tokens", "max_completion_tokens"], default_max_tokens: int
    ) -> dict[str, msgspec.Raw]:
        """The members for a model server: its name for the model, one token cap, usage asked for; the rest as it was.

        Members keep their order; what is new comes last. Embeddings have no cap.
        """
        fields = self.fields.copy()
        fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
        if self.kind == "embedding":
            return fields
        for name in _CAPS:
            fields.pop(name, None)
        cap = default_max_tokens if self.max_tokens is None else self.max_tokens
        fields[cap_field] = msgspec.Raw(b"%d" % cap)
        if self.stream and not self.show_usage:
            fields["stream_options"] = _asking_usage(fields.get("stream_options"))
        return fields


def parse(kind: Kind, body: bytes) -> Prompt:
    """Read a request body; raises `Invalid`. Whatever the bytes are, nothing else is raised, and nothing is kept."""
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look inside the strings it skips
        fields = _members(_MEMBERS.decode(body))
        if kind == "chat":
            return _generation("chat", _CHAT.decode(body), fields)
        if kind == "completion":
            return _generation("completion", _COMPLETION.decode(body), fields)
        return Prompt("embedding", _EMBEDDING.decode(body).model, False, False, fields, None, 1)  # noqa: FBT003
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        raise undecodable(error) from None


def _generation(kind: Kind, asked: Chat | Completion, fields: dict[str, msgspec.Raw]) -> Prompt:
    caps = [cap for cap in (asked.max_tokens, asked.max_completion_tokens, asked.n_predict) if cap is not None]
    options = asked.stream_options
    answers = asked.n or 1
    if isinstance(asked, Completion) and asked.best_of is not None:
        answers = asked.best_of  # never less than n
    return Prompt(
        kind,
        asked.model,
        asked.stream is True,
        options is not None and options.include_usage is True,
        fields,
        max(caps, default=None),
        answers,
    )


class _Name:
    """A member's name that equals no other, so that a dict keeps both members of one name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _members(pairs: dict[_Name, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The members under their names. Two of one name are refused: we might read the one and the server the other."""
    fields = {key.name: raw for key, raw in pairs.items()}
    if len(fields) == len(pairs):
        return fields
    names = Counter(key.name for key in pairs)
    twice = next(name for name, times in names.items() if times > 1)[:_NAME_SHOWN]
    raise Invalid(f"Parameter given more than once: {twice!r}.", twice, "duplicate_parameter")


def _asking_usage(given: msgspec.Raw | None) -> msgspec.Raw:
    options = None if given is None else _OPTIONS.decode(given)
    if not options:
        return _ASK_USAGE
    options["include_usage"] = _TRUE
    return msgspec.Raw(msgspec.json.encode(options))


def _named(_: type, name: str) -> _Name:
    return _Name(name)


_MEMBERS = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=_named)
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_CHAT = msgspec.json.Decoder(Chat)
_COMPLETION = msgspec.json.Decoder(Completion)
_EMBEDDING = msgspec.json.Decoder(Embedding)
