"""A request body, checked and taken apart once, and put together again for the model server."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Literal

import msgspec

from engines.api import Kind
from gateway.complaints import Flaw, Invalid, undecodable
from gateway.media import text_bytes
from gateway.schema import Chat, Completion, Embedding

__all__ = ["Invalid", "Prompt", "parse"]

_CAPS = ("max_tokens", "max_completion_tokens", "n_predict")
"""Every name under which some server takes a token cap; llama.cpp lets `n_predict` override the other two."""

_MOST_MEMBERS = 256
_QUICK = 64 * 1024  # bytes of a body whose members can't be many enough to stall the loop
_FIRST_NAME = 64  # bytes of a body that show how its members are spaced
_NAME_SHOWN = 64  # characters of a name that we say back to its caller
_ASK_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = msgspec.Raw(b"true")


class Prompt(msgspec.Struct, gc=False):
    """What a caller asks of a model.

    `model` is the public name asked for. `fields` are the top-level members as the caller spelled them. `max_tokens`
    is the largest cap given, None if none was. `n` is how many answers it costs: the larger of `n` and `best_of`, for
    each prompt of a batch. `text_bytes` is the body's size, by which its tokens are estimated, with images, sound and
    files as if they were text.
    """

    kind: Kind
    model: str
    stream: bool
    show_usage: bool
    fields: dict[str, msgspec.Raw]
    max_tokens: int | None
    n: int
    text_bytes: int

    def __repr__(self) -> str:
        return f"<Prompt {self.kind} for {self.model}, {len(self.fields)} members>"

    @property
    def user(self) -> bytes:
        """Whom the caller says that it asks for: the same bytes however its JSON spells them, b"" if it does not."""
        raw = self.fields.get("user")
        return (_USER.decode(raw) or "").encode() if raw is not None else b""

    def upstream_fields(
        self, upstream_model: str, cap_field: Literal["max_tokens", "max_completion_tokens"], default_max_tokens: int
    ) -> dict[str, msgspec.Raw]:
        """The members for a model server: its name for the model, one token cap, usage asked for; the rest as it was.

        Members keep their order; what is new comes last. Embeddings have no cap.
        """
        fields = self.fields.copy()
        fields["model"] = _spelled(upstream_model)
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
        fields = _members(body)
        if kind == "chat":
            chat = _CHAT.decode(body)
            return _generation("chat", chat, fields, text_bytes(body, chat.messages))
        if kind == "completion":
            return _generation("completion", _COMPLETION.decode(body), fields, len(body))
        return _plain(_EMBEDDING.decode(body), fields, len(body))
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        raise undecodable(error) from None


def _plain(asked: Embedding, fields: dict[str, msgspec.Raw], size: int) -> Prompt:
    return Prompt("embedding", asked.model, False, False, fields, None, 1, size)  # noqa: FBT003  # as below


def _generation(kind: Kind, asked: Chat | Completion, fields: dict[str, msgspec.Raw], size: int) -> Prompt:
    cap = asked.max_tokens
    for other in (asked.max_completion_tokens, asked.n_predict):
        if other is not None and (cap is None or other > cap):
            cap = other
    options = asked.stream_options
    show_usage = options is not None and options.include_usage is True
    answers = asked.n or 1
    if isinstance(asked, Completion):
        if asked.best_of is not None:
            answers = asked.best_of  # never less than n
        if isinstance(asked.prompt, list) and not isinstance(asked.prompt[0], int):
            answers *= len(asked.prompt)
    return Prompt(kind, asked.model, asked.stream is True, show_usage, fields, cap, answers, size)


class _Key:
    """Stands for a member's name and equals no other, so that a dict keeps both members of one name."""

    __slots__ = ()


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    """The members as spelled. Two of one name are refused: we might read the one, and the model server the other."""
    if len(body) <= _QUICK:
        fields = _FIELDS.decode(body)
        # Clients write JSON as Python's json does, or without spaces: then nothing is missing, and nothing was twice.
        spelled = _spaced(fields) if body.find(b'": ', 0, _FIRST_NAME) > 0 else msgspec.json.encode(fields)
        if body == spelled and len(fields) <= _MOST_MEMBERS:
            return fields
    return _members_one_by_one(body)


def _spaced(fields: dict[str, msgspec.Raw]) -> bytes:
    """As Python's json writes them, but for names that need an escape: of those the slow way is sure."""
    return _spacing(tuple(fields)) % tuple(fields.values())


@lru_cache(maxsize=64)  # a caller sends the same few members again and again
def _spacing(names: tuple[str, ...]) -> bytes:
    """The format of a body whose members have these names."""
    return b"{%b}" % b", ".join([b'"%b": %%b' % name.replace("%", "%%").encode() for name in names])


def _members_one_by_one(body: bytes) -> dict[str, msgspec.Raw]:
    """The same for any spelling; members that are too many are refused before they cost more than any real request."""
    names: list[str] = []

    def note(_: type, name: str) -> _Key:
        if len(names) == _MOST_MEMBERS:
            raise Flaw("", "object_above_max_properties", f"The body has more than {_MOST_MEMBERS} parameters.")
        names.append(name)
        return _Key()

    values = msgspec.json.decode(body, type=_PAIRS, dec_hook=note).values()
    fields = dict(zip(names, values, strict=True))
    if len(fields) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)[:_NAME_SHOWN]
        raise Invalid(f"Parameter given more than once: {twice!r}.", twice, "duplicate_parameter")
    return fields


@lru_cache(maxsize=256)  # there are as many as versions of models
def _spelled(name: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(name))


def _asking_usage(given: msgspec.Raw | None) -> msgspec.Raw:
    options = None if given is None else _OPTIONS.decode(given)
    if not options:
        return _ASK_USAGE
    options["include_usage"] = _TRUE
    return msgspec.Raw(msgspec.json.encode(options))


_USER = msgspec.json.Decoder(str | None)
_PAIRS = dict[_Key, msgspec.Raw]
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_CHAT = msgspec.json.Decoder(Chat)
_COMPLETION = msgspec.json.Decoder(Completion)
_EMBEDDING = msgspec.json.Decoder(Embedding)
