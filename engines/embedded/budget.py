"""Whether a prompt fits, and how much answer fits after it: pure, in tokens that were counted exactly."""

from __future__ import annotations

import msgspec

from engines.api import Rejected
from engines.embedded.rules import Fields

BYTES_PER_TOKEN = 64
"""More JSON than this per token of the limit is refused without counting: no text worth reading has such tokens."""
CAPS = ("max_tokens", "max_completion_tokens")


def refuse_huge(fields: Fields, limit: int) -> None:
    """Raise Rejected for a prompt that is far beyond `limit` tokens whatever they are: counting it would cost more."""
    size = len(bytes(fields[_member(fields)]))
    if size > limit * BYTES_PER_TOKEN:
        raise _too_long(
            fields, f"This model reads at most {limit} tokens of prompt; {size} bytes are far more than that."
        )


def fit(fields: Fields, prompt: int, limit: int, context: int) -> Fields:
    """The members with the answer's cap lowered to what a slot of `context` tokens has left after `prompt` of them.

    A prompt that fits is never refused for its cap: the answer then ends with `length` when the slot is full, which is
    what the caller learns anyway. Raises Rejected for a prompt that leaves no room, or is longer than `limit`.
    """
    limit = min(limit, context - 1)
    if prompt > limit:
        raise _too_long(fields, f"This model reads at most {limit} tokens of prompt; this one has {prompt}.")
    room = context - prompt
    caps = {name: min(_cap(fields[name], name), room) for name in CAPS if name in fields} or {CAPS[0]: room}
    return fields | {name: msgspec.Raw(b"%d" % cap) for name, cap in caps.items()}


def _cap(raw: msgspec.Raw, name: str) -> int:
    try:
        cap = msgspec.json.decode(raw, type=int)
    except msgspec.DecodeError:
        cap = 0
    if cap < 1:
        raise Rejected(
            f"'{name}' must be a whole number of at least 1 for this model.", param=name, code="invalid_value"
        )
    return cap


def _member(fields: Fields) -> str:
    return "messages" if "messages" in fields else "prompt"


def _too_long(fields: Fields, message: str) -> Rejected:
    return Rejected(message, param=_member(fields), code="context_length_exceeded")
