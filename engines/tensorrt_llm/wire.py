"""What the gateway and its child say to one another: frames on one connection, each of one call or of none.

A frame is its payload's length (4 bytes), its kind (1), its call (4), all little-endian, and the payload: MessagePack.

    gateway                                     child
    GENERATE  Wanted      what to generate      SAID    Said        what is new of a text, from its first token on
    MORE                  room for `STEP` more  ENDED               everything has been said
    ABORT                 nobody wants it now   FAILED  Complaint   it goes no further
    ASK                   how are you           STATE   State
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

MAX_PAYLOAD = 16 << 20
"""Bytes. A longer frame breaks the connection; whoever sends looks first."""
WINDOW = 32
"""Frames with text that the child sends of one call before the gateway has made room for more."""
STEP = WINDOW // 2
_HEADER = struct.Struct("<IBI")


class Kind(IntEnum):
    """See the module."""

    GENERATE = 1
    MORE = 2
    ABORT = 3
    ASK = 4
    SAID = 5
    ENDED = 6
    FAILED = 7
    STATE = 8


class Frame(NamedTuple):
    """`call` is 0 where no call is meant."""

    kind: Kind
    call: int
    payload: bytes


class Adapter(msgspec.Struct, frozen=True, array_like=True):
    """A LoRA adapter by the operator's words. `path` is on this machine."""

    name: str
    id: int
    path: str


class Wanted(msgspec.Struct, array_like=True):
    """One text. `sampling` are fields of `SamplingParams`; `guide` is a field of `GuidedDecodingParams`, its value."""

    prompt: str
    sampling: Mapping[str, Any]
    guide: tuple[str, str | bool] | None = None
    adapter: Adapter | None = None
    stream: bool = True


class Said(msgspec.Struct, array_like=True, gc=False):
    """`text` is new and can no longer change. `prompt` and `completion` are tokens so far; `finish` tells the end.

    `logprobs` are those of the new tokens, where they were asked for.
    """

    text: str
    prompt: int
    completion: int
    finish: str | None = None
    logprobs: Sequence[float] | None = None


class Complaint(msgspec.Struct, array_like=True, gc=False):
    """Why a call failed: a code of gRPC, as engines read errors by it, and words that are not for clients."""

    code: int
    words: str


class State(msgspec.Struct, array_like=True, gc=False):
    """Whether the model still works, how busy it is, and what it takes at a time; None for what it does not say."""

    healthy: bool
    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None
    requests: int | None = None
    kv_tokens: int | None = None


def frame(kind: Kind, call: int = 0, message: msgspec.Struct | None = None) -> bytes:
    """As it is sent."""
    payload = b"" if message is None else msgspec.msgpack.encode(message)
    return _HEADER.pack(len(payload), kind, call) + payload


class Frames:
    """Takes bytes as they come, gives the frames that they complete."""

    def __init__(self) -> None:
        self._held = bytearray()

    def __repr__(self) -> str:
        return f"<Frames {len(self._held)} bytes held>"

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises ValueError for what can't be a frame. All that it gives must be taken before it is fed again."""
        held = self._held
        held += data
        at, end = 0, len(held)
        while end - at >= _HEADER.size:
            length, kind, call = _HEADER.unpack_from(held, at)
            if length > MAX_PAYLOAD:
                raise ValueError("A frame is too long.")
            begin = at + _HEADER.size
            if end - begin < length:
                break
            at = begin + length
            yield Frame(Kind(kind), call, bytes(held[begin:at]))
        del held[:at]
